"""Permutations of the ten colours; black, colour 0, never moves."""

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

NUM_COLOURS = 10
IDENTITY_PALETTE = tuple(range(NUM_COLOURS))


def is_palette(colours: Iterable[int]) -> bool:
    """Tell whether the colours are a permutation of 0..9 that keeps 0 in its place."""
    colours = tuple(colours)
    return colours[:1] == (0,) and tuple(sorted(colours)) == IDENTITY_PALETTE


def palette_table(palette: tuple[int, ...]) -> npt.NDArray[np.uint8]:
    """Return the palette as a look-up table: new colour at old colour."""
    return np.array(palette, dtype=np.uint8)


def inverse_palette(palette: tuple[int, ...]) -> tuple[int, ...]:
    """Return the palette that undoes this one."""
    inverse = [0] * NUM_COLOURS
    for old, new in enumerate(palette):
        inverse[new] = old
    return tuple(inverse)


def palette_tables(palettes: Sequence[tuple[int, ...]]) -> npt.NDArray[np.uint8]:
    """Return many look-up tables at once.

    Shapes: [V, 10].
    """
    flat = b"".join(map(bytes, palettes))
    return np.frombuffer(flat, dtype=np.uint8).reshape(len(palettes), NUM_COLOURS)
