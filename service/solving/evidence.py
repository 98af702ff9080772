"""How much better rows of a table answer a puzzle's demonstrations than rows at random do."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from augment import IDENTITY, Puzzle, Variant, encode
from hrm_core import Engine
from service.wire.errors import AlignmentError

MAX_PAIRS = 3
# Rows that stand for any row.
NUM_RANDOM_ROWS = 8
# Added to a loss, so that what all rows answer well is no evidence.
LOSS_FLOOR = 0.2


class Question(NamedTuple):
    """One demonstration of a puzzle in a variant, answered through a row."""

    puzzle_index: int
    pair_index: int
    row: int
    variant: Variant = IDENTITY


@dataclass(slots=True)
class Evidence:
    """The gains of rows over rows at random: the share of the loss that is gone, at most 1.

    Some puzzles are answered well through any row, and some hardly through their own, so losses do
    not compare. What random rows reach is found once for each demonstration, and holds for all of
    its variants.

    `num_asked` counts the samples that were computed.
    """

    engine: Engine
    puzzles: Sequence[Puzzle]
    num_asked: int = 0
    _pairs: list[tuple[int, ...]] = field(init=False)
    _expected: dict[tuple[int, int], float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        canvas = self.engine.checkpoint.config.canvas
        self._pairs = [
            tuple(
                index
                for index, pair in enumerate(puzzle.train)
                if pair.input.fits(canvas) and pair.output.fits(canvas)
            )[:MAX_PAIRS]
            for puzzle in self.puzzles
        ]
        for puzzle, pairs in zip(self.puzzles, self._pairs, strict=True):
            if not pairs:
                raise AlignmentError(
                    f"no demonstration of {puzzle.name} fits the canvas of {canvas} x {canvas}: "
                    "this checkpoint was not trained on it"
                )

    def pairs_of(self, puzzle_index: int) -> tuple[int, ...]:
        """Return the demonstrations that are asked, the first one first."""
        return self._pairs[puzzle_index]

    def gains(self, questions: Sequence[Question]) -> Iterator[list[float]]:
        """Yield the gains of all questions, some at a time and in order."""
        keys = dict.fromkeys((one.puzzle_index, one.pair_index) for one in questions)
        unknown = [key for key in keys if key not in self._expected]
        last_row = self.engine.checkpoint.rows.num_rows - 1
        random_rows = np.linspace(1, last_row, NUM_RANDOM_ROWS).astype(np.int64).tolist()
        reached: list[float] = []
        for part in self._ask([Question(*key, row) for key in unknown for row in random_rows]):
            reached += part.tolist()
            yield []
        means = np.array(reached).reshape(len(unknown), NUM_RANDOM_ROWS).mean(axis=1)
        self._expected |= dict(zip(unknown, means.tolist(), strict=True))
        start = 0
        for part in self._ask(questions):
            asked = questions[start : start + len(part)]
            start += len(part)
            at_random = [self._expected[one.puzzle_index, one.pair_index] for one in asked]
            yield ((part - at_random) / (LOSS_FLOOR - np.array(at_random))).tolist()

    def _ask(self, questions: Sequence[Question]) -> Iterator[npt.NDArray[np.float64]]:
        checkpoint = self.engine.checkpoint
        at_once = self.engine.num_slots
        for start in range(0, len(questions), at_once):
            asked = questions[start : start + at_once]
            pairs = [self.puzzles[one.puzzle_index].train[one.pair_index] for one in asked]
            tokens, labels = (
                encode(
                    [one.variant.apply(grid.cells) for one, grid in zip(asked, grids, strict=True)],
                    checkpoint.config.canvas,
                )
                for grids in zip(*((pair.input, pair.output) for pair in pairs), strict=True)
            )
            rows = checkpoint.rows.gather([one.row for one in asked])
            self.num_asked += len(asked)
            yield self.engine.log_likelihoods(tokens, rows, labels)
