"""Sudokus for training and for measuring: full grids by package sudoku, emptied cell by cell."""

import csv
from collections import Counter
from itertools import count
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from sudoku import Sudoku

from augment import SUDOKU, Grid, count_guesses, count_solutions, read_rule_file
from augment.sudoku import BOX, SIDE, sudoku_text
from service.cli.output import console, progress_line

# The number of givens is drawn from these; a Sudoku keeps more where all of them are needed.
NUM_GIVENS = {"mixed": (22, 46), "easy": (30, 46), "hard": (22, 29)}


def signature(solution: Grid) -> tuple[Any, ...]:
    """Return what all symmetries of a full grid have in common.

    For two lines of one band, following digits from one to the other closes cycles; no symmetry
    changes their lengths, only the order of bands, of the pairs in them, and of rows and columns.
    Grids with different signatures are not equal up to symmetry.
    """
    halves = [
        Counter(
            tuple(sorted(_cycles(lines[a], lines[b]) for a, b in ((0, 1), (0, 2), (1, 2))))
            for lines in np.split(cells, SIDE // BOX)
        )
        for cells in (solution.cells, solution.cells.T)
    ]
    return tuple(sorted(tuple(sorted(half.items())) for half in halves))


def _cycles(first: np.ndarray, second: np.ndarray) -> tuple[int, ...]:
    following = dict(zip(first.tolist(), second.tolist(), strict=True))
    lengths = []
    while following:
        start, digit = following.popitem()
        length = 1
        while digit != start:
            digit, length = following.pop(digit), length + 1
        lengths.append(length)
    return tuple(sorted(lengths))


def empty_cells(solution: Grid, num_givens: int, rng: np.random.Generator) -> Grid:
    """Empty cells in random order while the solution stays the only one, down to `num_givens`."""
    cells = solution.cells.copy()
    for cell in rng.permutation(cells.size).tolist():
        if np.count_nonzero(cells) == num_givens:
            break
        at = divmod(cell, SIDE)
        digit, cells[at] = cells[at], 0
        if count_solutions(Grid(cells)) != 1:
            cells[at] = digit
    return Grid(cells)


def sudoku_command(
    path: Annotated[Path, typer.Argument(help="The CSV file to write: q, a, rating.")],
    num: Annotated[int, typer.Option(min=1, help="How many puzzles.")] = 1000,
    kind: Annotated[
        str, typer.Option(help="mixed; easy: 30 givens or more; hard: 28 or fewer, with guesses.")
    ] = "mixed",
    apart_from: Annotated[
        list[Path] | None,
        typer.Option(help="Files; no puzzle may share a solution with one of theirs."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0)] = 0,
) -> None:
    """Make Sudokus with one solution each; the rating is the solver's number of guesses."""
    taken = {
        signature(example.answer)
        for source in apart_from or ()
        for example in read_rule_file(source, SUDOKU)
        if example.answer is not None
    }
    rng = np.random.default_rng(seed)
    rows: list[tuple[str, str, int]] = []
    with progress_line("making Sudokus", total=num) as line:
        for number in count(seed * 1_000_000):
            solution = Grid.from_rows(Sudoku(BOX, seed=number).solve().board)
            if signature(solution) in taken:
                continue
            taken.add(signature(solution))
            puzzle = empty_cells(solution, int(rng.integers(*NUM_GIVENS[kind])), rng)
            num_guesses = count_guesses(puzzle) or 0
            is_hard = num_guesses and np.count_nonzero(puzzle.cells) < NUM_GIVENS["hard"][1]
            if kind != "hard" or is_hard:
                rows.append((sudoku_text(puzzle), sudoku_text(solution), num_guesses))
                line.update(f"{len(rows)} of {num}", completed=len(rows))
            if len(rows) == num:
                break
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("q", "a", "rating"), *rows])
    console.print(f"{num} Sudokus: {path}", markup=False)
