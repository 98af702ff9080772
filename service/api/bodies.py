"""Bodies: read with a limit, then checked as a task or batch; a fault has a pointer to its place.

`augment` checks the grids, `SolveOptions` the options.
"""

import asyncio
import codecs
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from starlette.requests import Request

from augment import MAX_NAME_LENGTH, PuzzleError, Task, parse_json, parse_task
from service.api.problems import Problem, invalid_request
from service.submission.challenges import Challenge, check_challenges
from service.wire.errors import InputError
from service.wire.options import InvalidOptions, SolveOptions
from service.wire.problem import MAX_FAULTS, Fault, pointer_of, unknown_member
from service.wire.task import BODIES, DEFAULT_NAME

JSON_TYPE: Final = "application/json"
# A body must arrive within the grace, and what its bytes so far add at this rate.
GRACE_S: Final = 20.0
MIN_BYTES_PER_S: Final = 10_000
# The largest task there is holds 36,000 cells in 1,240 rows. A body with more values than this
# cannot be one, and to look at each would take a second and half a gigabyte.
MAX_VALUES: Final = 50_000
MAX_PUZZLES: Final = 1000
DEFAULT_BATCH_NAME: Final = "batch"
# By the member that only bodies of this kind have.
_MEMBERS: Final = {
    name: tuple(body.model_fields)
    for name, body in zip(("train", "sudoku", "maze"), BODIES, strict=True)
}
_BATCH_MEMBERS: Final = ("challenges", "name", "options")
_NOT_WRAPPED: Final = (
    "the task is not wrapped: its members stand beside the options, as in "
    '{"train": [{"input": [[1]], "output": [[2]]}], "test": [{"input": [[1]]}], '
    '"options": {"variants": 8}}'
)
_NO_OBJECT: Final = "is not an object; give one with train and test, a sudoku or a maze"
_MANY_FAULTS: Final = MAX_FAULTS + 1


@dataclass(frozen=True, slots=True)
class BatchBody:
    """What a batch asks for; broken tasks are among the challenges."""

    challenges: tuple[Challenge, ...]
    options: SolveOptions
    name: str


async def read_json_body(
    request: Request, max_bytes: int, hint: str = "Send each puzzle in a request of its own"
) -> bytes:
    """Read a body that says it is JSON, stopping at the limit whatever its length claims.

    `hint` says what to do about one that is too large.

    Raises: Problem (408, 413, 415).
    """
    _check_type(request)
    length = request.headers.get("content-length", "")
    if length.isdecimal() and int(length[:20]) > max_bytes:
        raise _too_large(max_bytes, hint)
    chunks = bytearray()
    started = asyncio.get_running_loop().time()
    try:
        async with asyncio.timeout(GRACE_S) as limit:
            async for chunk in request.stream():
                chunks += chunk
                if len(chunks) > max_bytes:
                    raise _too_large(max_bytes, hint)
                limit.reschedule(started + GRACE_S + len(chunks) / MIN_BYTES_PER_S)
    except TimeoutError:
        raise _too_slow(len(chunks)) from None
    return bytes(chunks)


def parse_task_body(body: bytes) -> tuple[Task, SolveOptions]:
    """Read a body as a task, and how to solve it.

    Raises: Problem with the wrong places (422); TaskFileError for what is no JSON (400).
    """
    num_values = body.count(b",") + body.count(b"[") + body.count(b"{")
    if num_values > MAX_VALUES:
        raise invalid_request(
            [Fault(f"more than {MAX_VALUES:,} values; a task has 36,000 cells at the most", "")]
        )
    document = _read_json(body)
    if not isinstance(document, dict):
        raise invalid_request(
            [Fault("is not an object; give one with train and test, a sudoku or a maze", "")]
        )
    own = next((name for name in ("sudoku", "maze") if name in document), "train")
    is_puzzle = own != "train" or {"train", "test"} & document.keys()
    if isinstance(document.get("task"), dict) and not is_puzzle:
        raise invalid_request([Fault(_NOT_WRAPPED, "/task")])
    faults = list(_take_unknown(document, _MEMBERS[own]))
    options, wrong_options = _read_options(document.pop("options", {}))
    faults += wrong_options
    task: Task | None = None
    try:
        task = _read_task(document)
    except PuzzleError as error:
        faults += _faults_of_task(document, error)
    if faults or task is None:
        raise invalid_request(faults)
    return task, options


