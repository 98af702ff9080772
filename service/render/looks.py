"""Looks: how the cells of each kind of puzzle are drawn."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from augment import Grid, KindName
from service.render import ARC_COLOURS

_DIGITS: Final = "0123456789"
_WHITE: Final = "#FFFFFF"


@dataclass(frozen=True, slots=True)
class Look:
    """How a kind is drawn, by the values of its cells.

    A terminal shows `signs`, or where it has no Unicode `ascii_signs`. A picture has `colours` and
    upon them `letters`, a space for none. `box` is the side of the boxes between thick lines, 0 for
    a grid without them. With `is_coloured` a terminal shows the colours too.
    """

    signs: str
    ascii_signs: str
    colours: tuple[str, ...]
    letters: str = ""
    box: int = 0
    is_coloured: bool = False


LOOKS: Final[Mapping[KindName, Look]] = {
    "arc": Look(_DIGITS, _DIGITS, ARC_COLOURS, is_coloured=True),
    "sudoku": Look(".123456789", ".123456789", (_WHITE,) * 10, " 123456789", box=3),
    "maze": Look("█ SG•", "# SGo", ("#444444", _WHITE, _WHITE, _WHITE, "#CFE3FA"), "  SG•"),
}


def is_added(grid: Grid, givens: Grid | None, row: int, column: int) -> bool:
    """Return whether an answer has put something else into a cell than the puzzle gives."""
    return (
        givens is not None
        and givens.size == grid.size
        and bool(givens.cells[row, column] != grid.cells[row, column])
    )
