"""Grids as text and as pictures."""
