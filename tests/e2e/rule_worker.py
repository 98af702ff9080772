"""A worker that answers Sudokus and mazes rightly, without a network, in two segments."""

import sys
from typing import Any

import numpy as np
import numpy.typing as npt

from augment import MAZE, SUDOKU, Grid, find_solutions
from augment.maze import FREE, PATH, WALL, shortest_path
from augment.variants import IDENTITY
from bench.fake_engine import FakeEngine
from hrm_core import Outcome, Sample
from service.runtime.logs import configure_logging
from service.runtime.settings import Settings
from service.worker import run_worker


class RuleEngine(FakeEngine):
    """An engine that finds the answer to each variant by search."""

    def _outcome(self, job: object, sample: Sample) -> Outcome:
        outcome = super()._outcome(job, sample)
        side = self.checkpoint.config.canvas
        is_sudoku = self.checkpoint.config.vocab_size == SUDOKU.vocabulary
        tokens = _solve_sudoku(sample.tokens) if is_sudoku else _solve_maze(sample.tokens, side)
        predictions = np.stack([outcome.tokens, tokens]) if sample.is_traced else None
        return outcome._replace(tokens=tokens, steps=2, predictions=predictions)


def _solve_sudoku(tokens: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    (solution, *_) = find_solutions(Grid(tokens.reshape(9, 9) - 1)) or ()
    return (solution.cells.ravel() + 1).astype(np.uint8)


def _solve_maze(tokens: npt.NDArray[Any], side: int) -> npt.NDArray[np.uint8]:
    """Block free cells, one by one, where a way as short remains; what is left is the path."""
    (cells,) = MAZE.decode(tokens[None], [IDENTITY])
    assert cells is not None
    blocked = cells.copy()
    distance = shortest_path(cells)
    for row, column in np.argwhere(cells == FREE).tolist():
        blocked[row, column] = WALL
        if shortest_path(blocked) != distance:
            blocked[row, column] = FREE
    answer = np.where(blocked == FREE, PATH, cells)
    encoded: npt.NDArray[Any] = MAZE.encode(Grid(answer), [IDENTITY], side)
    return encoded[0].astype(np.uint8)


def main() -> int:
    """Run the worker; gives the exit code."""
    settings = Settings.load()
    configure_logging(settings, "worker")
    return run_worker(settings, RuleEngine)


if __name__ == "__main__":
    sys.exit(main())
