"""Decoding without variants, and variants undone."""

from typing import Any

import numpy as np
import numpy.typing as npt

from augment import IDENTITY, Variant, decode_variants, invert_dihedral


def decode(tokens: npt.NDArray[np.integer[Any]]) -> list[npt.NDArray[np.uint8] | None]:
    """Decode canvases of untransformed grids, as `decode_variants`.

    Shapes: [N, canvas * canvas] to N grids [h, w].
    """
    return decode_variants(tokens, [IDENTITY] * len(tokens))


def invert(variant: Variant, cells: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Undo a variant: turn back, then give the cells their old colours."""
    old: npt.NDArray[np.uint8] = np.argsort(variant.palette).astype(np.uint8)[
        invert_dihedral(cells, variant.dihedral)
    ]
    return old
