"""Outcomes that arrive in any order, and any number at a time, give the same answer."""

import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rule_checkpoints import write_rule_checkpoint

from augment import MAZE, CropChoice, Grid, Puzzle, Task, parse_task
from augment.maze import PATH
from bench.fake_engine import FakeEngine
from hrm_core import Checkpoint, Outcome, Sample, open_checkpoint
from service.solving.enrolment import RowIndex
from service.solving.members import Member
from service.solving.solve import Solving, solve
from service.wire.answer import TestAnswer
from service.wire.options import SolveOptions

NUM_VARIANTS = 60
NUM_ORDERS = 12
GRIDS = [Grid.from_rows(rows) for rows in ([[1, 2], [3, 4]], [[5]], [[6, 7]], [[8], [9]])]


class ShuffledEngine(FakeEngine):
    """Hands out outcomes in an order, and in groups, that a seed draws.

    Most variants answer with the first grid, fewer with each one after it.
    """

    def __init__(
        self, checkpoint: Checkpoint, member: Member, grids: Sequence[Grid], seed: int
    ) -> None:
        super().__init__(checkpoint)
        self.member, self.grids, self.random = member, grids, random.Random(seed)
        shares = 0.3 ** np.arange(len(grids))
        drawn = np.random.default_rng(0).choice(len(grids), NUM_VARIANTS, p=shares / shares.sum())
        self.choices = drawn.tolist()

    def step(self) -> list[Outcome]:
        self.random.shuffle(self._waiting)
        self.num_slots = self.random.randint(1, 9)
        return super().step()

    def _outcome(self, job: object, sample: Sample) -> Outcome:
        index, side = sample.sample_id.variant_index, round(len(sample.tokens) ** 0.5)
        grid, variant = self.grids[self.choices[index]], self.member.puzzle_rows.variants[index]
        if not grid.fits(side):
            grid = Grid(grid.cells[:side, :side].copy())
        (tokens,) = self.member.kind.encode(grid, [variant], side)
        return super()._outcome(job, sample)._replace(tokens=tokens.astype(np.uint8))


def check_orders(
    checkpoint: Checkpoint, puzzle: Puzzle, members: Sequence[Member], *grids: Sequence[Grid]
) -> TestAnswer:
    """Check that orders of arrival make no difference, and return the answer."""
    found = []
    for seed in range(NUM_ORDERS):
        engines = [
            ShuffledEngine(checkpoint, member, mine, seed + 100 * index)
            for index, (member, mine) in enumerate(zip(members, grids, strict=True))
        ]
        solving = Solving(puzzle, members, SolveOptions())
        solve(engines, [solving])
        assert solving.is_done
        assert all(engine.is_idle for engine in engines)
        found.append((solving.answer().tests, solving.tallies))
    assert all(one == found[0] for one in found)
    (test,) = found[0][0]
    return test


@pytest.fixture
def checkpoint(tiny_folder: Path) -> Checkpoint:
    return open_checkpoint(tiny_folder)


@pytest.fixture
def puzzle(constant_tasks: tuple[Task, ...]) -> Puzzle:
    return replace(constant_tasks[0].puzzle, test=constant_tasks[0].puzzle.test[:1])


@pytest.fixture
def member(checkpoint: Checkpoint, puzzle: Puzzle) -> Member:
    """Return a member with 60 variants, made of six."""
    found = Member.find(RowIndex(checkpoint), puzzle)
    rows = found.puzzle_rows
    many = replace(rows, variants=rows.variants * 10, rows=np.resize(rows.rows, NUM_VARIANTS))
    return replace(found, puzzle_rows=many)


def test_an_early_end_counts_the_same_votes(
    checkpoint: Checkpoint, puzzle: Puzzle, member: Member
) -> None:
    test = check_orders(checkpoint, puzzle, [member], GRIDS)

    assert test.decided_early
    assert test.attempts[0] == GRIDS[0]


def test_an_ensemble_s_early_end_counts_the_same_votes(
    checkpoint: Checkpoint, puzzle: Puzzle, member: Member
) -> None:
    few = replace(member, name="few", puzzle_rows=member.puzzle_rows.draw(20, 0))
    test = check_orders(checkpoint, puzzle, [member, few], GRIDS, GRIDS[:2])

    assert test.decided_early
    assert all(share.variants_used for share in test.shares)


@pytest.mark.parametrize("size", [(5, 5), (4, 3)])
def test_a_crop_is_enlarged_or_not_by_the_same_votes(
    checkpoint: Checkpoint, puzzle: Puzzle, member: Member, size: tuple[int, int]
) -> None:
    cropped = replace(member, crop=CropChoice(4, (6, 8), (None,)))
    beside = replace(cropped, name="beside")
    large = Grid(np.arange(size[0] * size[1], dtype=np.uint8).reshape(size) % 10)
    check_orders(checkpoint, puzzle, [cropped, beside], [large, *GRIDS], [GRIDS[0], large])


def test_of_several_solutions_the_same_one_is_found(tmp_path: Path) -> None:
    maze = parse_task({"maze": ["S   ", " ## ", " ## ", "   G"]}, "around").puzzle
    write_rule_checkpoint(tmp_path / "mazes", MAZE, 4)
    checkpoint = open_checkpoint(tmp_path / "mazes")
    member = Member.find(RowIndex(checkpoint), maze)
    above, below = maze.test[0].cells.copy(), maze.test[0].cells.copy()
    above[0, 1:4] = above[1:3, 3] = PATH
    below[1:4, 0] = below[3, 1:3] = PATH
    ways = [Grid(above), Grid(below)]
    assert set(ShuffledEngine(checkpoint, member, ways, 0).choices[:8]) == {0, 1}

    assert check_orders(checkpoint, maze, [member], ways).verified
