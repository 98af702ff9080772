"""Measurements: `python -m bench --help`. No imports, so that launched processes stay small."""
