"""What the documents of the service have in common: how they are read, times, grids and tasks.

`augment` checks tasks and has the last word on them; their bounds are its own.
"""

from datetime import UTC, datetime
from typing import Annotated

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    InstanceOf,
    PlainSerializer,
    WithJsonSchema,
)
from typing_extensions import TypeAliasType

import augment
from augment import MAX_COLOUR, MAX_DEMONSTRATIONS, MAX_NAME_LENGTH, MAX_SIDE, MAX_TEST_INPUTS


class Document(BaseModel):
    """A document that the service writes and a client reads.

    Readers ignore members that they do not know. A field with a default may be missing in the
    documents of older services.
    """

    model_config = ConfigDict(frozen=True, json_schema_serialization_defaults_required=True)


def is_none(value: object) -> bool:
    """Return whether a member is to be left out."""
    return value is None


def utc(seconds: float) -> datetime:
    """Return a time of the clock.

    Units: seconds since 1970.
    """
    return datetime.fromtimestamp(seconds, UTC)


Time = Annotated[
    datetime,
    PlainSerializer(
        lambda time: time.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        return_type=str,
        when_used="json",
    ),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]

Colour = Annotated[int, Field(ge=0, le=MAX_COLOUR)]
Grid = TypeAliasType(
    "Grid",
    Annotated[
        InstanceOf[augment.Grid],
        BeforeValidator(
            lambda rows: rows if isinstance(rows, augment.Grid) else augment.Grid.from_rows(rows)
        ),
        PlainSerializer(augment.Grid.to_rows),
        WithJsonSchema(
            {
                "type": "array",
                "items": {
                    "type": "array",
                    "items": {"type": "integer", "minimum": 0, "maximum": MAX_COLOUR},
                    "minItems": 1,
                    "maxItems": MAX_SIDE,
                },
                "minItems": 1,
                "maxItems": MAX_SIDE,
                "description": "Rows of colours, all equally long.",
                "examples": [[[0, 1], [2, 3]]],
            }
        ),
    ],
)
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
