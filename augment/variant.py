"""Variants: a symmetry and a permutation of the colours, applied to a whole puzzle."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from augment.puzzle import Grid
from augment.symmetries import (
    IDENTITY_PALETTE,
    NUM_DIHEDRALS,
    apply_dihedral,
    inverse_palette,
    invert_dihedral,
    is_palette,
    palette_table,
)


@dataclass(frozen=True, slots=True)
class Variant:
    """A dihedral id 0..7 and a palette: the new colour of each of the ten colours.

    Raises: ValueError for an id or a palette that is not one.
    """

    dihedral: int
    palette: tuple[int, ...]

    def __post_init__(self) -> None:
        if self.dihedral not in range(NUM_DIHEDRALS):
            raise ValueError(f"dihedral id {self.dihedral} is not one of 0..7")
        if not is_palette(self.palette):
            raise ValueError(f"{self.palette} is not a permutation of 0..9 that begins with 0")

    def apply(self, cells: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """Recolour the cells, then turn or mirror them.

        Shapes: [..., h, w] to [..., h, w] or [..., w, h].
        """
        return apply_dihedral(palette_table(self.palette)[cells], self.dihedral)

    def invert(self, cells: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """Undo `apply`: turn back, then give the cells their old colours.

        Shapes: [..., h, w] to [..., h, w] or [..., w, h].
        """
        old: npt.NDArray[np.uint8] = palette_table(inverse_palette(self.palette))[
            invert_dihedral(cells, self.dihedral)
        ]
        return old

    def apply_grid(self, grid: Grid) -> Grid:
        """Return this variant of a grid."""
        return Grid(self.apply(grid.cells))


IDENTITY = Variant(0, IDENTITY_PALETTE)
