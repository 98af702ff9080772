"""What all documents of the service have in common."""

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, PlainSerializer, WithJsonSchema


class Document(BaseModel):
    """A document that the service writes and a client reads.

    Readers ignore members that they do not know. A field with a default may be missing in the
    documents of older services.
    """

    model_config = ConfigDict(
        frozen=True, extra="ignore", json_schema_serialization_defaults_required=True
    )


def is_none(value: object) -> bool:
    """Return whether a member is to be left out."""
    return value is None


Time = Annotated[
    datetime,
    PlainSerializer(
        lambda time: time.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        return_type=str,
        when_used="json",
    ),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]
