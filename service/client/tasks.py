"""What may be given as a task, and the body of the request it becomes."""

import json
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

from augment import MAX_KAGGLE_BYTES, Puzzle, Task, read_json, read_task, task_document
from service.wire.options import SolveOptions

AnyChallenges = str | PathLike[str] | Mapping[str, Any]
AnyTask = Task | Puzzle | str | PathLike[str] | Mapping[str, Any]


def request_body(task: AnyTask, options: SolveOptions) -> bytes:
    """Write the body that asks for a task to be solved.

    A text or path names a task file. A mapping goes out as it is, for the service to check; options
    given here are laid over its own.

    Raises: AugmentError for a file that holds no task.
    """
    document = _document(task)
    if options.given:
        document["options"] = {**(document.get("options") or {}), **options.given}
    return json.dumps(document, separators=(",", ":")).encode()


def batch_body(challenges: AnyChallenges, options: SolveOptions, name: str | None) -> bytes:
    """Write the body that asks for a challenges file to be answered.

    A text or path names the file. A mapping goes out as it is, for the service to check.

    Raises: AugmentError for a file that is no JSON.
    """
    read: object = challenges
    if not isinstance(challenges, Mapping):
        read = read_json(Path(challenges), MAX_KAGGLE_BYTES)
    document: dict[str, Any] = {"challenges": read}
    if options.given:
        document["options"] = options.given
    if name is not None:
        document["name"] = name
    return json.dumps(document, separators=(",", ":")).encode()


def _document(task: AnyTask) -> dict[str, Any]:
    if isinstance(task, Mapping):
        return dict(task)
    if isinstance(task, Puzzle):
        return task_document(Task(task, (None,) * len(task.test)))
    return task_document(task if isinstance(task, Task) else read_task(task))
