"""Several checkpoints that vote on one puzzle."""

import gc
import weakref
from dataclasses import replace

import pytest

from augment import CanvasError, Grid, Puzzle, Task
from bench.fake_engine import FakeEngine
from hrm_core import Engine, group_by_job
from service.solving.enrolment import RowIndex
from service.solving.members import Member
from service.solving.solve import Solving, solve
from service.wire.answer import Answer
from service.wire.errors import InputError, UnknownPuzzle
from service.wire.options import SolveOptions
from voting import Ranking, Tally, rank

pytestmark = pytest.mark.usefixtures("one_thread")

NUM_VARIANTS = 6
WHOLE = SolveOptions(stop_early=False)


@pytest.fixture(scope="module")
def engines(tiny_engine: Engine, early_engine: Engine) -> tuple[Engine, Engine]:
    """Return an engine of a checkpoint that answers, and one of a checkpoint in doubt."""
    return tiny_engine, early_engine


@pytest.fixture(scope="module")
def row_indexes(tiny_row_index: RowIndex, early_row_index: RowIndex) -> tuple[RowIndex, RowIndex]:
    """Return their row_indexes."""
    return tiny_row_index, early_row_index


@pytest.fixture
def puzzles(constant_tasks: tuple[Task, ...]) -> list[Puzzle]:
    """Return puzzles that both know; the first has two test inputs."""
    return [task.puzzle for task in constant_tasks]


def members_of(row_indexes: tuple[RowIndex, ...], puzzle: Puzzle) -> list[Member]:
    names = ("sure", "unsure")
    return [
        Member.find(row_index, puzzle, name=name)
        for row_index, name in zip(row_indexes, names, strict=True)
    ]


def solved(
    engines: tuple[Engine, ...],
    row_indexes: tuple[RowIndex, ...],
    puzzles: list[Puzzle],
    options: SolveOptions = WHOLE,
) -> list[Answer]:
    solvings = [Solving(puzzle, members_of(row_indexes, puzzle), options) for puzzle in puzzles]
    solve(engines, solvings)
    assert all(engine.is_idle for engine in engines)
    return [solving.answer() for solving in solvings]


def isolated(engine: Engine, row_index: RowIndex, puzzle: Puzzle) -> Answer:
    solving = Solving(puzzle, [Member.find(row_index, puzzle)], WHOLE)
    solve([engine], [solving])
    return solving.answer()


def run_until_idle(engine: Engine) -> None:
    while not engine.is_idle:
        for solving, outcomes in group_by_job(engine.step()).items():
            solving.receive(outcomes)


@pytest.mark.parametrize("ranking", list(Ranking))
def test_the_votes_are_those_of_each_isolated_checkpoint_added_up(
    engines: tuple[Engine, Engine],
    row_indexes: tuple[RowIndex, RowIndex],
    puzzles: list[Puzzle],
    ranking: Ranking,
) -> None:
    options = WHOLE.with_changes(ranking=ranking.value)

    for puzzle, answer in zip(puzzles, solved(engines, row_indexes, puzzles, options), strict=True):
        pairs = [
            (engine, [Member.find(one, puzzle)])
            for engine, one in zip(engines, row_indexes, strict=True)
        ]
        solvings = [Solving(puzzle, members, WHOLE) for _, members in pairs]
        for (engine, _), solving in zip(pairs, solvings, strict=True):
            solve([engine], [solving])
        one, other = (solving.answer() for solving in solvings)
        tallies = zip(*(solving.tallies for solving in solvings), strict=True)
        for test, mine, others, both in zip(
            answer.tests, one.tests, other.tests, tallies, strict=True
        ):
            assert [share.votes for share in test.shares] == [tally.num_votes for tally in both]
            assert [(c.grid, c.count, c.share, c.mean_q_halt) for c in test.candidates] == [
                (c.grid, c.count, c.share, c.mean_q_halt) for c in rank(Tally.merge(*both), ranking)
            ]
            assert test.segments == mine.segments + others.segments


