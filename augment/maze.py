"""Mazes: their form in text, their tokens and their rules; their symmetries are the dihedral ones.

A maze is a `Grid`; its cells are the signs `# SGo` by number: wall, free, start, goal, path.
"""

from collections import deque
from collections.abc import Sequence
from math import isqrt
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from augment.errors import CanvasError, Place, PuzzleError
from augment.puzzle import MAX_SIDE, Grid
from augment.variants import IDENTITY_PALETTE, NUM_DIHEDRALS, Variant, invert_dihedral

SIGNS: Final = "# SGo"
WALL, FREE, START, GOAL, PATH = range(len(SIGNS))
VOCABULARY: Final = 6
PAD: Final = 0
FIRST_TOKEN: Final = 1

Cells = npt.NDArray[np.uint8]
Cell = tuple[int, int]

MAZE_VARIANTS: Final = tuple(
    Variant(dihedral, IDENTITY_PALETTE) for dihedral in range(NUM_DIHEDRALS)
)


def sample_maze_variants(num: int, rng: np.random.Generator) -> list[Variant]:
    """Draw symmetries evenly."""
    return [MAZE_VARIANTS[index] for index in rng.integers(NUM_DIHEDRALS, size=num).tolist()]


def encode_maze(grid: Grid, variants: Sequence[Variant], side: int) -> npt.NDArray[np.int32]:
    """Encode variants of a maze at the top left of a canvas; the rest is padding.

    Shapes: [V, side * side].

    Raises: CanvasError when the maze does not fit.
    """
    if not grid.fits(side):
        raise CanvasError(*grid.size, side)
    tokens = np.full((len(variants), side, side), PAD, dtype=np.int32)
    for sheet, variant in zip(tokens, variants, strict=True):
        cells = variant.apply(grid.cells)
        sheet[: cells.shape[0], : cells.shape[1]] = cells + FIRST_TOKEN
    return tokens.reshape(len(variants), side * side)


def decode_maze(
    tokens: npt.NDArray[np.integer[Any]], variants: Sequence[Variant]
) -> list[Cells | None]:
    """Read the mazes at the top left and undo their variants; None where padding is within one.

    Shapes: [N, side * side] and N variants to N grids [h, w].
    """
    side = isqrt(tokens.shape[1])
    sheets = tokens.reshape(-1, side, side)
    grids: list[Cells | None] = []
    for sheet, variant in zip(sheets, variants, strict=True):
        is_maze = sheet != PAD
        height, width = int(is_maze[:, 0].sum()), int(is_maze[0].sum())
        is_rectangle = is_maze.sum() == height * width and is_maze[:height, :width].all()
        cells = sheet[:height, :width].astype(np.int64) - FIRST_TOKEN
        is_read = height > 0 and is_rectangle and cells.max() < len(SIGNS)
        grids.append(invert_dihedral(cells.astype(np.uint8), variant.dihedral) if is_read else None)
    return grids


def solves_maze(maze: Grid, answer: Grid) -> bool:
    """Return whether an answer marks a shortest path, and changes nothing else.

    Of several shortest paths any will do.
    """
    if answer.size != maze.size:
        return False
    is_marked = answer.cells == PATH
    if (answer.cells != maze.cells)[~is_marked].any() or (maze.cells[is_marked] != FREE).any():
        return False
    distance = shortest_path(maze.cells)
    # As many cells as a shortest path has, and a way through them: all of them are on it.
    walled = np.where((answer.cells == FREE), WALL, answer.cells)
    return (
        distance is not None
        and int(is_marked.sum()) == distance - 1
        and shortest_path(walled) == distance
    )


def shortest_path(cells: Cells) -> int | None:
    """Return the number of moves from start to goal; None where no way leads there.

    Every cell that is no wall can be entered, from its four neighbours.
    """
    ((first_row, first_column),) = np.argwhere(cells == START).tolist()
    start = (first_row, first_column)
    distances: dict[Cell, int] = {start: 0}
    queue: deque[Cell] = deque([start])
    height, width = cells.shape
    while queue:
        row, column = queue.popleft()
        if cells[row, column] == GOAL:
            return distances[row, column]
        for near in ((row - 1, column), (row + 1, column), (row, column - 1), (row, column + 1)):
            if (
                near not in distances
                and 0 <= near[0] < height
                and 0 <= near[1] < width
                and cells[near] != WALL
            ):
                distances[near] = distances[row, column] + 1
                queue.append(near)
    return None


def parse_maze(value: object, path: Place) -> Grid:
    """Read a maze: rows of text, or one text with a line each, of the signs `# SG`.

    Raises: PuzzleError with the path of the first fault, also where start or goal is missing.
    """
    return _parse(value, path, SIGNS[:PATH])


def parse_solved_maze(value: object, path: Place) -> Grid:
    """Read a maze with its path marked `o`; else as `parse_maze`."""
    return _parse(value, path, SIGNS)


def check_way(maze: Grid, path: Place) -> None:
    """Check that a way leads from the start to the goal.

    Raises: PuzzleError.
    """
    if shortest_path(maze.cells) is None:
        raise PuzzleError(path, "no way leads from S to G; open a wall between them")


def maze_notes(maze: Grid) -> tuple[str, ...]:
    """Return nothing: every maze that is taken can be answered."""
    return ()


def maze_groups(maze: Grid) -> tuple[str, ...]:
    """Return the size of a maze in words."""
    return ("{} x {}".format(*maze.size),)


def _parse(value: object, path: Place, signs: str) -> Grid:
    rows = value.splitlines() if isinstance(value, str) else value
    if not isinstance(rows, list | tuple) or not all(isinstance(row, str) for row in rows):
        raise PuzzleError(path, "is not a maze; give a list of rows of text")
    if not 1 <= len(rows) <= MAX_SIDE:
        raise PuzzleError(path, f"{len(rows)} rows; a maze has 1..{MAX_SIDE}")
    for index, row in enumerate(rows):
        if len(row) != len(rows[0]) or not 1 <= len(row) <= MAX_SIDE:
            problem = f"{len(row)} columns; a maze has 1..{MAX_SIDE}, the same in every row"
            raise PuzzleError((*path, index), problem)
        for column, sign in enumerate(row):
            if sign not in signs:
                known = ", ".join(map(repr, signs))
                problem = f"column {column + 1}: {sign!a} is not one of {known}"
                raise PuzzleError((*path, index), problem)
    cells = np.array([[SIGNS.index(sign) for sign in row] for row in rows], dtype=np.uint8)
    for number, name in ((START, "start S"), (GOAL, "goal G")):
        found = int((cells == number).sum())
        if found != 1:
            raise PuzzleError(path, f"{found} cells are the {name}; a maze has exactly one")
    return Grid(cells)


def split_line(text: str) -> list[str]:
    """Split a maze of one line, as published files have it, into its rows; it is square.

    Raises: PuzzleError.
    """
    side = isqrt(len(text))
    if side * side != len(text):
        raise PuzzleError((), f"{len(text)} characters are no square maze")
    return [text[start : start + side] for start in range(0, len(text), side)]


def maze_rows(grid: Grid) -> list[str]:
    """Return a maze as rows of text."""
    return ["".join(SIGNS[cell] for cell in row) for row in grid.to_rows()]
