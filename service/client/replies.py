"""From replies to values and errors."""

import json
from collections.abc import Mapping
from typing import Any, Final, NoReturn, TypeVar

from pydantic import TypeAdapter, ValidationError

from augment import AugmentError
from service.client.errors import BadReply, ServiceProblem
from service.client.exchange import Reply
from service.client.pages import BatchPage, JobPage, PuzzlePage
from service.wire.batch import Batch, BatchProgress
from service.wire.checkpoint import Adapted, Checkpoint
from service.wire.job import Job, Progress
from service.wire.problem import MAX_FAULTS, Fault
from voting import Submission, VotingError, parse_submission

T = TypeVar("T")

_JOB: Final = TypeAdapter(Job)
_JOBS: Final = TypeAdapter(JobPage)
_PROGRESS: Final = TypeAdapter(Progress)
_CHECKPOINTS: Final = TypeAdapter(tuple[Checkpoint, ...])
_PUZZLES: Final = TypeAdapter(PuzzlePage)
_ADAPTED: Final = TypeAdapter(tuple[Adapted, ...])
_BATCH: Final = TypeAdapter(Batch)
_BATCHES: Final = TypeAdapter(BatchPage)
_BATCH_PROGRESS: Final = TypeAdapter(BatchProgress)

# The code of a refusal that is no problem document: a proxy's, or another program's.
UNEXPLAINED: Final = "unexplained"


def read_job(reply: Reply) -> Job:
    """Read a job.

    Raises: BadReply.
    """
    return _read(_JOB, _document(reply), reply.status)


def read_jobs(reply: Reply) -> JobPage:
    """Read a page of jobs.

    Raises: BadReply.
    """
    return _read(_JOBS, _document(reply), reply.status)


def read_checkpoints(reply: Reply) -> tuple[Checkpoint, ...]:
    """Read a list of checkpoints.

    Raises: BadReply.
    """
    return _read(_CHECKPOINTS, _document(reply).get("checkpoints"), reply.status)


def read_puzzles(reply: Reply) -> PuzzlePage:
    """Read a page of puzzles.

    Raises: BadReply.
    """
    return _read(_PUZZLES, _document(reply), reply.status)


def read_adapted(reply: Reply) -> tuple[Adapted, ...]:
    """Read a list of adapted checkpoints.

    Raises: BadReply.
    """
    return _read(_ADAPTED, _document(reply).get("adapted"), reply.status)


def read_batch(reply: Reply) -> Batch:
    """Read a batch.

    Raises: BadReply.
    """
    return _read(_BATCH, _document(reply), reply.status)


def read_batches(reply: Reply) -> BatchPage:
    """Read a page of batches.

    Raises: BadReply.
    """
    return _read(_BATCHES, _document(reply), reply.status)


def read_batch_progress(data: str) -> BatchProgress:
    """Read the data of an event of a batch.

    Raises: BadReply.
    """
    return _read(_BATCH_PROGRESS, _parse(data, 200), 200)


def read_submission(reply: Reply) -> Submission:
    """Read a submission.

    Raises: BadReply.
    """
    try:
        return parse_submission(_document(reply))
    except VotingError as error:
        _refuse(reply.status, f"the reply is not as agreed: {error}")


def read_progress(data: str) -> Progress:
    """Read the data of a progress event.

    Raises: BadReply.
    """
    return _read(_PROGRESS, _parse(data, 200), 200)


def read_state(data: str) -> str:
    """Read the state out of a state event's data.

    Raises: BadReply.
    """
    document = _parse(data, 200)
    return str(document.get("state")) if isinstance(document, dict) else ""


def problem_of(reply: Reply) -> ServiceProblem:
    """Read why a request was refused; also from what is no problem document."""
    try:
        document = json.loads(reply.body)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict) or "code" not in document:
        return ServiceProblem(
            status=reply.status,
            code=UNEXPLAINED,
            detail="it gives no reason. Is this the address of an hrm-arc service?",
            retry_after_s=_retry_after_s(reply.headers),
        )
    return ServiceProblem(
        status=reply.status,
        code=str(document["code"]),
        detail=str(document.get("detail") or document.get("title") or "it gives no reason"),
        faults=_faults(document.get("errors")),
        retry_after_s=_retry_after_s(reply.headers),
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


def _document(reply: Reply) -> dict[str, Any]:
    document = _parse(reply.body, reply.status)
    if not isinstance(document, dict):
        _refuse(reply.status, "the reply is JSON, but no object")
    return document


def _parse(text: str | bytes, status: int) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        _refuse(status, "the reply is no JSON")


def _read(adapter: TypeAdapter[T], document: Any, status: int) -> T:
    try:
        return adapter.validate_python(document, extra="ignore")
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = "".join(f"/{key}" for key in first["loc"])
        _refuse(status, f"the reply is not as agreed: {place}: {first['msg']}")
    except AugmentError as error:
        _refuse(status, f"the reply is not as agreed: {error}")


def _refuse(status: int, sentence: str) -> NoReturn:
    raise BadReply(status, sentence) from None