def test_shares_and_candidates_show_the_votes_of_each(
    engines: tuple[Engine, Engine],
    row_indexes: tuple[RowIndex, RowIndex],
    puzzles: list[Puzzle],
) -> None:
    documents = [answer.document for answer in solved(engines, row_indexes, puzzles)]

    for test in (test for document in documents for test in document["tests"]):
        shares = test["shares"]
        assert [share["checkpoint"] for share in shares] == ["sure", "unsure"]
        assert sum(share["share"] for share in shares) == pytest.approx(1)
        for name in ("votes", "abstained", "variants_used", "variants_asked", "segments"):
            assert sum(share[name] for share in shares) == test[name]
        for share in shares:
            assert share["variants_used"] == share["variants_asked"] == NUM_VARIANTS
            assert share["share"] == share["votes"] / test["votes"]
            counts = [c["by_checkpoint"].get(share["checkpoint"], 0) for c in test["candidates"]]
            assert sum(counts) == share["votes"]
        for candidate in test["candidates"]:
            assert sum(candidate["by_checkpoint"].values()) == candidate["count"]
    # The one in doubt has named grids that the sure one has not.
    named = [c["by_checkpoint"] for d in documents for t in d["tests"] for c in t["candidates"]]
    assert {"sure", "unsure"} in [counts.keys() for counts in named]
    assert {"unsure"} in [counts.keys() for counts in named]


def test_an_isolated_checkpoint_has_one_share_and_no_counts_by_checkpoint(
    engines: tuple[Engine, Engine], row_indexes: tuple[RowIndex, RowIndex], puzzles: list[Puzzle]
) -> None:
    document = isolated(engines[1], row_indexes[1], puzzles[0]).document

    (member,) = document["members"]
    assert {key: document[key] for key in member} == member
    for test in document["tests"]:
        (share,) = test["shares"]
        assert (share["checkpoint"], share["share"]) == (member["checkpoint"], 1.0)
        assert all("by_checkpoint" not in candidate for candidate in test["candidates"])


def test_members_are_listed_and_the_first_one_at_the_top(
    engines: tuple[Engine, Engine], row_indexes: tuple[RowIndex, RowIndex], puzzles: list[Puzzle]
) -> None:
    (answer,) = solved(engines, row_indexes, puzzles[3:], WHOLE.with_changes(variants=2))

    document = answer.document
    main, other = document["members"]
    assert main == {
        "checkpoint": "sure",
        "checkpoint_sha256": engines[0].checkpoint.sha256,
        "enrolled_as": "column",
        "enrolment": "trained",
        "adaptation": None,
        "max_segments": engines[0].checkpoint.config.halt_max_steps,
        "precision": "float32",
        "attention": engines[0].attention.name,
        "slots": engines[0].num_slots,
    }
    assert (other["checkpoint"], other["checkpoint_sha256"]) == (
        "unsure",
        engines[1].checkpoint.sha256,
    )
    assert {key: document[key] for key in main} == main
    assert [share["variants_asked"] for share in document["tests"][0]["shares"]] == [2, 2]


@pytest.mark.parametrize("ranking", list(Ranking))
@pytest.mark.parametrize("num_attempts", [1, 2, 3])
def test_an_early_stop_gives_the_attempts_of_the_whole_vote(
    engines: tuple[Engine, Engine],
    row_indexes: tuple[RowIndex, RowIndex],
    puzzles: list[Puzzle],
    num_attempts: int,
    ranking: Ranking,
) -> None:
    options = SolveOptions(attempts=num_attempts, ranking=ranking.value)

    early = solved(engines, row_indexes, puzzles, options)
    whole = solved(engines, row_indexes, puzzles, options.with_changes(stop_early=False))

    for one, other in zip(early, whole, strict=True):
        assert [t.attempts for t in one.tests] == [t.attempts for t in other.tests]


def test_a_settled_input_leaves_every_engine(
    tiny_engine: Engine, tiny_row_index: RowIndex, puzzles: list[Puzzle]
) -> None:
    engines = (tiny_engine, Engine(tiny_engine.checkpoint, tiny_engine.config))
    fixed = SolveOptions(attempts=1, halting="fixed")
    num_steps = []
    for options in (fixed, fixed.with_changes(stop_early=False)):
        before = [engine.num_steps for engine in engines]
        (answer,) = solved(engines, (tiny_row_index, tiny_row_index), puzzles[:1], options)
        num_steps.append(
            [engine.num_steps - was for engine, was in zip(engines, before, strict=True)]
        )
        assert all(test.decided_early == options.stop_early for test in answer.tests)

    # 12 samples over 4 slots each, 3 segments; seven votes of one mind decide among twelve.
    assert num_steps == [[2 * 3] * 2, [3 * 3] * 2]


