"""A solver of Sudokus: how many solutions there are, and how hard the way to them is."""

from dataclasses import dataclass

import numpy as np

from augment.errors import Place, PuzzleError
from augment.puzzle import Grid
from augment.sudoku import SIDE, UNITS

ALL_DIGITS = 0b111111111
# Of the search. Proper Sudokus take some hundred; only grids with very few givens take more.
MAX_GUESSES = 20_000
_GIVENS_STEP = 4

_UNITS = tuple(tuple(unit) for unit in UNITS.tolist())
_PEERS = tuple(
    tuple({peer for unit in _UNITS if cell in unit for peer in unit} - {cell})
    for cell in range(SIDE * SIDE)
)


class _GuessesSpentError(Exception):
    """The search took too many guesses."""


@dataclass(slots=True)
class _Search:
    """A search for up to `wanted` solutions; candidates are bit sets, a cell each."""

    wanted: int
    found: list[list[int]]
    num_guesses: int = 0

    def run(self, candidates: list[int]) -> None:
        """Collect the solutions that some candidates leave.

        Raises: _GuessesSpentError.
        """
        open_cells = [cell for cell, bits in enumerate(candidates) if bits.bit_count() > 1]
        if not open_cells:
            self.found.append(candidates)
            return
        cell = min(open_cells, key=lambda one: candidates[one].bit_count())
        bits = candidates[cell]
        while bits and len(self.found) < self.wanted:
            digit, bits = bits & -bits, bits & (bits - 1)
            self.num_guesses += 1
            if self.num_guesses > MAX_GUESSES:
                raise _GuessesSpentError
            branch = candidates.copy()
            if _assign(branch, cell, digit) and _place_hidden_singles(branch):
                self.run(branch)


def count_solutions(givens: Grid, most: int = 2) -> int | None:
    """Return the number of solutions, counted up to `most`; None where the search takes too long.

    Givens must not contradict each other.
    """
    solutions = find_solutions(givens, most)
    return None if solutions is None else len(solutions)


def find_solutions(givens: Grid, most: int = 2) -> list[Grid] | None:
    """Return up to `most` solutions; None where the search takes too long."""
    search = _search(givens, most)
    return None if search is None else [_grid(solution) for solution in search.found]


def check_solvable(givens: Grid, path: Place) -> None:
    """Check that a Sudoku has a solution; one that takes too long to search counts as solvable.

    Raises: PuzzleError.
    """
    if count_solutions(givens, most=1) == 0:
        raise PuzzleError(path, "has no solution: its givens contradict each other; check them")


def solution_notes(givens: Grid) -> tuple[str, ...]:
    """Return a sentence where a Sudoku is known to have several solutions."""
    num_solutions = count_solutions(givens)
    if num_solutions is None or num_solutions < 2:
        return ()
    return ("The Sudoku has several solutions; an answer is one of them.",)


def sudoku_groups(givens: Grid) -> tuple[str, ...]:
    """Return in words about how many givens a Sudoku has, and whether it needs guessing."""
    first = int(np.count_nonzero(givens.cells)) // _GIVENS_STEP * _GIVENS_STEP
    return (
        f"{first} to {first + _GIVENS_STEP - 1} givens",
        "single candidates suffice" if count_guesses(givens) == 0 else "needs guessing",
    )


def count_guesses(givens: Grid) -> int | None:
    """Return how often single candidates, naked and hidden, do not suffice to find all solutions.

    It is 0 where they solve the Sudoku, and None where the search takes too long.
    """
    search = _search(givens, most=2)
    return None if search is None else search.num_guesses


def _search(givens: Grid, most: int) -> _Search | None:
    search, candidates = _Search(most, []), _candidates(givens)
    try:
        if candidates is not None:
            search.run(candidates)
    except _GuessesSpentError:
        return None
    return search


def _candidates(givens: Grid) -> list[int] | None:
    """Return what single candidates leave in each cell; None where a cell is left without."""
    candidates = [ALL_DIGITS] * (SIDE * SIDE)
    for cell, digit in enumerate(givens.cells.ravel().tolist()):
        if digit and not _assign(candidates, cell, 1 << (digit - 1)):
            return None
    return candidates if _place_hidden_singles(candidates) else None


def _assign(candidates: list[int], cell: int, digit: int) -> bool:
    """Place a digit, and all that it makes single; return whether no cell is left without."""
    if not candidates[cell] & digit:
        return False
    candidates[cell] = digit
    queue = [cell]
    while queue:
        done = queue.pop()
        bit = candidates[done]
        for peer in _PEERS[done]:
            if candidates[peer] & bit:
                candidates[peer] &= ~bit
                if not candidates[peer]:
                    return False
                if candidates[peer].bit_count() == 1:
                    queue.append(peer)
    return True


def _place_hidden_singles(candidates: list[int]) -> bool:
    """Place digits that fit only one cell of a unit; return whether each digit has a cell."""
    is_changed = True
    while is_changed:
        is_changed = False
        for unit in _UNITS:
            once = twice = 0
            for cell in unit:
                twice |= once & candidates[cell]
                once |= candidates[cell]
            if once != ALL_DIGITS:
                return False
            for cell in unit:
                hidden = candidates[cell] & once & ~twice
                if hidden and candidates[cell] != hidden:
                    if hidden.bit_count() > 1 or not _assign(candidates, cell, hidden):
                        return False
                    is_changed = True
    return True


def _grid(solution: list[int]) -> Grid:
    digits = [bits.bit_length() for bits in solution]
    return Grid.from_rows([digits[start : start + SIDE] for start in range(0, SIDE**2, SIDE)])
