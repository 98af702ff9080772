"""The eight symmetries of a rectangle, numbered as in the published data sets."""

from typing import Any

import numpy as np
import numpy.typing as npt

NUM_DIHEDRALS = 8
DIHEDRAL_INVERSE = (0, 3, 2, 1, 4, 5, 6, 7)


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
