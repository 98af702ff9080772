"""Tasks and the bodies that ask for them to be solved, as the API describes them.

`augment` checks tasks and has the last word on them; their bounds are its own.
"""

from typing import Annotated, Final

from pydantic import BaseModel, Field

from augment import MAX_DEMONSTRATIONS, MAX_NAME_LENGTH, MAX_SIDE, MAX_TEST_INPUTS
from service.wire.document import Grid
from service.wire.options import SolveOptions

DEFAULT_NAME: Final = "puzzle"

SudokuText = Annotated[
    str
    | Annotated[list[str], Field(min_length=9, max_length=9)]
    | Annotated[list[list[Annotated[int, Field(ge=0, le=9)]]], Field(min_length=9, max_length=9)],
    Field(description="81 characters, 9 rows of them, or 9 lists of digits."),
]
MazeText = Annotated[
    str | Annotated[list[str], Field(min_length=1, max_length=MAX_SIDE)],
    Field(description="Rows of `# SG`."),
]
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


class Sudoku(BaseModel, extra="forbid"):
    """A Sudoku and, if it is known, its answer; `0` and `.` are empty cells."""

    sudoku: SudokuText
    answer: SudokuText | None = None
    name: Name


class Maze(BaseModel, extra="forbid"):
    """A maze and, if it is known, its answer, in which `o` marks the path.

    `#` is a wall, a space free, `S` the start and `G` the goal.
    """

    maze: MazeText
    answer: MazeText | None = None
    name: Name


class _Body(BaseModel, extra="forbid"):
    """What bodies have beside the puzzle."""

    name: Name = Field(
        default=DEFAULT_NAME,
        description="Printable. A label only: demonstrations identify the puzzle this is.",
    )
    options: SolveOptions = Field(default_factory=SolveOptions)


class TaskBody(_Body, Task):
    """An ARC task file as it is, and how to solve it."""


class SudokuBody(_Body, Sudoku):
    """A Sudoku, and how to solve it."""


class MazeBody(_Body, Maze):
    """A maze, and how to solve it."""


BODIES: Final[tuple[type[BaseModel], ...]] = (TaskBody, SudokuBody, MazeBody)
