"""Variants: the symmetries of a puzzle, and their names in checkpoints.

A variant is a dihedral id, numbered as in the published data sets, and a permutation of the
colours in which black, colour 0, never moves.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from augment.errors import VariantNameError
from augment.puzzle import Grid

NUM_DIHEDRALS = 8
DIHEDRAL_INVERSE = (0, 3, 2, 1, 4, 5, 6, 7)
NUM_COLOURS = 10
IDENTITY_PALETTE = tuple(range(NUM_COLOURS))
BLANK_NAME = "<blank>"

_HRM_ENDING = re.compile(r"_t([0-7])_(0[1-9]{9})")
_TRM_ENDING = re.compile(r"\|\|\|t([0-7])\|\|\|(0[1-9]{9})")


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
        if self.palette[:1] != (0,) or tuple(sorted(self.palette)) != IDENTITY_PALETTE:
            raise ValueError(f"{self.palette} is not a permutation of 0..9 that begins with 0")

    def apply(self, cells: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """Recolour the cells, then turn or mirror them.

        Shapes: [..., h, w] to [..., h, w] or [..., w, h].
        """
        return apply_dihedral(np.array(self.palette, dtype=np.uint8)[cells], self.dihedral)

    def apply_grid(self, grid: Grid) -> Grid:
        """Return this variant of a grid."""
        return Grid(self.apply(grid.cells))


IDENTITY = Variant(0, IDENTITY_PALETTE)


class Dialect(Enum):
    """The form of the names of variants in one family of checkpoints.

    HRM: `<puzzle>_t<id>_<ten digits>`; TRM: `<puzzle>|||t<id>|||<ten digits>`. The untransformed
    puzzle has its bare name.
    """

    HRM = "hrm"
    TRM = "trm"

    @property
    def separator(self) -> str:
        """Return what stands between puzzle, symmetry and palette."""
        return "_" if self is Dialect.HRM else "|||"

    # `name` here names variants; the enum member's name is not used.
    def name(self, puzzle: str, variant: Variant) -> str:  # type: ignore[override]
        """Return the name of a variant.

        Raises: VariantNameError when `parse` could not read it back.
        """
        if not puzzle or puzzle == BLANK_NAME:
            raise VariantNameError(puzzle, "does not name a puzzle; give it another name")
        if self._split(puzzle) is not None:
            problem = "ends like the name of a variant, so the two are ambiguous; rename it"
            raise VariantNameError(puzzle, problem)
        if variant == IDENTITY:
            return puzzle
        digits = "".join(map(str, variant.palette))
        return f"{puzzle}{self.separator}t{variant.dihedral}{self.separator}{digits}"

    def parse(self, name: str) -> tuple[str, Variant]:
        """Return puzzle and variant; without a well-formed ending the whole name is the puzzle."""
        split = self._split(name)
        if split is None:
            return name, IDENTITY
        puzzle, dihedral, digits = split
        return puzzle, Variant(dihedral, tuple(map(int, digits)))

    @classmethod
    def of(cls, names: Iterable[str]) -> Self:
        """Return the dialect of a checkpoint's names; HRM where they do not show it."""
        return cls("trm" if any("|||" in name for name in names) else "hrm")

    def puzzle_of(self, name: str) -> str:
        """Return only the puzzle, several times as fast as `parse`."""
        split = self._split(name)
        return name if split is None else split[0]

    def _split(self, name: str) -> tuple[str, int, str] | None:
        """Return puzzle, dihedral id and ten digits of a name with a well-formed ending."""
        ending = _HRM_ENDING if self is Dialect.HRM else _TRM_ENDING
        # The ending has a fixed length, and at least one character must precede it.
        length = 2 * len(self.separator) + len("t0") + NUM_COLOURS
        match = ending.fullmatch(name, max(1, len(name) - length))
        if match is None or len(set(match[2])) < NUM_COLOURS:
            return None
        return name[: match.start()], int(match[1]), match[2]
