"""Problem documents (RFC 9457), and the faults of a request that they list."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Final

from pydantic import BaseModel, Field, ValidationError

from augment import pointer_from_path, text_from_path

MAX_FAULTS: Final = 20
# A stranger's key may be of any length.
_MAX_SHOWN_KEY: Final = 80


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault of a request, and where it is."""

    detail: str
    pointer: Annotated[
        str | None, Field(description="JSON pointer (RFC 6901) into the body, to the wrong place.")
    ] = None
    parameter: Annotated[str | None, Field(description="The query parameter or header.")] = None

    @property
    def place(self) -> str:
        """Where the fault is, in a word."""
        return self.parameter or self.pointer or "the body"

    @property
    def place_in_words(self) -> str:
        """Where the fault is, for those who wrote no body: `option seed`, `train[0].input[1]`."""
        keys = [_key(part) for part in (self.pointer or "").split("/")[1:]]
        if self.parameter is not None or not keys:
            return self.place
        if keys[0] == "options" and len(keys) > 1:
            return f"option {text_from_path(tuple(keys[1:]))}"
        return text_from_path(tuple(keys))


def _key(part: str) -> str | int:
    return int(part) if part.isdecimal() else part.replace("~1", "/").replace("~0", "~")


class Problem(BaseModel):
    """A problem (RFC 9457)."""

    type: str = Field(description="urn:hrm-arc:problem:CODE")
    title: str
    status: int
    detail: str = Field(description="What is wrong and how to correct it.")
    code: str = Field(description="The same as in `type`, for programs.")
    instance: str | None = Field(default=None, description="The job that failed.")
    errors: list[Fault] | None = Field(
        default=None,
        max_length=MAX_FAULTS,
        description="The wrong places, the first twenty of them.",
    )
    checkpoint: str | None = Field(default=None, description="The checkpoint that was asked.")
    known_puzzles: int | None = Field(default=None, description="How many puzzles it knows.")
    puzzles: str | None = Field(default=None, description="Where they are listed.")
    known_to: list[str] | None = Field(
        default=None, description="Other checkpoints that do know the puzzle."
    )
    checkpoints: list[str] | None = Field(default=None, description="The checkpoints served.")


def unknown_member(known: Sequence[str]) -> str:
    """Return the sentence on a member that a document does not have."""
    return f"is not known here; known are {', '.join(known)}"


def pointer_of(place: Sequence[str | int]) -> str:
    """Return a place as a JSON pointer, its keys cut to a length that can be shown."""
    return pointer_from_path(tuple(str(key)[:_MAX_SHOWN_KEY] for key in place))


def faults_of(
    error: ValidationError, known: Sequence[str], within: Sequence[str | int] = ()
) -> tuple[Fault, ...]:
    """Return the faults that a model with `known` fields found, `within` a document."""
    return tuple(
        Fault(
            unknown_member(known)
            if entry["type"] == "extra_forbidden"
            else entry["msg"][:1].lower() + entry["msg"][1:],
            pointer_of((*within, *entry["loc"])),
        )
        for entry in error.errors(include_url=False, include_input=False)
    )
