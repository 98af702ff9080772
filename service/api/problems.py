"""Problems (RFC 9457): the one table from the code of an error to a status."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from http import HTTPStatus
from typing import Any, Final

from starlette.responses import Response

from augment import AugmentError, PuzzleError
from service.wire.errors import (
    NotDurable,
    PuzzlesUnpublished,
    QueueFull,
    QueueUnavailable,
    ServiceError,
    SubmissionInDoubt,
)
from service.wire.options import InvalidOptions
from service.wire.problem import MAX_FAULTS, Fault

MEDIA_TYPE: Final = "application/problem+json"
TYPE_PREFIX: Final = "urn:hrm-arc:problem:"
RETRY_SOON: Final[Mapping[str, str]] = {"Retry-After": "2"}

# Every code that an answer can carry: its status, and what all its cases have in common.
CODES: Final[Mapping[str, tuple[int, str]]] = {
    "invalid_json": (400, "The body is not usable JSON"),
    "invalid_http": (400, "The request is not usable HTTP"),
    "unauthorized": (401, "An API key is needed"),
    "cross_site": (403, "A page of another site sent the request"),
    "not_found": (404, "There is nothing at this address"),
    "job_not_found": (404, "There is no such job"),
    "batch_not_found": (404, "There is no such batch"),
    "adapted_not_found": (404, "There is no such adapted checkpoint"),
    "unknown_checkpoint": (404, "No worker serves this checkpoint"),
    "unknown_puzzle": (404, "The checkpoint does not know this puzzle"),
    "method_not_allowed": (405, "This address does not take this method"),
    "request_timeout": (408, "The request took too long to arrive"),
    "body_too_large": (413, "The body is too large"),
    "batch_too_large": (413, "The batch does not fit the queue"),
    "url_too_long": (414, "The URL is too long"),
    "unsupported_media_type": (415, "The body is not sent as JSON"),
    "unknown_host": (421, "The service is not called by this name"),
    "invalid_request": (422, "The request breaks a rule"),
    "canvas_exceeded": (422, "A grid does not fit the checkpoint's canvas"),
    "unsolvable": (422, "The checkpoint cannot solve puzzles of this kind"),
    "idempotency_conflict": (422, "The idempotency key was used with another body"),
    "queue_full": (429, "The queue is full"),
    "queue_share_exceeded": (429, "Your part of the queue is full"),
    "headers_too_large": (431, "The headers are too large"),
    "internal": (500, "The service has a fault"),
    "engine_failed": (500, "The engine failed"),
    "attempts_exhausted": (500, "The job's attempts are used up"),
    "not_ready": (503, "The service is not ready"),
    "too_many_connections": (503, "There are too many connections"),
    "queue_unavailable": (503, "The queue cannot be used"),
    "not_durable": (503, "Queued, but not known to be on disk"),
    "deadline_exceeded": (504, "The job's deadline has passed"),
}


class Problem(ServiceError):  # noqa: N818 - RFC 9457's word for it
    """What a client gets when its request is not answered; the API raises it to refuse one.

    `instance` is the address of what failed; `members` are further ones of the document.
    """

    def __init__(
        self,
        code: str,
        detail: str,
        faults: Sequence[Fault] = (),
        *,
        headers: Mapping[str, str] | None = None,
        instance: str | None = None,
        members: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(detail)
        self.code, self.detail, self.faults = code, detail, faults
        self.headers, self.instance, self.members = headers or {}, instance, members or {}

    @property
    def status(self) -> int:
        """The HTTP status."""
        return CODES[self.code][0]

    def document(self) -> dict[str, Any]:
        """Write the problem as JSON values; of the faults, the first few."""
        document: dict[str, Any] = {
            "type": TYPE_PREFIX + self.code,
            "title": CODES[self.code][1],
            "status": self.status,
            "detail": self.detail,
            "code": self.code,
        }
        if self.instance is not None:
            document["instance"] = self.instance
        if self.faults:
            document["errors"] = [
                {name: value for name, value in asdict(fault).items() if value is not None}
                for fault in self.faults[:MAX_FAULTS]
            ]
        return document | dict(self.members)

    def response(self) -> Response:
        """Make the HTTP answer."""
        # As ASCII: what a stranger wrote may hold unpaired surrogates, which UTF-8 cannot carry.
        content = json.dumps(self.document()).encode()
        return Response(content, self.status, dict(self.headers), MEDIA_TYPE)


def problem_of(error: Exception) -> Problem:
    """Find the problem of an error that was raised on purpose; any other is `internal`."""
    if isinstance(error, Problem):
        return error
    code = error.code if isinstance(error, ServiceError | AugmentError) else "internal"
    if code == "internal":
        return internal_problem()
    match error:
        case PuzzleError():
            return Problem(code, str(error), (Fault(error.problem, error.pointer),))
        case InvalidOptions():
            return invalid_request(error.faults)
        case QueueFull():
            return Problem(code, str(error), headers={"Retry-After": str(error.retry_after_s)})
        case QueueUnavailable():
            return Problem(code, _about_queue(error), headers=RETRY_SOON)
        case PuzzlesUnpublished():
            return Problem(code, str(error), headers=RETRY_SOON)
        case _:
            return Problem(code, str(error))


def _about_queue(error: QueueUnavailable) -> str:
    """Say what became of a submission. The reason names hosts of the inside: it is for the log."""
    match error:
        case NotDurable():
            return (
                f"{error.id} is queued and will be worked on, but it is not known to be on disk: a "
                "power failure now could lose it. Sending it again with the same Idempotency-Key "
                "waits for the disk again and queues nothing twice"
            )
        case SubmissionInDoubt():
            return (
                "the service lost its queue during the submission, which may be queued all the "
                "same. With an Idempotency-Key send it again: it is queued once. Without one, look "
                "at the list of your jobs before"
            )
        case _:
            return "the service cannot use its queue now; nothing was queued. Try again in a moment"


def invalid_request(faults: Sequence[Fault]) -> Problem:
    """Refuse a request for its faults, of which the first few are listed."""
    num_faults, first = len(faults), faults[0]
    detail = f"{first.place}: {first.detail}"
    if num_faults > MAX_FAULTS:
        detail = f"more than {MAX_FAULTS} places are wrong. The first: {detail}"
    elif num_faults > 1:
        detail = f"{num_faults} places are wrong. The first: {detail}"
    return Problem("invalid_request", detail, faults)


def internal_problem() -> Problem:
    """Make the problem without details: what went wrong is in the log."""
    return Problem(
        "internal",
        "the service met a fault of its own; its log says which, under the request id that "
        "X-Request-ID names",
    )


def problem_of_status(status: int, allowed: str) -> Problem:
    """Find the problem of a status that the framework chose itself.

    `allowed` names the methods that the address takes.
    """
    match status:
        case HTTPStatus.NOT_FOUND:
            return Problem(
                "not_found", "there is nothing at this address; /openapi.json lists what there is"
            )
        case HTTPStatus.METHOD_NOT_ALLOWED:
            detail = f"this address takes {allowed} only"
            return Problem("method_not_allowed", detail, headers={"Allow": allowed})
        case HTTPStatus.BAD_REQUEST:
            return Problem("invalid_json", "the request cannot be read")
    return internal_problem()
