"""Symmetries of a puzzle: the dihedral group of the rectangle and permutations of the colours.

Dihedral ids are numbered as in the published data sets; black, colour 0, never moves.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

NUM_DIHEDRALS = 8
DIHEDRAL_INVERSE = (0, 3, 2, 1, 4, 5, 6, 7)
NUM_COLOURS = 10
IDENTITY_PALETTE = tuple(range(NUM_COLOURS))


def apply_dihedral(cells: npt.NDArray[Any], dihedral: int) -> npt.NDArray[Any]:
    """Turn or mirror the last two axes; the result is a view where numpy allows it.

    Shapes: cells [..., h, w] to [..., h, w] or [..., w, h].
    Source: HRM, dataset/common.py.
    """
    match dihedral:
        case 0:
            return cells
        case 1 | 2 | 3:
            return np.rot90(cells, k=dihedral, axes=(-2, -1))
        case 4:
            return cells[..., ::-1]
        case 5:
            return cells[..., ::-1, :]
        case 6:
            return np.swapaxes(cells, -2, -1)
        case 7:
            return np.swapaxes(cells, -2, -1)[..., ::-1, ::-1]
    raise ValueError(f"dihedral id {dihedral} is not one of 0..7")


def invert_dihedral(cells: npt.NDArray[Any], dihedral: int) -> npt.NDArray[Any]:
    """Undo `apply_dihedral` with the same id."""
    if not 0 <= dihedral < NUM_DIHEDRALS:
        raise ValueError(f"dihedral id {dihedral} is not one of 0..7")
    return apply_dihedral(cells, DIHEDRAL_INVERSE[dihedral])


def is_palette(colours: Iterable[int]) -> bool:
    """Return whether the colours are a permutation of 0..9 that keeps 0 fixed."""
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
