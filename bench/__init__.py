"""Measurements: `python -m bench --help`. Kept free of imports, so that launching stays lean."""
