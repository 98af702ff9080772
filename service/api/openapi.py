"""The OpenAPI document: how routes describe their answers, and what the framework cannot know."""

from collections.abc import Mapping, Sequence
from itertools import groupby
from types import UnionType
from typing import Any, Final

from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema
from starlette.routing import BaseRoute

from service.api.bodies import JSON_TYPE
from service.api.examples import ANSWERS
from service.api.problems import CODES, MEDIA_TYPE, TYPE_PREFIX
from service.wire.problem import Problem
from service.wire.task import BODIES

Responses = dict[int | str, dict[str, Any]]

TITLE: Final = "hrm-arc"
VERSION: Final = "1"
DESCRIPTION: Final = """\
Solves ARC puzzles with trained Hierarchical Reasoning Models: a puzzle in, voted answers out.

- `POST /v1/solve` waits for the answer; `POST /v1/jobs` queues a job and answers at once.
- `POST /v1/batches` takes a whole challenges file and gives a `submission.json`.
- A checkpoint answers the puzzles that it has trained rows for (`GET /v1/checkpoints`), identified
  by their demonstrations. It adapts to others first where `options.adapt` asks for it: it trains
  on their demonstrations, which takes a while, and is kept for your next job (`GET /v1/adapted`).
- Several checkpoints vote together where `options.ensemble` names them.
- Every error is a problem document (RFC 9457) with a `code` for programs. `errors` name the wrong
  places of the body as JSON pointers.
- 503 passes: `Retry-After` says when to try again, and `detail` what became of a submission. Sent
  again with the same `Idempotency-Key`, a submission is queued once.
- `X-Request-ID` is on every answer: the caller's own where it sent one.
- Before an address is looked at, a request may be refused for what it is: 400 `invalid_http`, 408
  `request_timeout`, 414 `url_too_long`, 431 `headers_too_large`, 503 `too_many_connections`.
"""
TAGS: Final = (
    {"name": "solve", "description": "A puzzle in, its answer out."},
    {"name": "jobs", "description": "The same for programs: submit now, look later."},
    {"name": "batches", "description": "Whole challenges files, to submissions."},
    {"name": "checkpoints", "description": "What can be solved, and with what."},
    {"name": "adapted", "description": "Checkpoints that your jobs have adapted to one puzzle."},
    {"name": "health", "description": "For probes. Needs no key."},
    {"name": "metrics", "description": "For Prometheus. Needs no key."},
)
_SCHEMES: Final[dict[str, Any]] = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "An API key."},
    "header": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "The same."},
}
_NOT_OURS: Final = ("HTTPValidationError", "ValidationError")
_GUARDED: Final = "/v1/"
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


def request_body(
    description: str, schema: Mapping[str, Any], examples: Mapping[str, Any]
) -> dict[str, Any]:
    """Describe a body; it is read by hand, with a limit, so the framework does not know of it."""
    shown = {name: {"value": value} for name, value in examples.items()}
    content = {JSON_TYPE: {"schema": schema, "examples": shown}}
    return {"requestBody": {"required": True, "description": description, "content": content}}


def answers(
    model: type[BaseModel] | UnionType,
    description: str,
    *codes: str,
    headers: Sequence[str] = (),
    status: int = 200,
) -> Responses:
    """Describe an answer with a document, and the problems that can come in its place."""
    return {status: answer_doc(description, *headers, model=model), **problems(*codes)}


def submission_answers(model: type[BaseModel], what: str, *codes: str) -> Responses:
    """Describe the answers to a job or a batch that is to be queued."""
    before = f"The {what} that the same idempotency key and body gave before."
    return {
        200: answer_doc(before, "Location", model=model),
        202: answer_doc(f"The {what} is queued.", "Location", model=model),
        **problems(*codes),
    }


def answer_doc(description: str, *headers: str, **members: Any) -> dict[str, Any]:
    """Describe an answer with its headers; the request's id is on each."""
    described = {
        name: {"description": _HEADERS[name], "schema": {"type": "string"}}
        for name in sorted({*headers, "X-Request-ID"})
    }
    return {"description": description, "headers": described, **members}


def problems(*codes: str) -> Responses:
    """Describe the problems that an address can answer with, whatever its kind `internal` too."""
    by_status = sorted((CODES[code][0], code) for code in {*codes, "internal"})
    return {
        status: _problem_doc(status, [code for _, code in entries])
        for status, entries in groupby(by_status, key=lambda entry: entry[0])
    }


def describe(routes: list[BaseRoute], *, needs_key: bool) -> dict[str, Any]:
    """Write the OpenAPI document; keys are in it only where callers must show one.

    Where they need none, a name in `Host` may be refused.
    """
    document = get_openapi(
        title=TITLE, version=VERSION, description=DESCRIPTION, tags=list(TAGS), routes=routes
    )
    components = document["components"]
    _, own = models_json_schema(
        [(body, "validation") for body in BODIES] + [(Problem, "validation")],
        ref_template="#/components/schemas/{model}",
    )
    components["schemas"] |= own["$defs"]
    for name in _NOT_OURS:
        components["schemas"].pop(name, None)
    for operations in document["paths"].values():
        for operation in operations.values():
            _add_examples(operation)
            # Where nothing can be wrong the framework still adds an answer in its own form.
            if _NOT_OURS[0] in str(operation["responses"].get("422")):
                del operation["responses"]["422"]
    refusals = problems("unauthorized", "unknown_host", "cross_site")
    if needs_key:
        components["securitySchemes"] = _SCHEMES
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            if not needs_key:
                operation["responses"]["421"] = refusals[421]
                if method != "get":
                    operation["responses"]["403"] = refusals[403]
            elif path.startswith(_GUARDED):
                operation["security"] = [{name: []} for name in _SCHEMES]
                operation["responses"]["401"] = refusals[401]
    return document


def _add_examples(operation: dict[str, Any]) -> None:
    # Here and not at the routes: on its way the framework drops every member that is null.
    for (operation_id, status), (name, value) in ANSWERS.items():
        if operation["operationId"] == operation_id:
            content = operation["responses"][str(status)]["content"][JSON_TYPE]
            content["examples"] = {name: {"value": value}}


def _problem_doc(status: int, codes: list[str]) -> dict[str, Any]:
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
    return answer_doc(
        "; or: ".join(CODES[code][1] for code in codes),
        *_HEADERS_OF_STATUS.get(status, ()),
        content={MEDIA_TYPE: {"schema": schema, "examples": examples}},
    )
