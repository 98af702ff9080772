"""Names of variants in checkpoints: two dialects, one for each family of models."""

import re
from collections.abc import Iterable
from enum import Enum
from typing import Self

from augment.errors import VariantNameError
from augment.symmetries import NUM_COLOURS
from augment.variant import IDENTITY, Variant

BLANK_NAME = "<blank>"

_HRM_ENDING = re.compile(r"_t([0-7])_(0[1-9]{9})")
_TRM_ENDING = re.compile(r"\|\|\|t([0-7])\|\|\|(0[1-9]{9})")


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