def parse_batch_body(body: bytes) -> BatchBody:
    """Read a body as a challenges file, or as an object that holds one and how to solve it.

    Raises: Problem with the wrong places (422); TaskFileError for what is no JSON, or holds an id
    twice (400).
    """
    document = _read_json(body)
    members: dict[str, Any] = {"challenges": document}
    place = ""
    if isinstance(document, dict) and _is_envelope(document):
        members, place = document, "/challenges"
    if unknown := list(_take_unknown(members, _BATCH_MEMBERS)):
        raise invalid_request(unknown)
    challenges = members["challenges"]
    num_puzzles = len(challenges) if isinstance(challenges, dict) else 0
    if num_puzzles > MAX_PUZZLES:
        fault = f"{num_puzzles:,} puzzles; a batch has {MAX_PUZZLES:,} at the most. Split it up"
        raise invalid_request([Fault(fault, place)])
    try:
        checked = check_challenges(challenges)
    except InputError as error:
        raise invalid_request([Fault(str(error), place)]) from None
    options = _read_batch_options({} if members.get("options") is None else members["options"])
    return BatchBody(checked, options, _read_batch_name(members.get("name")))


def _read_json(body: bytes) -> object:
    return parse_json(body.removeprefix(codecs.BOM_UTF8), "the body")


def _take_unknown(document: dict[str, Any], known: tuple[str, ...]) -> Iterator[Fault]:
    """Take the members out of a document that it cannot have."""
    for name in [name for name in document if name not in known]:
        del document[name]
        yield Fault(unknown_member(known), pointer_of((name,)))


def _read_options(document: object) -> tuple[SolveOptions, tuple[Fault, ...]]:
    """Return the options and what is wrong with them; wrong ones are left out."""
    if not isinstance(document, dict):
        return SolveOptions(), (Fault("is not an object; give one with options", "/options"),)
    try:
        return SolveOptions.read(document), ()
    except InvalidOptions as error:
        return SolveOptions(), error.faults


def _read_task(document: dict[str, Any]) -> Task:
    tests = document.get("test")
    for test in tests if isinstance(tests, list) else ():
        if isinstance(test, dict) and test.get("output", ...) is None:
            del test["output"]  # as good as none
    return parse_task(document, DEFAULT_NAME)


def _faults_of_task(document: dict[str, Any], error: PuzzleError) -> Iterator[Fault]:
    """Return the faults of a task from its first one on.

    `parse_task` stops at the first one. Of wrong cells a person wants to see more, so each is
    replaced by a right one and the next is looked for.
    """
    for _ in range(_MANY_FAULTS):
        yield Fault(error.problem, error.pointer)
        match error.path:
            case ("train" | "test" as part, int(index), str(member), int(row), int(column)):
                document[part][index][member][row][column] = 0
            case _:
                return
        try:
            parse_task(document, DEFAULT_NAME)
        except PuzzleError as following:
            error = following
        else:
            return


def _is_envelope(document: dict[str, Any]) -> bool:
    """Return whether an object holds the challenges, rather than a task of that name."""
    challenges = document.get("challenges")
    is_task = isinstance(challenges, dict) and {"train", "test"} <= challenges.keys()
    return "challenges" in document and not is_task


def _read_batch_options(document: object) -> SolveOptions:
    options, faults = _read_options(document)
    if options.trace:
        fault = "the answers of every variant would be gigabytes: send single tasks to trace them"
        faults = (*faults, Fault(fault, "/options/trace"))
    if faults:
        raise invalid_request(faults)
    # Whatever is asked for: so many jobs must not keep those out that somebody waits for.
    return options.with_changes(priority="batch")


def _read_batch_name(name: object) -> str:
    if name is None:
        return DEFAULT_BATCH_NAME
    if not isinstance(name, str) or not 1 <= len(name) <= MAX_NAME_LENGTH:
        fault = f"is no text of 1..{MAX_NAME_LENGTH} characters"
    elif not name.isprintable():
        fault = "holds a character that cannot be printed; choose another name"
    else:
        return name
    raise invalid_request([Fault(fault, "/name")])


def _check_type(request: Request) -> None:
    # A body without a type is refused too: a web page of a stranger can send that to a service on
    # this machine without asking, JSON it cannot.
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != JSON_TYPE:
        said = media_type[:80] or "nothing"
        raise Problem(
            "unsupported_media_type",
            f"Content-Type says {said!r}: send `Content-Type: {JSON_TYPE}`",
            headers={"Accept": JSON_TYPE},
        )
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding != "identity":
        raise Problem(
            "unsupported_media_type",
            f"Content-Encoding {encoding[:80]!r} is not read here: send the JSON as it is",
            headers={"Accept-Encoding": "identity"},
        )


def _too_slow(num_bytes: int) -> Problem:
    return Problem(
        "request_timeout",
        f"{num_bytes:,} bytes of the body have arrived, slower than {MIN_BYTES_PER_S:,} bytes a "
        "second",
        headers={"Connection": "close"},
    )


def _too_large(max_bytes: int, hint: str) -> Problem:
    return Problem(
        "body_too_large",
        f"the body is larger than {max_bytes:,} bytes; one puzzle takes some thousands. {hint}",
        # The rest of the body is not read, so nothing else can come through this connection.
        headers={"Connection": "close"},
    )
