"""Challenges files: one broken task does not spoil the rest; files that do not match do."""

import json
from pathlib import Path
from typing import Any

import pytest

from augment import Grid, PuzzleError, TaskFileError, parse_task
from service.submission.challenges import (
    NOTHING,
    Challenge,
    ChallengeSet,
    challenges_of,
    check_challenges,
    read_challenge_file,
)
from service.wire.errors import InputError

TASK: dict[str, Any] = {
    "train": [{"input": [[1, 2]], "output": [[2]]}],
    "test": [{"input": [[3, 4]]}, {"input": [[5, 6]]}],
}
SOLUTION = [[[4]], [[6]]]
GRIDS = tuple(Grid.from_rows(rows) for rows in SOLUTION)
INPUTS = tuple(Grid.from_rows(test["input"]) for test in TASK["test"])


def test_tasks_are_named_by_their_ids_and_keep_their_order() -> None:
    found = check_challenges({"b": TASK | {"name": "other"}, "a": TASK})

    assert [one.puzzle_id for one in found] == ["b", "a"]
    assert [one.task.puzzle.name for one in found if one.task] == ["b", "a"]
    assert all(one.inputs == INPUTS and one.fault is None for one in found)


def test_a_broken_task_is_reported_and_the_others_are_read() -> None:
    broken = {"train": [{"input": [[11]], "output": [[2]]}], "test": TASK["test"]}

    bad, good = check_challenges({"bad": broken, "good": TASK})

    assert bad.task is None
    assert bad.fault is not None
    assert bad.fault.pointer == "/bad/train/0/input/0/0"
    assert bad.inputs == INPUTS
    assert good.task is not None


@pytest.mark.parametrize(
    ("entry", "inputs"),
    [
        (None, (NOTHING,)),
        ([], (NOTHING,)),
        ({"train": TASK["train"], "test": []}, (NOTHING,)),
        ({"train": TASK["train"], "test": "none"}, (NOTHING,)),
        (
            {"train": [], "test": [{"input": [[3, 4]]}, 7, {"input": [[]]}]},
            (INPUTS[0], NOTHING, NOTHING),
        ),
    ],
)
def test_of_a_broken_task_the_test_inputs_are_kept_as_far_as_they_can_be_read(
    entry: object, inputs: tuple[Grid, ...]
) -> None:
    (found,) = check_challenges({"bad": entry})

    assert found.task is None
    assert found.inputs == inputs


def test_solutions_give_the_number_of_test_inputs_of_a_broken_task() -> None:
    (found,) = check_challenges({"bad": None}, {"bad": GRIDS})

    assert found.inputs == (NOTHING, NOTHING)


def test_solutions_become_the_expected_outputs() -> None:
    (found,) = check_challenges({"a": TASK}, {"a": GRIDS})

    assert found.task is not None
    assert found.task.expected == GRIDS


@pytest.mark.parametrize(
    ("solutions", "complaint"),
    [
        ({}, "a: is in the challenges only"),
        ({"a": GRIDS, "b": GRIDS}, "b: is in the solutions only"),
        ({"a": GRIDS[:1]}, "2 test inputs, but the solutions hold 1"),
    ],
)
def test_solutions_of_other_challenges_are_refused(
    solutions: dict[str, tuple[Grid, ...]], complaint: str
) -> None:
    with pytest.raises(PuzzleError, match=complaint):
        check_challenges({"a": TASK}, solutions)


@pytest.mark.parametrize(
    ("document", "complaint"),
    [
        ({}, "hold no task"),
        ([TASK], "not a challenges file"),
        (None, "not a challenges file"),
        (TASK, "one task, not a challenges file"),
    ],
)
def test_what_is_no_challenges_file_is_refused(document: object, complaint: str) -> None:
    with pytest.raises(InputError, match=complaint):
        check_challenges(document)


def test_a_file_with_an_id_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "challenges.json"
    task = json.dumps(TASK)
    path.write_text(f'{{"a": {task}, "a": {task}}}', encoding="utf-8")

    with pytest.raises(TaskFileError, match="'a' is there twice"):
        read_challenge_file(path)


def test_complaints_name_the_file(tmp_path: Path) -> None:
    path, solutions = tmp_path / "challenges.json", tmp_path / "solutions.json"
    path.write_text("{}", encoding="utf-8")
    with pytest.raises(InputError, match=r"challenges\.json: the challenges hold no task"):
        read_challenge_file(path)

    path.write_text(json.dumps({"a": TASK}), encoding="utf-8")
    solutions.write_text(json.dumps({"b": SOLUTION}), encoding="utf-8")
    with pytest.raises(PuzzleError, match=r"solutions\.json: a: is in the challenges only"):
        read_challenge_file(path, solutions)


def test_tasks_of_one_name_cannot_be_one_file() -> None:
    task = parse_task(TASK, "a")

    assert [one.puzzle_id for one in challenges_of([task])] == ["a"]
    with pytest.raises(InputError, match="two tasks are called 'a'"):
        challenges_of([task, task])
    with pytest.raises(InputError, match="no task"):
        challenges_of([])


def test_the_fingerprint_depends_on_what_an_answer_depends_on() -> None:
    one = check_challenges({"a": TASK, "b": None})
    with_outputs = check_challenges({"a": TASK, "b": None}, {"a": GRIDS, "b": GRIDS[:1]})
    others = (
        {"b": None, "a": TASK},
        {"a": TASK},
        {"a": TASK | {"test": TASK["test"][:1]}, "b": None},
        {"a": TASK | {"train": [{"input": [[1, 2]], "output": [[1]]}]}, "b": None},
        {"a": TASK, "b\ud800": None},
    )

    def fingerprint_of(challenges: tuple[Challenge, ...]) -> str:
        return ChallengeSet.of("file.json", challenges).fingerprint

    prints = {fingerprint_of(check_challenges(document)) for document in others}

    assert fingerprint_of(with_outputs) == fingerprint_of(one)
    assert len(prints | {fingerprint_of(one)}) == len(others) + 1


def test_a_file_is_read_with_its_solutions_where_they_are_known(tmp_path: Path) -> None:
    path, solutions = tmp_path / "challenges.json", tmp_path / "solutions.json"
    path.write_text(json.dumps({"a": TASK}), encoding="utf-8")
    solutions.write_text(json.dumps({"a": SOLUTION}), encoding="utf-8")

    assert read_challenge_file(path).solutions is None
    assert read_challenge_file(path, solutions).solutions == {"a": GRIDS}
    tests = [test | {"output": rows} for test, rows in zip(TASK["test"], SOLUTION, strict=True)]
    path.write_text(json.dumps({"a": TASK | {"test": tests}}), encoding="utf-8")
    read = read_challenge_file(path)
    assert (read.title, read.solutions) == ("challenges.json", {"a": GRIDS})
