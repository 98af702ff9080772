"""The self-test of checkpoints: their rows fit their names, and how well they are trained."""
