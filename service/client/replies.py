"""From replies to values and errors."""

import json
from collections.abc import Mapping
from typing import Annotated, Any, Final, TypeVar
from urllib.parse import parse_qs, urlsplit

import httpx
from pydantic import BeforeValidator, ValidationError

from augment import AugmentError
from service.client.errors import BadReply, ServiceProblem
from service.wire.batch import BatchSummary
from service.wire.checkpoint import KnownPuzzle
from service.wire.document import Document
from service.wire.job import Job
from service.wire.problem import MAX_FAULTS, Fault
from voting import Submission, VotingError, parse_submission

D = TypeVar("D", bound=Document)

# The code of a refusal that is no problem document: a proxy's, or another program's.
UNEXPLAINED: Final = "unexplained"


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
    """Read a document out of the body of a reply, or out of an event's data.

    Raises: BadReply.
    """
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
    """Read a submission.

    Raises: BadReply.
    """
    status = response.status_code
    try:
        return parse_submission(read_object(response.content, status))
    except VotingError as error:
        raise BadReply(status, f"the reply is not as agreed: {error}") from None


def read_object(text: bytes | str, status: int = 200) -> dict[str, Any]:
    """Read a JSON object.

    Raises: BadReply.
    """
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
