"""Test-time training of a checkpoint on puzzles it has no rows for."""
