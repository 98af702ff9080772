"""What requests may hold; they are checked with these models."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from service.api.schemas.values import (
    MAX_ADAPT_STEPS,
    MAX_ADAPT_VARIANTS,
    MAX_DEADLINE_S,
    MAX_DEMONSTRATIONS,
    MAX_ENSEMBLE,
    MAX_NAME_LENGTH,
    MAX_SEED,
    MAX_TEST_INPUTS,
    Adapt,
    CheckpointName,
    Grid,
    Priority,
    State,
)


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


class OptionsIn(Received):
    """How to solve the puzzle."""

    checkpoint: CheckpointName | None = Field(
        default=None, description="A checkpoint's name; null takes the service's own choice."
    )
    ensemble: list[CheckpointName] = Field(
        default_factory=list,
        max_length=MAX_ENSEMBLE,
        description="Checkpoints that vote beside it, each once: all their votes count alike.",
    )
    variants: Annotated[int, Field(ge=1, le=10_000)] | None = Field(
        default=None, description="How many variants vote; null takes all that have rows."
    )
    attempts: Annotated[int, Field(ge=1, le=10)] = Field(
        default=2, description="Answers for each test input."
    )
    halting: Literal["act", "fixed"] = Field(
        default="act",
        description="`act`: a variant stops once the network calls its answer right and that "
        "has settled. `fixed`: after all segments.",
    )
    max_segments: Annotated[int, Field(ge=1, le=64)] | None = Field(
        default=None, description="Null takes the checkpoint's own limit."
    )
    ranking: Literal["count", "q_weighted"] = Field(
        default="count",
        description="`count`: by votes, then by mean q. `q_weighted`: by the sum of q.",
    )
    seed: Annotated[int, Field(ge=0, le=MAX_SEED)] = Field(
        default=0, description="Draws the variants when fewer than all vote."
    )
    stop_early: bool = Field(
        default=True,
        description="Stop once the attempts can no longer change; their counts then may.",
    )
    adapt: Adapt = Field(
        default="never",
        description="Test-time training on the demonstrations. `never`: only trained rows answer. "
        "`auto`: a checkpoint without rows for the puzzle is adapted to it first, or an adaptation "
        "kept from before is used. `always`: also one that has rows.",
    )
    adapt_s: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = Field(
        default=None,
        description="Seconds of training, up to the service's limit. With `adapt_steps`, whichever "
        "ends first; null for both takes the service's own time.",
    )
    adapt_steps: Annotated[int, Field(ge=1, le=MAX_ADAPT_STEPS)] | None = Field(
        default=None, description="Steps of training."
    )
    adapt_variants: Annotated[int, Field(ge=1, le=MAX_ADAPT_VARIANTS)] | None = Field(
        default=None, description="Variants that get rows, and vote; null takes 64."
    )
    trace: bool = Field(
        default=False,
        description="Tell in the answer what each variant answered, of 1,000 at the most.",
    )
    priority: Priority = "interactive"
    deadline_s: Annotated[float, Field(gt=0, le=MAX_DEADLINE_S, allow_inf_nan=False)] | None = (
        Field(default=None, description="Seconds from now after which no answer is wanted.")
    )


class TaskIn(Received):
    """An ARC task file as it is, and how to solve it."""

    train: Annotated[list[DemonstrationIn], Field(min_length=1, max_length=MAX_DEMONSTRATIONS)]
    test: Annotated[list[TestIn], Field(min_length=1, max_length=MAX_TEST_INPUTS)]
    name: Annotated[str, Field(min_length=1, max_length=MAX_NAME_LENGTH)] = Field(
        default="puzzle",
        description="Printable. A label only: demonstrations tell which puzzle this is.",
    )
    options: OptionsIn = Field(default_factory=OptionsIn)


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
