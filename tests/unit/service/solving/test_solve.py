"""Solving on a checkpoint that answers, and on one with divided votes."""

from dataclasses import replace
from typing import Any, get_args

import pytest

from augment import CanvasError, Grid, Puzzle, Task
from hrm_core import Engine
from service.solving.enrolment import RowIndex
from service.solving.members import Member
from service.solving.solve import Solving, solve
from service.wire.answer import Answer
from service.wire.job import ProgressSummary
from service.wire.options import Halting, Ranking, SolveOptions

pytestmark = pytest.mark.usefixtures("one_thread")

NUM_VARIANTS = 6
WHOLE = SolveOptions(stop_early=False)


def solved(
    engine: Engine, row_index: RowIndex, puzzles: list[Puzzle], options: SolveOptions = WHOLE
) -> list[Answer]:
    solvings = [Solving(puzzle, [Member.find(row_index, puzzle)], options) for puzzle in puzzles]
    solve([engine], solvings)
    return [solving.answer() for solving in solvings]


def votes(answer: Answer) -> list[Any]:
    return [(test.candidates, test.abstained) for test in answer.tests]


@pytest.fixture
def puzzles(constant_tasks: tuple[Task, ...]) -> list[Puzzle]:
    return [task.puzzle for task in constant_tasks]


def test_a_trained_checkpoint_answers_what_it_learnt(
    tiny_engine: Engine, tiny_row_index: RowIndex, constant_tasks: tuple[Task, ...]
) -> None:
    answers = solved(tiny_engine, tiny_row_index, [task.puzzle for task in constant_tasks])

    for answer, task in zip(answers, constant_tasks, strict=True):
        assert tuple(test.attempts[0] for test in answer.tests) == task.expected


def test_the_whole_vote_hears_every_variant_of_every_test_input(
    early_engine: Engine, early_row_index: RowIndex, puzzles: list[Puzzle]
) -> None:
    for answer in solved(early_engine, early_row_index, puzzles):
        for test in answer.tests:
            assert test.variants_used == test.variants_asked == NUM_VARIANTS
            assert test.votes + test.abstained == NUM_VARIANTS
            assert sum(candidate.count for candidate in test.candidates) == test.votes
            assert not test.decided_early


@pytest.mark.parametrize("ranking", get_args(Ranking))
@pytest.mark.parametrize("num_attempts", [1, 2, 3])
@pytest.mark.parametrize("name", ["tiny", "early"])
def test_an_early_stop_gives_the_attempts_of_the_whole_vote(
    request: pytest.FixtureRequest,
    puzzles: list[Puzzle],
    name: str,
    num_attempts: int,
    ranking: Ranking,
) -> None:
    engine = request.getfixturevalue(f"{name}_engine")
    row_index = request.getfixturevalue(f"{name}_row_index")
    options = SolveOptions(attempts=num_attempts, ranking=ranking)

    early = solved(engine, row_index, puzzles, options)
    whole = solved(engine, row_index, puzzles, options.with_changes(stop_early=False))

    for one, other in zip(early, whole, strict=True):
        assert [t.attempts for t in one.tests] == [t.attempts for t in other.tests]


def test_an_agreed_vote_stops_early_and_says_so(
    tiny_engine: Engine, tiny_row_index: RowIndex, puzzles: list[Puzzle]
) -> None:
    (answer,) = solved(tiny_engine, tiny_row_index, puzzles[:1], SolveOptions(attempts=1))

    for test in answer.tests:
        assert NUM_VARIANTS // 2 < test.variants_used < NUM_VARIANTS
        assert test.decided_early
    assert tiny_engine.is_idle


def test_a_decided_test_input_leaves_the_engine(
    tiny_engine: Engine, tiny_row_index: RowIndex, puzzles: list[Puzzle]
) -> None:
    fixed = SolveOptions(attempts=1, halting="fixed")
    num_steps = []
    for options in (fixed, fixed.with_changes(stop_early=False)):
        before = tiny_engine.num_steps
        solved(tiny_engine, tiny_row_index, puzzles[:1], options)
        num_steps.append(tiny_engine.num_steps - before)

    # 12 samples over 4 slots, 3 segments each; four votes of one mind decide among six.
    assert num_steps == [2 * 3, 3 * 3]


def test_the_same_seed_gives_the_same_answer(
    early_engine: Engine, early_row_index: RowIndex, puzzles: list[Puzzle]
) -> None:
    options = SolveOptions(variants=4, seed=5, stop_early=False)

    one, other = (solved(early_engine, early_row_index, puzzles, options) for _ in range(2))

    assert [a.document | {"timings_s": 0} for a in one] == [
        a.document | {"timings_s": 0} for a in other
    ]


