"""Solving: the rows, samples, votes and the answer of a puzzle."""
