"""From the bytes of a body to a batch: the challenges, and how to solve them."""

import codecs
from dataclasses import dataclass
from typing import Any, Final

from pydantic import ValidationError

from augment import parse_json
from service.api.problems import MAX_FAULTS, Fault, Refused, invalid_request
from service.api.schemas import MAX_PUZZLES
from service.api.task_bodies import fault_of
from service.submission.challenges import Challenge, check_challenges
from service.wire.errors import InputError
from service.wire.options import MAX_NAME_LENGTH, SolveOptions

DEFAULT_NAME: Final = "batch"
_MEMBERS: Final = ("challenges", "name", "options")


@dataclass(frozen=True, slots=True)
class AskedBatch:
    """What a batch asks for; broken tasks are among the challenges."""

    challenges: tuple[Challenge, ...]
    options: SolveOptions
    name: str


def parse_batch_body(body: bytes) -> AskedBatch:
    """Read a body as a challenges file, or as an object that holds one and how to solve it.

    Raises: Refused with the wrong places (422); TaskFileError for what is no JSON, or holds an id
    twice.
    """
    document = parse_json(body.removeprefix(codecs.BOM_UTF8), "the body")
    members: dict[str, Any] = {"challenges": document}
    place = ""
    if isinstance(document, dict) and _is_envelope(document):
        members, place = document, "/challenges"
    unknown = [
        Fault(f"is not known here; known are {', '.join(_MEMBERS)}", f"/{name[:80]}")
        for name in members
        if name not in _MEMBERS
    ]
    if unknown:
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
    return AskedBatch(
        checked, _read_options(members.get("options")), _read_name(members.get("name"))
    )


def _is_envelope(document: dict[str, Any]) -> bool:
    """Tell an object that holds the challenges from a challenges file with a task of that name."""
    challenges = document.get("challenges")
    is_task = isinstance(challenges, dict) and {"train", "test"} <= challenges.keys()
    return "challenges" in document and not is_task


def _read_options(document: Any) -> SolveOptions:
    if document is None:
        return SolveOptions(priority="batch")
    try:
        options = SolveOptions.model_validate(document)
    except ValidationError as error:
        entries = error.errors(include_url=False, include_input=False)
        faults = [
            fault_of({**entry, "loc": ("options", *entry["loc"])}) for entry in entries[:MAX_FAULTS]
        ]
        raise invalid_request(faults, len(entries)) from None
    if options.trace:
        fault = "the answers of every variant would be gigabytes: send single tasks to trace them"
        raise invalid_request([Fault(fault, "/options/trace")])
    # Whatever is asked for: so many jobs must not keep those out that somebody waits for.
    return options.model_copy(update={"priority": "batch"})


def _read_name(name: Any) -> str:
    if name is None:
        return DEFAULT_NAME
    if not isinstance(name, str) or not 1 <= len(name) <= MAX_NAME_LENGTH:
        raise _bad_name(f"is no text of 1..{MAX_NAME_LENGTH} characters")
    if not name.isprintable():
        raise _bad_name("holds a character that cannot be printed; choose another name")
    return name


def _bad_name(sentence: str) -> Refused:
    return invalid_request([Fault(sentence, "/name")])
