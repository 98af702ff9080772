"""The values that documents hold, and their bounds."""

from typing import Annotated, Literal

from pydantic import Field
from typing_extensions import TypeAliasType

# The bounds of `augment.parse_task`, which has the last word; here so that they are documented.
MAX_SIDE = 30
MAX_COLOUR = 9
MAX_DEMONSTRATIONS = 10
MAX_TEST_INPUTS = 10
MAX_PUZZLES = 1000

State = Literal["queued", "running", "adapting", "succeeded", "failed", "cancelled"]

Colour = Annotated[int, Field(ge=0, le=MAX_COLOUR)]
Row = Annotated[list[Colour], Field(min_length=1, max_length=MAX_SIDE)]
Grid = TypeAliasType(
    "Grid",
    Annotated[
        list[Row],
        Field(
            min_length=1,
            max_length=MAX_SIDE,
            description="Rows of colours, all equally long.",
            examples=[[[0, 1], [2, 3]]],
        ),
    ],
)
