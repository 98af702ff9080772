"""What happens to a puzzle: its rows, its samples, its votes, its answer."""
