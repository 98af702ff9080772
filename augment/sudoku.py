"""Sudoku: its forms in text, its symmetries, its tokens and its rules.

A Sudoku is a `Grid` of 9 x 9 digits, 0 for an empty cell.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from augment.errors import Place, PuzzleError
from augment.puzzle import Grid

SIDE: Final = 9
BOX: Final = 3
VOCABULARY: Final = 11
# A digit's token is one more than the digit; token 0 is padding, which no 9 x 9 grid has.
FIRST_TOKEN: Final = 1
DIGITS: Final = tuple(range(10))
IN_ORDER: Final = tuple(range(SIDE))
EMPTY_SIGNS: Final = "0."

Cells = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class SudokuVariant:
    """A symmetry of Sudoku: digits renamed, rows and columns moved, then perhaps transposed.

    `palette` is the new digit of each digit, 0 stays; row i of the variant is row `rows[i]` of the
    Sudoku, and columns likewise: bands and stacks move whole, and within them their lines.
    """

    palette: tuple[int, ...] = DIGITS
    rows: tuple[int, ...] = IN_ORDER
    columns: tuple[int, ...] = IN_ORDER
    is_transposed: bool = False

    @property
    def dihedral(self) -> int:
        """The dihedral id of the transposition, 6, or 0."""
        return 6 if self.is_transposed else 0

    def apply(self, cells: Cells) -> Cells:
        """Return the variant of a grid.

        Shapes: [9, 9] to [9, 9].
        """
        moved = np.array(self.palette, dtype=np.uint8)[cells[np.ix_(self.rows, self.columns)]]
        return moved.T if self.is_transposed else moved

    def invert(self, cells: Cells) -> Cells:
        """Undo `apply`.

        Shapes: [9, 9] to [9, 9].
        """
        moved = cells.T if self.is_transposed else cells
        old = np.argsort(self.palette).astype(np.uint8)[moved]
        return old[np.ix_(np.argsort(self.rows), np.argsort(self.columns))]


IDENTITY_SUDOKU: Final = SudokuVariant()


def sample_sudoku_variants(num: int, rng: np.random.Generator) -> list[SudokuVariant]:
    """Draw symmetries evenly, of 1.2 * 10^12."""
    return [
        SudokuVariant(
            (0, *(rng.permutation(SIDE) + 1).tolist()),
            _draw_lines(rng),
            _draw_lines(rng),
            bool(rng.integers(2)),
        )
        for _ in range(num)
    ]


def _draw_lines(rng: np.random.Generator) -> tuple[int, ...]:
    lines = [BOX * band + rng.permutation(BOX) for band in rng.permutation(BOX)]
    return tuple(np.concatenate(lines).tolist())


def encode_sudoku(
    grid: Grid, variants: Sequence[SudokuVariant], side: int = SIDE
) -> npt.NDArray[np.int32]:
    """Encode variants of a grid.

    Shapes: [V, 81].
    """
    sheets = np.stack([variant.apply(grid.cells) for variant in variants])
    return sheets.reshape(len(variants), side * side).astype(np.int32) + FIRST_TOKEN


def decode_sudoku(
    tokens: npt.NDArray[np.integer[Any]], variants: Sequence[SudokuVariant]
) -> list[Cells | None]:
    """Read full grids and undo their variants; None for one with a token that is no digit 1..9.

    Shapes: [N, 81] and N variants to N grids [9, 9].
    """
    cells = (tokens.astype(np.int64) - FIRST_TOKEN).reshape(-1, SIDE, SIDE)
    return [
        variant.invert(sheet.astype(np.uint8)) if sheet.min() >= 1 and sheet.max() <= SIDE else None
        for sheet, variant in zip(cells, variants, strict=True)
    ]


def solves_sudoku(givens: Grid, answer: Grid) -> bool:
    """Return whether an answer keeps the givens and has each digit once a row, column and box."""
    if answer.size != (SIDE, SIDE):
        return False
    keeps = (givens.cells == 0) | (givens.cells == answer.cells)
    return bool(keeps.all()) and all(
        sorted(answer.cells.ravel()[unit].tolist()) == list(DIGITS[1:]) for unit in UNITS
    )


def _units() -> npt.NDArray[np.intp]:
    """Return the cells of the rows, the columns and the boxes.

    Shapes: [27, 9], indices 0..80.
    """
    cells = np.arange(SIDE * SIDE).reshape(SIDE, SIDE)
    boxes = cells.reshape(BOX, BOX, BOX, BOX).swapaxes(1, 2).reshape(SIDE, SIDE)
    return np.concatenate([cells, cells.T, boxes])


UNITS: Final = _units()


def parse_sudoku(value: object, path: Place) -> Grid:
    """Read a Sudoku: 81 characters, 9 rows of them, or 9 lists of digits; `0` and `.` are empty.

    Raises: PuzzleError with the path of the first fault, also where two equal digits share a unit.
    """
    if isinstance(value, str):
        signs = "".join(value.split())
        _check_count(len(signs), SIDE * SIDE, "characters", path)
        digits = [_digit(sign, path, f"character {i + 1}, ") for i, sign in enumerate(signs)]
        places = [path] * len(digits)
    elif isinstance(value, list | tuple):
        _check_count(len(value), SIDE, "rows", path)
        digits, places = [], []
        for index, row in enumerate(value):
            if not isinstance(row, str | list | tuple):
                raise PuzzleError((*path, index), "is not a row; give 9 digits")
            _check_count(len(row), SIDE, "cells", (*path, index))
            for column, sign in enumerate(row):
                at = (*path, index) if isinstance(row, str) else (*path, index, column)
                digits.append(_digit(sign, at, ""))
                places.append(at)
    else:
        raise PuzzleError(path, "is not a Sudoku; give a text of 81 characters, or 9 rows")
    grid = Grid(np.array(digits, dtype=np.uint8).reshape(SIDE, SIDE))
    _check_givens(grid, places)
    return grid


def sudoku_text(grid: Grid) -> str:
    """Return a grid as 81 characters, `.` for an empty cell."""
    return "".join(map(str, grid.cells.ravel().tolist())).replace("0", ".")


def _check_count(found: int, wanted: int, what: str, path: Place) -> None:
    if found != wanted:
        raise PuzzleError(path, f"{found} {what}; a Sudoku has {wanted} here")


def _digit(sign: object, path: Place, where: str) -> int:
    if type(sign) is int and 0 <= sign <= SIDE:
        return sign
    if isinstance(sign, str) and len(sign) == 1:
        if sign in EMPTY_SIGNS:
            return 0
        if sign in "123456789":
            return int(sign)
    shown = repr(sign)[:20]
    raise PuzzleError(path, f"{where}{shown} is not a digit 1..9; an empty cell is 0 or .")


def _check_givens(grid: Grid, paths: Sequence[Place]) -> None:
    cells = grid.cells.ravel()
    for index, unit in enumerate(UNITS):
        digits = cells[unit]
        for digit in DIGITS[1:]:
            same = unit[digits == digit]
            if len(same) > 1:
                name = ("row", "column", "box")[index // SIDE]
                places = " and ".join(
                    f"row {cell // SIDE + 1} column {cell % SIDE + 1}" for cell in same[:2].tolist()
                )
                raise PuzzleError(
                    paths[same[1]],
                    f"{digit} is given twice in {name} {index % SIDE + 1} ({places}); "
                    "remove one of them",
                )
