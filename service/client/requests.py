"""Requests to a service, and the bodies that they carry."""

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any

from augment import MAX_KAGGLE_BYTES, Puzzle, Task, read_json, read_task, task_document
from service.wire.options import SolveOptions

AnyChallenges = str | PathLike[str] | Mapping[str, Any]
AnyTask = Task | Puzzle | str | PathLike[str] | Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request. All of ours may be repeated: what makes a job carries its own key.

    Units: patience_s are the seconds that the service may keep silent, beyond the usual.
    """

    method: str
    path: str
    headers: Mapping[str, str] = field(default_factory=dict)
    query: tuple[tuple[str, str], ...] = ()
    content: bytes | None = None
    patience_s: float = 0.0


def post(
    path: str,
    content: bytes,
    idempotency_key: str | None,
    patience_s: float = 0.0,
    **headers: str,
) -> Request:
    """Return the request that makes a job or a batch.

    Without a key it gets one, made before the first attempt: an attempt that lost its reply made
    the job already, and the next one must find it.
    """
    headers["Content-Type"] = "application/json"
    headers["Idempotency-Key"] = idempotency_key or secrets.token_urlsafe(24)
    return Request("POST", path, headers, content=content, patience_s=patience_s)


def page_query(after: str | None, limit: int | None) -> tuple[tuple[str, str], ...]:
    """Return the query for a page of a list: where it begins, and how long it is."""
    query = {"cursor": after, "limit": limit}
    return tuple((name, str(value)) for name, value in query.items() if value is not None)


def task_body(task: AnyTask, options: SolveOptions) -> bytes:
    """Return the body that asks for a task to be solved.

    A text or path names a task file. A mapping goes out as it is, for the service to check; options
    given here are laid over its own.

    Raises: AugmentError for a file that holds no task.
    """
    if isinstance(task, Mapping):
        document = dict(task)
    elif isinstance(task, Puzzle):
        document = task_document(Task(task, (None,) * len(task.test)))
    else:
        document = task_document(task if isinstance(task, Task) else read_task(task))
    if options.given:
        document["options"] = {**(document.get("options") or {}), **options.given}
    return json.dumps(document, separators=(",", ":")).encode()


def batch_body(challenges: AnyChallenges, options: SolveOptions, name: str | None) -> bytes:
    """Return the body that asks for a challenges file to be answered.

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
