"""A crop that turns out too small: the vote is made again on a larger one."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from augment import CropChoice, Grid, Puzzle, Task, encode
from bench.fake_engine import FakeEngine
from hrm_core import Checkpoint, Outcome, Sample, open_checkpoint
from service.solving.enrolment import RowIndex
from service.solving.members import Member
from service.solving.shards import from_counts, take_part, to_counts
from service.solving.solve import Solving, solve
from service.wire.options import SolveOptions

NUM_VARIANTS = 6
Solve = Callable[..., tuple[Solving, FakeEngine]]


class CuttingEngine(FakeEngine):
    """Answers every variant with what of the true output its square has room for.

    Without a true output, it fills the square with something else for each variant.
    """

    def __init__(self, checkpoint: Checkpoint, truth: Grid | None, member: Member) -> None:
        super().__init__(checkpoint, num_slots=4)
        self.truth, self.variants, self.sides = truth, member.puzzle_rows.variants, []

    def _outcome(self, job: object, sample: Sample) -> Outcome:
        side = round(len(sample.tokens) ** 0.5)
        self.sides.append(side)
        index = sample.sample_id.variant_index
        if self.truth is None:
            cells = np.full((side, side), index % 10, dtype=np.uint8)
            cells[0, 0] = index // 10
        else:
            cells = self.variants[index].apply(self.truth.cells)[:side, :side]
        tokens = encode([np.ascontiguousarray(cells)], side)[0].astype(np.uint8)
        predictions = tokens[None] if sample.is_traced else None
        return super()._outcome(job, sample)._replace(tokens=tokens, predictions=predictions)


@pytest.fixture
def checkpoint(tiny_folder: Path) -> Checkpoint:
    return open_checkpoint(tiny_folder)


@pytest.fixture
def puzzle(constant_tasks: tuple[Task, ...]) -> Puzzle:
    """Return a known puzzle, with one test input."""
    return replace(constant_tasks[0].puzzle, test=constant_tasks[0].puzzle.test[:1])


@pytest.fixture
def solved(checkpoint: Checkpoint, puzzle: Puzzle) -> Solve:
    """Solve the puzzle on a crop of 4 cells a side and larger ones, with a vote each."""

    def run(
        *truths: Grid,
        larger: Sequence[int] = (6, 8),
        predicted: tuple[int, int] | None = None,
        stop_early: bool = False,
    ) -> tuple[Solving, list[CuttingEngine]]:
        enrolled = Member.find(RowIndex(checkpoint), puzzle)
        crop = CropChoice(4, tuple(larger), (predicted,))
        members = [replace(enrolled, name=str(i), crop=crop) for i in range(len(truths))]
        engines = [CuttingEngine(checkpoint, truth, enrolled) for truth in truths]
        solving = Solving(puzzle, members, SolveOptions(stop_early=stop_early, trace=True))
        solve(engines, [solving])
        assert solving.is_done
        assert not solving.engines
        assert all(engine.is_idle for engine in engines)
        return solving, engines

    return run


def grid(height: int, width: int) -> Grid:
    cells = np.arange(height * width, dtype=np.uint8).reshape(height, width) % 10
    return Grid(cells)


@pytest.mark.parametrize("stop_early", [False, True])
@pytest.mark.parametrize(("size", "side"), [((5, 5), 6), ((3, 6), 6), ((7, 5), 8)])
def test_an_output_that_was_cut_is_answered_whole_on_a_larger_crop(
    solved: Solve, size: tuple[int, int], side: int, stop_early: bool
) -> None:
    solving, _ = solved(grid(*size), stop_early=stop_early)

    (test,) = solving.answer().tests
    assert test.attempts[0] == grid(*size)
    assert test.shares[0].side == side
    assert {trace.output for trace in test.variants or ()} == {grid(*size)}
    assert {trace.predictions for trace in test.variants or ()} == {(grid(*size),)}


def test_every_variant_votes_again_and_progress_counts_both(solved: Solve) -> None:
    solving, (engine,) = solved(grid(5, 5))

    assert engine.sides == [4] * NUM_VARIANTS + [6] * NUM_VARIANTS
    assert solving.progress.outcomes == solving.progress.asked == 2 * NUM_VARIANTS
    (test,) = solving.answer().tests
    assert test.variants_used == test.variants_asked == NUM_VARIANTS
    assert test.segments == 2 * NUM_VARIANTS


def test_votes_that_find_nothing_beyond_the_edge_are_taken_back(solved: Solve) -> None:
    solving, (engine,) = solved(grid(4, 3))

    assert engine.sides == [4] * NUM_VARIANTS + [6] * NUM_VARIANTS
    (test,) = solving.answer().tests
    assert test.shares[0].side == 4
    assert test.attempts == (grid(4, 3),)
    assert [trace.predictions for trace in test.variants or ()] == [(grid(4, 3),)] * NUM_VARIANTS
    assert test.variants_used == NUM_VARIANTS


@pytest.mark.parametrize(
    ("size", "options"),
    [
        ((3, 3), {}),
        ((4, 4), {"predicted": (4, 4)}),
        ((4, 3), {"predicted": (4, 3)}),
        ((6, 6), {"larger": ()}),
    ],
)
def test_an_answer_that_is_closed_or_foreseen_stands(
    solved: Solve, size: tuple[int, int], options: dict[str, object]
) -> None:
    _, (engine,) = solved(grid(*size), **options)

    assert set(engine.sides) == {4}


def test_a_network_that_knows_nothing_is_not_asked_again(
    checkpoint: Checkpoint, puzzle: Puzzle
) -> None:
    enrolled = Member.find(RowIndex(checkpoint), puzzle)
    rows = enrolled.puzzle_rows
    many = replace(rows, variants=rows.variants[:1] * 32, rows=np.resize(rows.rows, 32))
    member = replace(enrolled, puzzle_rows=many, crop=CropChoice(4, (6, 8), (None,)))
    engine = CuttingEngine(checkpoint, None, member)
    solving = Solving(puzzle, [member], SolveOptions(stop_early=False))

    solve([engine], [solving])

    assert engine.sides == [4] * 32


@pytest.mark.parametrize("stop_early", [False, True])
def test_each_member_has_its_own_crop(solved: Solve, stop_early: bool) -> None:
    solving, engines = solved(grid(5, 5), grid(3, 3), grid(4, 4), stop_early=stop_early)

    (test,) = solving.answer().tests
    assert [share.side for share in test.shares] == [6, 4, 4]
    assert [max(engine.sides) for engine in engines] == [6, 4, 6]
    assert {candidate.grid for candidate in test.candidates} == {
        grid(5, 5),
        grid(3, 3),
        grid(4, 4),
    }


@pytest.mark.parametrize("num_slots", [(1, 6), (6, 1), (2, 3), (1, 2)])
def test_members_at_different_speeds_have_each_ballot_once(
    checkpoint: Checkpoint, puzzle: Puzzle, num_slots: tuple[int, int]
) -> None:
    enrolled = Member.find(RowIndex(checkpoint), puzzle)
    truths = (grid(5, 5), grid(4, 4))
    crop = CropChoice(4, (6, 8), (None,))
    members = [replace(enrolled, name=str(i), crop=crop) for i in range(2)]
    engines = [CuttingEngine(checkpoint, truth, enrolled) for truth in truths]
    for engine, count in zip(engines, num_slots, strict=True):
        engine.num_slots = count
    solving = Solving(puzzle, members, SolveOptions(attempts=1))

    solve(engines, [solving])

    assert solving.is_done
    assert all(engine.is_idle for engine in engines)
    (test,) = solving.answer().tests
    for share in test.shares:
        assert share.variants_used <= share.variants_asked
    assert {candidate.grid for candidate in test.candidates} <= set(truths)


def test_votes_counted_in_shards_are_made_again_on_a_larger_crop(
    checkpoint: Checkpoint, puzzle: Puzzle, solved: Solve
) -> None:
    whole, _ = solved(grid(5, 5))
    enrolled = Member.find(RowIndex(checkpoint), puzzle)
    member = replace(enrolled, name="0", crop=CropChoice(4, (6, 8), (None,)))
    options = SolveOptions(stop_early=False)
    counts: Counter[str] = Counter()
    for part in (range(2), range(2, NUM_VARIANTS)):
        taken = take_part(member, part, NUM_VARIANTS, options)
        engine = CuttingEngine(checkpoint, grid(5, 5), taken)
        shard = Solving(puzzle, [taken], options)
        solve([engine], [shard])
        assert engine.sides == [4] * len(part)  # whether outputs are cut is seen in all votes
        counts.update(to_counts(shard.counted))

    closing = Solving(puzzle, [member], options, from_counts(counts, 1))
    engine = CuttingEngine(checkpoint, grid(5, 5), member)
    solve([engine], [closing])

    assert engine.sides == [6] * NUM_VARIANTS
    assert closing.progress == whole.progress
    (test,), (expected,) = closing.answer().tests, whole.answer().tests
    assert test.attempts == expected.attempts
    assert test.shares == expected.shares