def test_nothing_is_settled_before_the_last_member_has_entered(
    engines: tuple[Engine, Engine], row_indexes: tuple[RowIndex, RowIndex], puzzles: list[Puzzle]
) -> None:
    sure, unsure = members_of(row_indexes, puzzles[0])
    solving = Solving(puzzles[0], [sure, unsure.draw(2, 0)], SolveOptions(attempts=1))

    solving.enter(0, engines[0])
    run_until_idle(engines[0])
    assert (solving.is_done, solving.waiting, bool(solving.engines)) == (False, (1,), False)
    assert solving.progress.outcomes == 2 * NUM_VARIANTS
    solving.enter(1, engines[1])

    # Two ballots cannot change what six of one mind have said.
    assert (solving.is_done, solving.waiting, bool(solving.engines)) == (True, (), False)
    assert engines[1].is_idle
    for test in solving.answer().tests:
        assert [share.variants_used for share in test.shares] == [NUM_VARIANTS, 0]
        assert [share.share for share in test.shares] == [1.0, 0.0]
        assert test.decided_early


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_members_may_have_their_engines_one_after_the_other(
    engines: tuple[Engine, Engine],
    row_indexes: tuple[RowIndex, RowIndex],
    puzzles: list[Puzzle],
    order: tuple[int, int],
) -> None:
    solving = Solving(puzzles[0], members_of(row_indexes, puzzles[0]), WHOLE)
    (together,) = solved(engines, row_indexes, puzzles[:1])

    for index in order:
        assert not solving.is_done
        solving.enter(index, engines[index])
        run_until_idle(engines[index])

    assert solving.is_done
    assert (solving.answer().tests, solving.answer().members) == (together.tests, together.members)


def test_a_puzzle_that_leaves_is_in_no_engine(
    engines: tuple[Engine, Engine], row_indexes: tuple[RowIndex, RowIndex], puzzles: list[Puzzle]
) -> None:
    solving = Solving(puzzles[0], members_of(row_indexes, puzzles[0]), WHOLE)
    for index, engine in enumerate(engines):
        solving.enter(index, engine)

    solving.leave()

    assert all(engine.is_idle for engine in engines)
    assert not solving.engines


def test_an_engine_that_is_done_is_held_no_longer(
    engines: tuple[Engine, Engine], row_indexes: tuple[RowIndex, RowIndex], puzzles: list[Puzzle]
) -> None:
    solving = Solving(puzzles[0], members_of(row_indexes, puzzles[0]), WHOLE)
    engine = FakeEngine(engines[0].checkpoint)
    solving.enter(0, engine)  # type: ignore[arg-type]
    run_until_idle(engine)  # type: ignore[arg-type]
    left = weakref.ref(engine)

    del engine
    gc.collect()

    # Its memory is free for the engine that the other member waits for.
    assert left() is None
    assert not solving.is_done


def test_members_of_one_name_are_refused(
    row_indexes: tuple[RowIndex, RowIndex], puzzles: list[Puzzle]
) -> None:
    member = Member.find(row_indexes[0], puzzles[0])

    with pytest.raises(InputError, match="two checkpoints named"):
        Solving(puzzles[0], [member, member], WHOLE)


def test_no_member_at_all_is_refused(puzzles: list[Puzzle]) -> None:
    with pytest.raises(InputError, match="at least one"):
        Solving(puzzles[0], [], WHOLE)


def test_a_member_must_know_the_puzzle_and_hold_its_test_inputs(
    row_indexes: tuple[RowIndex, RowIndex], puzzles: list[Puzzle]
) -> None:
    large = replace(puzzles[0], test=(Grid.from_rows([[1, 2, 3, 4]]),))
    stranger = replace(puzzles[0], train=puzzles[0].train[:1])

    with pytest.raises(CanvasError, match="1 x 4"):
        Member.find(row_indexes[0], large)
    with pytest.raises(UnknownPuzzle, match="no rows"):
        Member.find(row_indexes[0], stranger)