def test_the_seed_draws_the_variants(early_row_index: RowIndex, puzzles: list[Puzzle]) -> None:
    member = Member.find(early_row_index, puzzles[0])
    drawn = {
        Solving(puzzles[0], [member], SolveOptions(variants=3, seed=seed))
        .members[0]
        .puzzle_rows.variants
        for seed in range(8)
    }

    assert len(drawn) > 1
    assert all(len(variants) == 3 for variants in drawn)


@pytest.mark.parametrize("halting", get_args(Halting))
def test_puzzles_that_share_an_engine_answer_as_isolated(
    early_engine: Engine, early_row_index: RowIndex, puzzles: list[Puzzle], halting: Halting
) -> None:
    options = WHOLE.with_changes(halting=halting)

    together = solved(early_engine, early_row_index, puzzles, options)

    for puzzle, answer in zip(puzzles, together, strict=True):
        (isolated,) = solved(early_engine, early_row_index, [puzzle], options)
        assert isolated.tests == answer.tests


def test_equal_test_inputs_have_a_tally_each(
    early_engine: Engine, early_row_index: RowIndex, puzzles: list[Puzzle]
) -> None:
    assert puzzles[0].test[0] == puzzles[0].test[1]

    (answer,) = solved(early_engine, early_row_index, puzzles[:1])

    assert [test.variants_used for test in answer.tests] == [NUM_VARIANTS] * 2
    assert answer.tests[0] == answer.tests[1]


def test_fixed_halting_takes_all_segments_and_act_no_more(
    tiny_engine: Engine, tiny_row_index: RowIndex, puzzles: list[Puzzle]
) -> None:
    num_segments = {
        halting: [
            test.segments
            for answer in solved(
                tiny_engine,
                tiny_row_index,
                puzzles,
                WHOLE.with_changes(halting=halting, max_segments=6),
            )
            for test in answer.tests
        ]
        for halting in get_args(Halting)
    }

    most = NUM_VARIANTS * 6
    assert num_segments["fixed"] == [most] * 5
    assert sum(num_segments["act"]) < 5 * most


def test_the_limit_of_segments_holds(
    early_engine: Engine, early_row_index: RowIndex, puzzles: list[Puzzle]
) -> None:
    options = WHOLE.with_changes(max_segments=1, halting="fixed")

    (answer,) = solved(early_engine, early_row_index, puzzles[1:2], options)

    assert answer.members[0].max_segments == 1
    assert answer.tests[0].segments == NUM_VARIANTS


def test_a_test_input_larger_than_the_canvas_stops_everything_before_it_runs(
    tiny_engine: Engine, tiny_row_index: RowIndex, puzzles: list[Puzzle]
) -> None:
    large = replace(puzzles[1], test=(*puzzles[1].test, Grid.from_rows([[1, 2, 3, 4]])))
    num_steps = tiny_engine.num_steps

    with pytest.raises(CanvasError, match="1 x 4"):
        solved(tiny_engine, tiny_row_index, [puzzles[0], large])

    assert tiny_engine.num_steps == num_steps
    assert tiny_engine.is_idle


def test_progress_counts_up_to_all_that_was_asked(
    tiny_engine: Engine, tiny_row_index: RowIndex, puzzles: list[Puzzle]
) -> None:
    solving = Solving(puzzles[0], [Member.find(tiny_row_index, puzzles[0])], WHOLE)
    seen: list[ProgressSummary] = [solving.progress]

    solve([tiny_engine], [solving], lambda: seen.append(solving.progress))

    counts = [progress.outcomes for progress in seen]
    assert counts == sorted(counts)
    assert (seen[0].outcomes, seen[0].decided) == (0, 0)
    assert seen[-1] == ProgressSummary(
        outcomes=2 * NUM_VARIANTS, asked=2 * NUM_VARIANTS, decided=2, test_inputs=2
    )
    assert solving.is_done


def test_an_answer_says_what_it_was_made_with(
    early_engine: Engine, early_row_index: RowIndex, puzzles: list[Puzzle]
) -> None:
    options = SolveOptions(
        variants=2,
        attempts=3,
        halting="fixed",
        max_segments=2,
        ranking="q_weighted",
        seed=7,
        stop_early=False,
    )
    renamed = replace(puzzles[3], name="upload")

    (answer,) = solved(early_engine, early_row_index, [renamed], options)

    document = answer.document
    expected = {
        "puzzle": "upload",
        "enrolled_as": "column",
        "enrolment": "trained",
        "checkpoint": early_engine.checkpoint.folder.name,
        "checkpoint_sha256": early_engine.checkpoint.sha256,
        "halting": "fixed",
        "max_segments": 2,
        "ranking": "q_weighted",
        "seed": 7,
        "stop_early": False,
        "device": "cpu",
        "precision": "float32",
        "slots": early_engine.num_slots,
    }
    assert {key: document[key] for key in expected} == expected
    assert document["timings_s"].keys() == {"encode", "run", "vote"}
    assert all(seconds >= 0 for seconds in document["timings_s"].values())
    assert document["tests"][0]["variants_asked"] == 2
