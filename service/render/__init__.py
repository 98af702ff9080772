"""Grids as text and as pictures, in the ten colours of ARC."""

ARC_COLOURS = (
    "#000000",
    "#0074D9",
    "#FF4136",
    "#2ECC40",
    "#FFDC00",
    "#AAAAAA",
    "#F012BE",
    "#FF851B",
    "#7FDBFF",
    "#870C25",
)
"""The conventional colour of each cell value, as #RRGGBB."""
