"""From the bytes of a body to a checked task; every fault with a pointer to its place."""

import codecs
from collections.abc import Mapping, Sequence
from typing import Any, Final

from pydantic import BaseModel, ValidationError

from augment import Puzzle, PuzzleError, parse_task
from service.api.problems import MAX_FAULTS, Fault, Problem, Refused, invalid_request
from service.api.schemas import DemonstrationIn, TaskIn, TestIn
from service.wire.options import SolveOptions

# The largest task there is holds 36,000 cells in 1,240 rows. A body with more values than this
# cannot be one, and to look at each would take a second and half a gigabyte.
MAX_VALUES: Final = 50_000
_GRIDS: Final = ("input", "output")
_LENGTHS: Final[Mapping[str, str]] = {
    "train": "demonstrations; a task has 1..10",
    "test": "test inputs; a task has 1..10",
    "grid": "rows; a grid has 1..30",
    "row": "columns; a row has 1..30",
    "name": "characters; a name has 1..200",
}


def parse_task_body(body: bytes) -> tuple[TaskIn, Puzzle]:
    """Read a body as a task with options, and as the puzzle that the task is.

    Raises: Refused with the wrong places (400, 422).
    """
    body = body.removeprefix(codecs.BOM_UTF8)
    num_values = body.count(b",") + body.count(b"[") + body.count(b"{")
    if num_values > MAX_VALUES:
        raise invalid_request(
            [Fault(f"more than {MAX_VALUES:,} values; a task has 36,000 cells at the most", "")]
        )
    try:
        task = TaskIn.model_validate_json(body)
    except ValidationError as error:
        raise _refusal(error) from None
    document = {
        "name": task.name,
        "train": [{"input": pair.input, "output": pair.output} for pair in task.train],
        "test": [_test_document(test) for test in task.test],
    }
    try:
        return task, parse_task(document, task.name).puzzle
    except PuzzleError as error:  # rows of unequal lengths, and names that cannot be printed
        raise invalid_request([Fault(error.problem, error.pointer)]) from None


def pointer_of(place: Sequence[str | int]) -> str:
    """Write a place as a JSON pointer.

    Source: RFC 6901, section 3.
    """
    keys = (str(key).replace("~", "~0").replace("/", "~1") for key in place)
    return "".join(f"/{key}" for key in keys)


def _test_document(test: TestIn) -> dict[str, Any]:
    document = {"input": test.input}
    return document if test.output is None else document | {"output": test.output}


def _refusal(error: ValidationError) -> Refused:
    entries = error.errors(include_url=False, include_input=False)
    for entry in entries:
        if entry["type"] == "json_invalid":
            reason = entry["ctx"]["error"]
            return Refused(
                Problem("invalid_json", f"the body is not usable JSON: {reason}. Send a task file")
            )
    faults = [fault_of(entry) for entry in entries[:MAX_FAULTS]]
    return invalid_request(faults, len(entries))


def fault_of(entry: Mapping[str, Any]) -> Fault:
    """Turn an entry of a validation error into a fault with its place."""
    place = tuple(_shown(key) for key in entry["loc"])
    return Fault(_sentence(entry["type"], place, entry), pointer_of(place))


def _shown(key: str | int) -> str | int:
    return key if isinstance(key, int) else key[:80]  # a stranger's key may be of any length


def _sentence(kind: str, place: Sequence[str | int], entry: Mapping[str, Any]) -> str:
    what = _what(place)
    context = entry.get("ctx", {})
    match kind:
        case "missing":
            return "is missing; add it"
        case "extra_forbidden":
            return f"is not known here; known are {', '.join(_members_at(place))}"
        case "too_long" | "too_short" | "string_too_long" | "string_too_short":
            length = context.get("actual_length")
            most, least = context.get("max_length"), context.get("min_length")
            bound = f"{most} at the most" if most is not None else f"{least} at least"
            return f"{length} {_LENGTHS[what]}" if length and what in _LENGTHS else f"holds {bound}"
    match what:
        case "cell":
            return "is not a colour; give a whole number 0..9"
        case "row":
            return "is not a row; give a list of colours 0..9"
        case "grid":
            return "is not a grid; give a list of rows"
        case "train" | "test":
            return f"is not a list; give 1..10 {_LENGTHS[what].partition(';')[0]}"
    return _lower(str(entry["msg"]))


def _what(place: Sequence[str | int]) -> str:
    """Name the kind of place: a cell, a row, a grid, else the member itself."""
    match place:
        case ("train" | "test", int(), str() as member, *indices) if member in _GRIDS:
            return ("grid", "row", "cell")[min(len(indices), 2)]
        case (str() as member,):
            return member
    return ""


def _members_at(place: Sequence[str | int]) -> Sequence[str]:
    models: Mapping[str, type[BaseModel]] = {
        "train": DemonstrationIn,
        "test": TestIn,
        "options": SolveOptions,
    }
    model = models.get(str(place[0]), TaskIn) if len(place) > 1 else TaskIn
    return list(model.model_fields)


def _lower(sentence: str) -> str:
    return sentence[:1].lower() + sentence[1:]
