"""Tasks and the bodies that ask for them to be solved, as the API describes them.

`augment` checks tasks and has the last word on them; their bounds are its own.
"""

from typing import Annotated, Final

from pydantic import BaseModel, Field

from augment import MAX_DEMONSTRATIONS, MAX_NAME_LENGTH, MAX_TEST_INPUTS
from service.wire.document import Grid
from service.wire.options import SolveOptions

DEFAULT_NAME: Final = "puzzle"

Name = Annotated[str, Field(min_length=1, max_length=MAX_NAME_LENGTH)]


class Demonstration(BaseModel, extra="forbid"):
    """An input and the output that belongs to it."""

    input: Grid
    output: Grid


class TestInput(BaseModel, extra="forbid"):
    """An input to be answered. An output is never used to answer it, only compared with."""

    __test__ = False  # not a test class, whatever its name makes pytest think

    input: Grid
    output: Grid | None = Field(
        default=None,
        description="What is expected, if known: the answer then says `right` or not.",
    )


class Task(BaseModel, extra="forbid"):
    """A puzzle's grids: an ARC task file."""

    train: Annotated[list[Demonstration], Field(min_length=1, max_length=MAX_DEMONSTRATIONS)]
    test: Annotated[list[TestInput], Field(min_length=1, max_length=MAX_TEST_INPUTS)]
    name: Name


class TaskBody(Task):
    """An ARC task file as it is, and how to solve it."""

    name: Name = Field(
        default=DEFAULT_NAME,
        description="Printable. A label only: demonstrations identify the puzzle this is.",
    )
    options: SolveOptions = Field(default_factory=SolveOptions)
