"""What requests and answers hold that is not in `service.wire`: queries of lists, health."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from service.wire.job import JobState


class BatchesQuery(BaseModel):
    """Which page of one's batches."""

    model_config = ConfigDict(extra="forbid")

    cursor: str | None = Field(
        default=None, max_length=200, description="From `next`: where the page before ended."
    )
    limit: int = Field(default=20, ge=1, le=100)


class JobsQuery(BatchesQuery):
    """Which page of one's jobs, and what the list is narrowed to."""

    state: list[JobState] = Field(
        default_factory=list, max_length=6, description="Only jobs in these states."
    )


class PuzzlesQuery(BaseModel):
    """Which page of a checkpoint's puzzles."""

    model_config = ConfigDict(extra="forbid")

    cursor: str | None = Field(
        default=None, max_length=500, description="From `next`: where the page before ended."
    )
    limit: int = Field(default=100, ge=1, le=1000)


class AliveOut(BaseModel):
    """The process answers."""

    status: Literal["alive"]


class ReadyOut(BaseModel):
    """Jobs sent now will be worked on."""

    status: Literal["ready"]
    workers: int
    checkpoints: list[str]


def schemas(*models: type[BaseModel]) -> dict[str, Any]:
    """Give the JSON schemas of request models, by name, as an OpenAPI document holds them."""
    from pydantic.json_schema import models_json_schema

    _, document = models_json_schema(
        [(model, "validation") for model in models],
        ref_template="#/components/schemas/{model}",
    )
    definitions: dict[str, Any] = document["$defs"]
    return definitions
