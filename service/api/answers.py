"""Answers as the routes give them, and how the OpenAPI document describes them."""

from collections.abc import Mapping
from itertools import groupby
from typing import Any, Final
from urllib.parse import urlencode

from pydantic import BaseModel
from starlette.responses import Response

from service.api.problems import CODES, MEDIA_TYPE, TYPE_PREFIX
from service.jobs import Job

Responses = dict[int | str, dict[str, Any]]

_HEADERS_OF_STATUS: Final[Mapping[int, tuple[str, ...]]] = {
    401: ("WWW-Authenticate",),
    405: ("Allow",),
    429: ("Retry-After",),
    503: ("Retry-After",),
}
_HEADERS: Final[Mapping[str, str]] = {
    "Allow": "The methods that the address takes.",
    "Link": 'The next page, as rel="next".',
    "Location": "The address of the job or batch.",
    "Preference-Applied": "What was honoured of Prefer.",
    "Retry-After": "Seconds after which to try again.",
    "WWW-Authenticate": "The scheme of the key.",
    "X-Request-ID": "The request's id, the caller's own where it sent one.",
}


def json_answer(
    content: bytes, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """Answer with a JSON document that no cache may keep."""
    marked = {"Cache-Control": "no-store"} | dict(headers or {})
    return Response(content, status, marked, "application/json")


def model_answer(model: BaseModel, headers: Mapping[str, str] | None = None) -> Response:
    """Answer with a small document."""
    return json_answer(model.model_dump_json().encode(), headers=headers)


def next_page(path: str, cursor: str | None, limit: int, *more: tuple[str, str]) -> str | None:
    """Name the address of the page that begins at a cursor; None for none."""
    if cursor is None:
        return None
    return f"{path}?{urlencode([('cursor', cursor), ('limit', limit), *more])}"


def link_to(following: str | None) -> Mapping[str, str]:
    """Name the following page, where there is one, in the Link header."""
    return {} if following is None else {"Link": f'<{following}>; rel="next"'}


def response_doc(
    model: type[BaseModel], description: str, *, headers: tuple[str, ...] = ()
) -> dict[str, Any]:
    """Return the OpenAPI description of an answer with a document."""
    return {
        "model": model,
        "description": description,
        "headers": described_headers(*headers),
    }


def problems(*codes: str) -> Responses:
    """Describe the problems that an address can answer with, whatever its kind `internal` too."""
    by_status = sorted((CODES[code][0], code) for code in {*codes, "internal"})
    return {
        status: _problem_response(status, [code for _, code in entries])
        for status, entries in groupby(by_status, key=lambda entry: entry[0])
    }


def described_headers(*names: str) -> dict[str, Any]:
    """Describe headers of an answer; the request's id is on each."""
    return {
        name: {"description": _HEADERS[name], "schema": {"type": "string"}}
        for name in sorted({*names, "X-Request-ID"})
    }


def finished_failure_codes() -> tuple[str, ...]:
    """Name what a job can have failed with, each of them a problem of its own."""
    return (
        *("unknown_puzzle", "unknown_checkpoint", "canvas_exceeded", "unsolvable"),
        *("deadline_exceeded", "attempts_exhausted", "engine_failed"),
    )


def failure_code(job: Job) -> str:
    """Name the problem that a failed job is; a code that is not known here counts as a fault."""
    code = "" if job.failure is None else job.failure.code
    return code if code in finished_failure_codes() else "engine_failed"


def _problem_response(status: int, codes: list[str]) -> dict[str, Any]:
    examples = {
        code: {
            "value": {
                "type": TYPE_PREFIX + code,
                "title": CODES[code][1],
                "status": status,
                "detail": "a sentence that says what is wrong and how to fix it",
                "code": code,
            }
        }
        for code in codes
    }
    schema = {
        "allOf": [{"$ref": "#/components/schemas/Problem"}],
        "properties": {"code": {"enum": codes}, "status": {"const": status}},
    }
    return {
        "description": "; or: ".join(CODES[code][1] for code in codes),
        "headers": described_headers(*_HEADERS_OF_STATUS.get(status, ())),
        "content": {MEDIA_TYPE: {"schema": schema, "examples": examples}},
    }
