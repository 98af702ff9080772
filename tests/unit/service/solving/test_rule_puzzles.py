"""Puzzles with rules: the first answer that obeys them ends the vote, deeper variants come last."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rule_checkpoints import write_rule_checkpoint

from augment import MAZE, SUDOKU, Grid, Puzzle, find_solutions, parse_task
from bench.fake_engine import FakeEngine
from hrm_core import Checkpoint, Outcome, Sample, open_checkpoint
from service.runtime.choice import Candidate, choose_checkpoint
from service.solving.enrolment import NUM_RULE_VARIANTS, RowIndex
from service.solving.members import DEEP_SEGMENTS, FIRST_WAVE, Member
from service.solving.solve import Solving, solve
from service.wire.errors import EnrolmentError, KindUnserved
from service.wire.options import SolveOptions

EASY = "53..7....6..195....98....6.8...6...34..8.3..17...2...6.6....28....419..5....8..79"
PUZZLE = parse_task({"sudoku": EASY}, "mine").puzzle
(SOLUTION,) = find_solutions(PUZZLE.test[0]) or ()
WRONG = Grid(SOLUTION.cells[::-1].copy())


@pytest.fixture
def checkpoint(tmp_path: Path) -> Checkpoint:
    """Return a Sudoku checkpoint of random weights."""
    write_rule_checkpoint(tmp_path / "grids", SUDOKU, 9)
    return open_checkpoint(tmp_path / "grids")


class ScriptedEngine(FakeEngine):
    """Answers rightly once so many samples were asked for, or with so many segments."""

    def __init__(self, checkpoint: Checkpoint, member: Member, right_from: int) -> None:
        super().__init__(checkpoint, num_slots=4)
        self.variants, self.right_from = member.draw(None, 0).puzzle_rows.variants, right_from
        self.asked: list[int | None] = []

    def add(self, samples: Any, *, max_segments: int | None = None, **given: Any) -> None:
        samples = list(samples)
        self.asked += [max_segments] * len(samples)
        super().add(samples, max_segments=max_segments, **given)

    def _outcome(self, job: object, sample: Sample) -> Outcome:
        outcome = super()._outcome(job, sample)
        grid = SOLUTION if outcome.sample_id.variant_index >= self.right_from else WRONG
        if self.asked[-1] == DEEP_SEGMENTS:
            grid = SOLUTION
        variant = self.variants[outcome.sample_id.variant_index]
        tokens = SUDOKU.encode(grid, [variant], 9)[0].astype(np.uint8)
        predictions = tokens[None] if sample.is_traced else None
        return outcome._replace(tokens=tokens, predictions=predictions)


def run(
    checkpoint: Checkpoint, right_from: int, **options: Any
) -> tuple[Any, ScriptedEngine, Solving]:
    member = Member.find(RowIndex(checkpoint), PUZZLE)
    engine = ScriptedEngine(checkpoint, member, right_from)
    solving = Solving(PUZZLE, [member], SolveOptions(**options))
    solve([engine], [solving])
    assert solving.is_done
    assert engine.is_idle
    return solving.answer([SOLUTION]), engine, solving


def test_the_first_wave_suffices_where_a_variant_obeys_the_rules(checkpoint: Checkpoint) -> None:
    answer, engine, _ = run(checkpoint, right_from=0)

    (test,) = answer.tests
    assert answer.verified is test.verified is test.right is True
    assert (answer.enrolment, answer.warnings) == ("rules", ())
    assert test.attempts[0] == SOLUTION
    assert engine.asked == [None] * FIRST_WAVE
    assert answer.max_segments == checkpoint.config.max_segments < DEEP_SEGMENTS
    assert test.votes < FIRST_WAVE


def test_a_single_right_variant_beats_all_others(checkpoint: Checkpoint) -> None:
    answer, engine, solving = run(checkpoint, right_from=NUM_RULE_VARIANTS - 1)

    (test,) = answer.tests
    assert test.verified
    assert test.attempts == (SOLUTION, WRONG)
    assert test.candidates[0].count == 1
    assert engine.asked == [None] * NUM_RULE_VARIANTS
    assert solving.progress.asked == NUM_RULE_VARIANTS


def test_variants_get_more_segments_once_all_have_failed(checkpoint: Checkpoint) -> None:
    answer, engine, solving = run(checkpoint, right_from=NUM_RULE_VARIANTS)

    assert answer.verified
    assert engine.asked == [None] * NUM_RULE_VARIANTS + [DEEP_SEGMENTS] * FIRST_WAVE
    assert answer.max_segments == answer.members[0].max_segments == DEEP_SEGMENTS
    assert solving.progress.asked == NUM_RULE_VARIANTS + FIRST_WAVE


def test_a_number_of_segments_that_was_asked_for_is_kept(checkpoint: Checkpoint) -> None:
    answer, engine, _ = run(checkpoint, NUM_RULE_VARIANTS, max_segments=16, variants=3)

    (test,) = answer.tests
    assert engine.asked == [16] * 3
    assert answer.max_segments == 16
    assert answer.verified is test.verified is test.right is False
    assert test.attempts == (WRONG,)
    assert "obeys the rules" in answer.warnings[0]


def test_without_an_early_stop_all_variants_vote(checkpoint: Checkpoint) -> None:
    answer, engine, _ = run(checkpoint, right_from=2, stop_early=False, trace=True)

    (test,) = answer.tests
    assert engine.asked == [None] * NUM_RULE_VARIANTS
    assert test.variants_used == NUM_RULE_VARIANTS
    assert {trace.output for trace in test.variants} == {SOLUTION, WRONG}
    assert test.variants[1].rows != test.variants[1].columns


def test_several_solutions_are_said(checkpoint: Checkpoint) -> None:
    puzzle = parse_task({"sudoku": "." * 30 + EASY[30:]}, "mine").puzzle
    member = Member.find(RowIndex(checkpoint), puzzle)
    solving = Solving(puzzle, [member], SolveOptions())
    solve([ScriptedEngine(checkpoint, member, 0)], [solving])

    assert solving.answer().warnings == (
        "The Sudoku has several solutions; an answer is one of them.",
    )


def test_a_checkpoint_answers_its_own_kind_only(
    checkpoint: Checkpoint, tiny_row_index: RowIndex
) -> None:
    arc = Puzzle("arc", (), (SOLUTION,))
    with pytest.raises(EnrolmentError, match="Sudoku puzzles, and puzzle 'arc' is not"):
        RowIndex(checkpoint).find(arc)
    with pytest.raises(EnrolmentError, match="ARC puzzles, and puzzle 'mine' is not"):
        tiny_row_index.find(PUZZLE)


def test_the_kind_decides_which_checkpoint_is_chosen() -> None:
    arc = Candidate("arc", 30, crop=True, num_puzzles=400)
    grids = Candidate("grids", 9, crop=False, num_puzzles=0, is_base=False, kind="sudoku")
    maze = parse_task({"maze": ["S G"]}, "way").puzzle

    chosen = choose_checkpoint(PUZZLE, [arc, grids], [], adapt="auto", default="arc")
    assert (chosen.checkpoint, chosen.is_adapted) == ("grids", False)
    with pytest.raises(KindUnserved, match=f"no checkpoint for {MAZE.title}"):
        choose_checkpoint(maze, [arc, grids], [], adapt="auto", default="arc")
