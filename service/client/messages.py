"""Requests to a service with their bodies, and from its replies to values and errors."""

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar
from urllib.parse import parse_qs, urlsplit

import httpx
from pydantic import BeforeValidator, ValidationError

from augment import (
    MAX_KAGGLE_BYTES,
    AugmentError,
    Puzzle,
    Task,
    read_json,
    read_task,
    task_document,
)
from service.client.errors import BadReply, ServiceProblem
from service.wire.batch import BatchSummary
from service.wire.checkpoint import KnownPuzzle
from service.wire.document import Document
from service.wire.job import Job
from service.wire.options import SolveOptions
from service.wire.problem import MAX_FAULTS, Fault
from voting import Submission, VotingError, parse_submission

D = TypeVar("D", bound=Document)
AnyChallenges = str | PathLike[str] | Mapping[str, Any]
AnyTask = Task | Puzzle | str | PathLike[str] | Mapping[str, Any]

# The code of a refusal that is no problem document: a proxy's, or another program's.
UNEXPLAINED: Final = "unexplained"


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
    path: str, content: bytes, idempotency_key: str | None, patience_s: float = 0.0, **headers: str
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


def _cursor_of(address: object) -> str | None:
    """Read the cursor out of a next page's address."""
    if not isinstance(address, str):
        return None
    return next(iter(parse_qs(urlsplit(address).query).get("cursor", ())), None)


class _Page(Document):
    next: Annotated[str | None, BeforeValidator(_cursor_of)] = None


class JobPage(_Page):
    """Some jobs, the newest first; `next` is where the following page begins, None at the end."""

    jobs: tuple[Job, ...]


class BatchPage(_Page):
    """Some batches, newest first; `next` is where the following page begins, None at the end."""

    batches: tuple[BatchSummary, ...]


class PuzzlePage(_Page):
    """Some of a checkpoint's `total` puzzles; `next` is where the following page begins."""

    puzzles: tuple[KnownPuzzle, ...]
    total: int


def read(model: type[D], text: bytes | str, status: int = 200) -> D:
    """Read the document in the body of a reply or in an event's data, or raise BadReply."""
    try:
        return model.model_validate(read_object(text, status), extra="ignore")
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = "".join(f"/{key}" for key in first["loc"])
        reason = f"{place}: {first['msg']}"
    except AugmentError as error:
        reason = str(error)
    raise BadReply(status, f"the reply is not as agreed: {reason}")


def read_submission(response: httpx.Response) -> Submission:
    """Read a submission, or raise BadReply."""
    status = response.status_code
    try:
        return parse_submission(read_object(response.content, status))
    except VotingError as error:
        raise BadReply(status, f"the reply is not as agreed: {error}") from None


def read_object(text: bytes | str, status: int = 200) -> dict[str, Any]:
    """Read a JSON object, or raise BadReply."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        raise BadReply(status, "the reply is no JSON") from None
    if not isinstance(document, dict):
        raise BadReply(status, "the reply is JSON, but no object")
    return document


def problem_of(response: httpx.Response) -> ServiceProblem:
    """Read why a request was refused; also from what is no problem document."""
    try:
        document = read_object(response.content)
    except BadReply:
        document = {}
    if "code" not in document:
        question = "Is this the address of an hrm-arc service?"
        document = {"code": UNEXPLAINED, "detail": f"it gives no reason. {question}"}
    return ServiceProblem(
        status=response.status_code,
        code=str(document["code"]),
        detail=str(document.get("detail") or document.get("title") or "it gives no reason"),
        faults=_faults(document.get("errors")),
        retry_after_s=_retry_after_s(response.headers),
        job_id=_job_id(_text(document, "instance")),
    )


def _faults(errors: Any) -> tuple[Fault, ...]:
    if not isinstance(errors, list):
        return ()
    return tuple(
        Fault(str(error.get("detail", "")), _text(error, "pointer"), _text(error, "parameter"))
        for error in errors[:MAX_FAULTS]
        if isinstance(error, dict)
    )


def _text(document: Mapping[str, Any], name: str) -> str | None:
    value = document.get(name)
    return value if isinstance(value, str) else None


def _job_id(address: str | None) -> str | None:
    _, mark, job_id = (address or "").rpartition("/v1/jobs/")
    return job_id if mark else None


def _retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Read the seconds to wait; a date says nothing to a clock that may be wrong."""
    text = headers.get("retry-after", "").strip()
    return float(text) if text.isascii() and text.isdigit() and len(text) < 10 else None
