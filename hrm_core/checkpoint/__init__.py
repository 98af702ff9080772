"""Checkpoint folders: settings, weights, the table of puzzle rows, names."""
