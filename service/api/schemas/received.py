"""What requests may hold; they are checked with these models."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from service.api.schemas.values import (
    MAX_DEMONSTRATIONS,
    MAX_TEST_INPUTS,
    Grid,
    State,
)
from service.wire.options import MAX_NAME_LENGTH, SolveOptions


class Received(BaseModel):
    """Whatever comes from a client: nothing unknown, nothing converted."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class DemonstrationIn(Received):
    """An input and the output that belongs to it."""

    input: Grid
    output: Grid


class TestIn(Received):
    """An input to be answered. An output is never used to answer it, only compared with."""

    __test__ = False  # not a test class, whatever its name makes pytest think

    input: Grid
    output: Grid | None = Field(
        default=None,
        exclude_if=lambda output: output is None,
        description="What is expected, if known: the answer then says `right` or not.",
    )


class TaskIn(Received):
    """An ARC task file as it is, and how to solve it."""

    train: Annotated[list[DemonstrationIn], Field(min_length=1, max_length=MAX_DEMONSTRATIONS)]
    test: Annotated[list[TestIn], Field(min_length=1, max_length=MAX_TEST_INPUTS)]
    name: Annotated[str, Field(min_length=1, max_length=MAX_NAME_LENGTH)] = Field(
        default="puzzle",
        description="Printable. A label only: demonstrations tell which puzzle this is.",
    )
    options: SolveOptions = Field(default_factory=SolveOptions)


class BatchesQuery(BaseModel):
    """Which page of one's batches."""

    model_config = ConfigDict(extra="forbid")

    cursor: str | None = Field(
        default=None, max_length=200, description="From `next`: where the page before ended."
    )
    limit: int = Field(default=20, ge=1, le=100)


class JobsQuery(BatchesQuery):
    """Which page of one's jobs, and what the list is narrowed to."""

    state: list[State] = Field(
        default_factory=list, max_length=6, description="Only jobs in these states."
    )


class PuzzlesQuery(BaseModel):
    """Which page of a checkpoint's puzzles."""

    model_config = ConfigDict(extra="forbid")

    cursor: str | None = Field(
        default=None, max_length=500, description="From `next`: where the page before ended."
    )
    limit: int = Field(default=100, ge=1, le=1000)


def schemas(*models: type[BaseModel]) -> dict[str, Any]:
    """Give the JSON schemas of request models, by name, as an OpenAPI document holds them."""
    from pydantic.json_schema import models_json_schema

    _, document = models_json_schema(
        [(model, "validation") for model in models],
        ref_template="#/components/schemas/{model}",
    )
    definitions: dict[str, Any] = document["$defs"]
    return definitions
