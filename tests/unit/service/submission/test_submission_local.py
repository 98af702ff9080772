"""Votes on a whole file by checkpoints on this machine: in rounds, or all at once."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from augment import Task, parse_task
from hrm_core import Engine
from service.solving.enrolment import RowIndex
from service.solving.members import Member
from service.solving.solve import Solving, solve
from service.submission.challenges import challenges_of
from service.submission.files import Journal, SubmissionFile
from service.submission.local import LocalVote, enrol_all
from service.submission.run import Clock, Run, round_stops
from service.wire.options import SolveOptions
from voting import Ranking, Tally

pytestmark = pytest.mark.usefixtures("one_thread")

WHOLE = SolveOptions(stop_early=False)


def vote(
    tmp_path: Path,
    tasks: Sequence[Task],
    engine: Engine,
    options: SolveOptions = WHOLE,
    stops: Sequence[int | None] = (None,),
    *,
    clock: Clock | None = None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Run:
    """Answer tasks, or go on where a call before was stopped."""
    challenges = challenges_of(tasks)
    with Journal(tmp_path / "journal.jsonl", {}) as journal:
        output = SubmissionFile(tmp_path / "submission.json", challenges)
        run = Run(challenges, journal, output, clock or Clock(None), Ranking.COUNT)
        row_indexes = [RowIndex(engine.checkpoint)]
        voters = enrol_all(run, row_indexes)
        engines = {engine.checkpoint.folder.resolve().name: engine}
        plan = run.plan(stops)
        LocalVote(run, plan, voters, engines, options).run(lambda: None, should_stop)
        assert engine.is_idle
        return run


def after(num_steps: int) -> Callable[[], bool]:
    """Return what wants to stop once it was asked so often."""
    left = iter(range(num_steps))
    return lambda: next(left, None) is None


def test_a_puzzle_has_the_votes_of_all_that_know_it_or_of_the_first_one(
    tiny_row_index: RowIndex,
    early_row_index: RowIndex,
    constant_tasks: tuple[Task, ...],
    tmp_path: Path,
) -> None:
    challenges = challenges_of(constant_tasks[:1])
    both = [early_row_index, tiny_row_index]
    with Journal(tmp_path / "journal.jsonl", {}) as journal:
        output = SubmissionFile(tmp_path / "submission.json", challenges)
        run = Run(challenges, journal, output, Clock(None), Ranking.COUNT)
        names = [row_index.checkpoint.folder.name for row_index in both]
        for takes_one, expected in ((False, names), (True, names[:1])):
            (members,) = enrol_all(run, both, takes_one=takes_one).values()
            assert [member.name for member in members] == expected


def test_a_puzzle_too_large_for_the_checkpoints_is_not_called_unknown(
    tiny_row_index: RowIndex, tmp_path: Path
) -> None:
    tasks = []
    for name, side in (("new", 2), ("large", 9)):
        rows = [[5] * side] * side
        document = {"train": [{"input": rows, "output": rows}], "test": [{"input": rows}]}
        tasks.append(parse_task(document, name))
    challenges = challenges_of(tasks)
    with Journal(tmp_path / "journal.jsonl", {}) as journal:
        output = SubmissionFile(tmp_path / "submission.json", challenges)
        run = Run(challenges, journal, output, Clock(None), Ranking.COUNT)
        assert not enrol_all(run, [tiny_row_index])
    codes = {name: refusal.code for name, refusal in run.refusals.items()}
    assert codes == {"new": "unknown_puzzle", "large": "canvas_exceeded"}


def tallies_of(task: Task, engine: Engine, row_index: RowIndex) -> tuple[Tally, ...]:
    solving = Solving(task.puzzle, [Member.find(row_index, task.puzzle)], WHOLE)
    solve([engine], [solving])
    return solving.tallies


def test_a_whole_vote_is_that_of_solve(
    tmp_path: Path,
    constant_tasks: tuple[Task, ...],
    early_engine: Engine,
    early_row_index: RowIndex,
) -> None:
    run = vote(tmp_path, constant_tasks, early_engine)

    for task in constant_tasks:
        standing = run.standings[task.puzzle.name]
        found = tuple(one.tally for one in standing.votes)
        assert found == tallies_of(task, early_engine, early_row_index)
        assert standing.is_settled


def test_rounds_add_up_to_the_whole_vote(
    tmp_path: Path, constant_tasks: tuple[Task, ...], early_engine: Engine
) -> None:
    at_once = vote(tmp_path, constant_tasks, early_engine)
    other = tmp_path / "rounds"
    other.mkdir()
    in_rounds = vote(other, constant_tasks, early_engine, stops=(1, 3, None))

    for task in constant_tasks:
        name = task.puzzle.name
        whole, parts = at_once.standings[name], in_rounds.standings[name]
        assert [one.tally for one in parts.votes] == [one.tally for one in whole.votes]
        assert (parts.num_rounds, parts.stop, parts.is_settled) == (3, 6, True)
        assert in_rounds.attempts(name) == at_once.attempts(name)


def test_a_puzzle_that_is_decided_has_no_further_rounds(
    tmp_path: Path, constant_tasks: tuple[Task, ...], tiny_engine: Engine
) -> None:
    options = SolveOptions(stop_early=True)
    run = vote(
        tmp_path, constant_tasks, tiny_engine, options, stops=round_stops(None, is_timed=True)
    )

    assert all(standing.is_settled for standing in run.standings.values())


def test_no_more_variants_vote_than_were_asked_for(
    tmp_path: Path, constant_tasks: tuple[Task, ...], early_engine: Engine
) -> None:
    options = SolveOptions(variants=4, stop_early=False)
    run = vote(tmp_path, constant_tasks, early_engine, options, stops=(2, 4))

    ballots = [one.num_ballots for s in run.standings.values() for one in s.votes]
    assert set(ballots) == {4}


def test_a_run_that_was_stopped_goes_on_to_the_same_file(
    tmp_path: Path, constant_tasks: tuple[Task, ...], early_engine: Engine
) -> None:
    undisturbed = tmp_path / "undisturbed"
    undisturbed.mkdir()
    vote(undisturbed, constant_tasks, early_engine)
    num_runs, is_done = 0, False
    while not is_done and num_runs < 50:
        run = vote(tmp_path, constant_tasks, early_engine, should_stop=after(14))
        is_done = all(standing.is_settled for standing in run.standings.values())
        num_runs += 1

    assert is_done
    assert num_runs > 1
    files = [folder / "submission.json" for folder in (undisturbed, tmp_path)]
    assert files[0].read_bytes() == files[1].read_bytes()


def test_when_the_time_is_over_what_has_voted_counts(
    tmp_path: Path, constant_tasks: tuple[Task, ...], early_engine: Engine
) -> None:
    wants_to_stop = after(8)

    class Short(Clock):
        @property
        def is_over(self) -> bool:
            return wants_to_stop()

    run = vote(tmp_path, constant_tasks, early_engine, clock=Short(1.0))

    partial = [standing for standing in run.standings.values() if standing.partial]
    assert partial
    assert all(standing.stop == 0 and not standing.is_settled for standing in partial)
    again = vote(tmp_path, constant_tasks, early_engine)
    whole = tmp_path / "whole"
    whole.mkdir()
    expected = vote(whole, constant_tasks, early_engine)
    assert {name: s.votes for name, s in again.standings.items()} == {
        name: s.votes for name, s in expected.standings.items()
    }


def test_puzzles_that_nobody_knows_are_reported(
    tmp_path: Path, constant_tasks: tuple[Task, ...], tiny_engine: Engine
) -> None:
    from augment import parse_task, task_document

    stranger = parse_task(task_document(constant_tasks[0]), "stranger")
    document = task_document(stranger)
    document["train"] = document["train"][:1]
    unknown = parse_task(document | {"name": "stranger"}, "stranger")

    run = vote(tmp_path, [*constant_tasks, unknown], tiny_engine)

    assert list(run.refusals) == ["stranger"]
    assert run.refusals["stranger"].code == "unknown_puzzle"
    assert run.num_answered == len(constant_tasks)
