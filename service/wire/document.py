"""What the documents of the service have in common: how they are read, times, grids."""

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
from augment import MAX_COLOUR, MAX_SIDE


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
