"""Grids, demonstration pairs, puzzles and tasks."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import total_ordering
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt

from augment.errors import Place, PuzzleError, path_from_text

MAX_SIDE = 30
MAX_COLOUR = 9

KindName = Literal["arc", "sudoku", "maze"]


@total_ordering
@dataclass(frozen=True, slots=True, eq=False)
class Grid:
    """An immutable rectangle of colours: 1..30 cells a side, values 0..9.

    Grids are equal when shape and cells are; they are ordered by shape, then by cells.

    Shapes: cells uint8 [h, w].

    Raises: PuzzleError when the array is not such a rectangle.
    """

    cells: npt.NDArray[np.uint8]

    def __post_init__(self) -> None:
        cells = np.asarray(self.cells)
        if cells.ndim != 2 or cells.dtype.kind not in "iu":
            found = f"{cells.dtype} of shape {list(cells.shape)}"
            raise PuzzleError(("grid",), f"{found} is not a rectangle of whole numbers")
        height, width = cells.shape
        _check_side(("grid",), height, "rows")
        _check_side(("grid",), width, "columns")
        if cells.min() < 0 or cells.max() > MAX_COLOUR:
            wrong = cells[(cells < 0) | (cells > MAX_COLOUR)][0]
            raise PuzzleError(("grid",), f"{wrong} is not a colour 0..9")
        # An array over bytes cannot be made writable again, unlike one with a cleared flag.
        buffer = cells.astype(np.uint8, copy=False).tobytes()
        frozen = np.frombuffer(buffer, dtype=np.uint8).reshape(height, width)
        object.__setattr__(self, "cells", frozen)

    @classmethod
    def from_rows(cls, rows: object, path: str | Place = "grid") -> Self:
        """Check a list of rows, each a list of whole numbers, and make a grid of it.

        `path` leads to the rows in their document.

        Raises: PuzzleError with the path of the first fault.
        """
        path = path_from_text(path) if isinstance(path, str) else path
        if not isinstance(rows, list | tuple):
            raise PuzzleError(path, f"{_kind(rows)} is not a grid; give a list of rows")
        _check_side(path, len(rows), "rows")
        width = len(rows[0]) if isinstance(rows[0], list | tuple) else 0
        buffer = bytearray()
        for index, row in enumerate(rows):
            buffer += _row_bytes(row, width, (*path, index))
        return cls(np.frombuffer(buffer, dtype=np.uint8).reshape(len(rows), width))

    def to_rows(self) -> list[list[int]]:
        """Return the cells as a list of rows of plain integers."""
        rows: list[list[int]] = self.cells.tolist()
        return rows

    @property
    def size(self) -> tuple[int, int]:
        """Return height and width."""
        height, width = self.cells.shape
        return height, width

    def fits(self, canvas: int) -> bool:
        """Return whether the grid fits a square canvas of so many cells a side."""
        return max(self.size) <= canvas

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Grid):
            return NotImplemented
        return self.sort_key() == other.sort_key()

    def __lt__(self, other: object) -> bool:
        if not isinstance(other, Grid):
            return NotImplemented
        return self.sort_key() < other.sort_key()

    def __hash__(self) -> int:
        return hash(self.sort_key())

    def __reduce__(self) -> tuple[type[Self], tuple[npt.NDArray[np.uint8]]]:
        # Unpickled arrays are writable: go through the constructor again.
        return type(self), (self.cells,)

    def sort_key(self) -> tuple[tuple[int, ...], bytes]:
        """Return a key in the order of grids; keys compare faster than grids."""
        return self.cells.shape, self.cells.tobytes()


@dataclass(frozen=True, slots=True)
class Pair:
    """One demonstration."""

    input: Grid
    output: Grid


@dataclass(frozen=True, slots=True)
class Puzzle:
    """The demonstrations and test inputs that a solver may see, never a test output.

    Kinds other than ARC have no demonstrations: their rules are known.
    """

    name: str
    train: tuple[Pair, ...]
    test: tuple[Grid, ...]
    kind: KindName = "arc"

    @property
    def grids(self) -> tuple[Grid, ...]:
        """Return the grids of all demonstrations, then the test inputs."""
        return tuple(grid for _, grid in self._located_grids())

    def fits(self, canvas: int) -> bool:
        """Return whether every demonstration and test input fits a canvas."""
        return not self.misfits(canvas)

    def misfits(self, canvas: int) -> list[tuple[Place, Grid]]:
        """Return the grids that do not fit a canvas, each with its path in the task document."""
        return [(path, grid) for path, grid in self._located_grids() if not grid.fits(canvas)]

    @property
    def demonstrations_hash(self) -> str:
        """Return sha256 over the demonstrations, independent of their order.

        A name does not identify a puzzle: two builds of a data set may give one name to different
        puzzles.
        """
        pairs = sorted((pair.input, pair.output) for pair in self.train)
        digest = hashlib.sha256()
        for grids in pairs:
            for grid in grids:
                digest.update(bytes(grid.size) + grid.cells.tobytes())
        return digest.hexdigest()

    def _located_grids(self) -> Iterator[tuple[Place, Grid]]:
        for index, pair in enumerate(self.train):
            yield ("train", index, "input"), pair.input
            yield ("train", index, "output"), pair.output
        for index, grid in enumerate(self.test):
            yield ("test", index, "input") if self.train else (self.kind,), grid


@dataclass(frozen=True, slots=True)
class Task:
    """A puzzle and, where they are known, the outputs expected for its test inputs."""

    puzzle: Puzzle
    expected: tuple[Grid | None, ...]


def _check_side(path: Place, length: int, what: str) -> None:
    if not 1 <= length <= MAX_SIDE:
        raise PuzzleError(path, f"{length} {what}; a grid has 1..{MAX_SIDE}")


def _row_bytes(row: object, width: int, path: Place) -> bytes:
    if not isinstance(row, list | tuple):
        raise PuzzleError(path, f"{_kind(row)} is not a row; give a list of colours 0..9")
    _check_side(path, len(row), "columns")
    if len(row) != width:
        problem = f"{len(row)} columns, but the first row has {width}; make all rows equally long"
        raise PuzzleError(path, problem)
    # Checking types and range of a whole row at once is ten times as fast as cell by cell.
    if set(map(type, row)) == {int} and min(row) >= 0 and max(row) <= MAX_COLOUR:
        return bytes(row)
    for index, cell in enumerate(row):
        if type(cell) is not int:
            problem = f"{_kind(cell)} is not a colour; give a whole number 0..9"
            raise PuzzleError((*path, index), problem)
        if not 0 <= cell <= MAX_COLOUR:
            raise PuzzleError((*path, index), f"{_short(cell)} is not a colour 0..9")
    return bytes(row)


def _kind(value: Any) -> str:
    """Describe a JSON value in a few words, however large it is."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case int() | float():
            return _short(value)
        case str():
            return f"the text {value!r}" if len(value) <= 20 else "a text"
        case list() | tuple():
            return "a list"
        case dict():
            return "an object"
    return f"a {type(value).__name__}"


def _short(number: float) -> str:
    # The decimal form of a huge integer is refused by Python, and of no use to a reader.
    if isinstance(number, int) and number.bit_length() > 64:
        return "a number of more than 64 bits"
    return str(number)
