"""The options of a solve: each declared here, with its type, bounds, default and description.

The HTTP body, the field in Redis, the worker, the clients and the command line hold this object.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from augment import MAX_NAME_LENGTH
from service.wire.errors import InputError
from service.wire.problem import Fault, faults_of

MAX_SEED: Final = 2**63 - 1

Halting = Literal["act", "fixed"]
Ranking = Literal["count", "q_weighted"]
Adapt = Literal["never", "auto", "always"]
Priority = Literal["interactive", "batch"]
PRIORITIES: Final[tuple[Priority, ...]] = get_args(Priority)
CheckpointName = Annotated[str, Field(min_length=1, max_length=MAX_NAME_LENGTH, strict=True)]


class InvalidOptions(InputError):  # noqa: N818 - what was found
    """Some options do not exist, or are out of bounds."""

    code = "invalid_request"

    def __init__(self, faults: tuple[Fault, ...]) -> None:
        super().__init__("; ".join(f"{fault.place_in_words}: {fault.detail}" for fault in faults))
        self.faults = faults


class SolveOptions(BaseModel):
    """How to solve a puzzle; in answers, all that was left out is filled in."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    checkpoint: CheckpointName | None = Field(
        default=None,
        description="A checkpoint's name. Null takes one that knows the puzzle, else the best base "
        "that it fits; with an ensemble the service's default checkpoint.",
    )
    # Not strict: callers in Python may give a list.
    ensemble: tuple[CheckpointName, ...] = Field(
        default=(),
        max_length=7,
        strict=False,
        description="Checkpoints that vote beside it, each once: all their votes count alike.",
    )
    variants: Annotated[int, Field(ge=1, le=10_000)] | None = Field(
        default=None, description="How many variants vote; null takes all that have rows."
    )
    attempts: Annotated[int, Field(ge=1, le=10)] = Field(
        default=2, description="Answers for each test input."
    )
    halting: Halting = Field(
        default="act",
        description="`act`: a variant stops once the network calls its answer right and that "
        "has settled. `fixed`: after all segments.",
    )
    max_segments: Annotated[int, Field(ge=1, le=64)] | None = Field(
        default=None,
        description="The most segments of a variant; null takes the checkpoint's own limit, its "
        "`halt_max_steps`.",
    )
    ranking: Ranking = Field(
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
        default="auto",
        description="Test-time training on the demonstrations. `auto`: a checkpoint without rows "
        "for the puzzle is adapted to it first, or an adaptation kept from before is used. "
        "`never`: only trained rows answer. `always`: also a checkpoint that has rows is adapted. "
        "Left out, the service's own default holds, usually `auto`.",
    )
    adapt_s: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = Field(
        default=None,
        description="Seconds of training, up to the service's limit. With `adapt_steps`, whichever "
        "ends first; null for both takes the service's own time.",
    )
    adapt_steps: Annotated[int, Field(ge=1, le=1_000_000)] | None = Field(
        default=None, description="Steps of training."
    )
    adapt_variants: Annotated[int, Field(ge=1, le=1000)] | None = Field(
        default=None, description="Variants that get rows, and vote; null takes 64."
    )
    trace: bool = Field(
        default=False,
        description="Return in the answer what each variant answered, after each segment and at "
        "the end, of 1,000 at the most.",
    )
    priority: Priority = Field(
        default="interactive", description="Interactive jobs go before batch ones."
    )
    deadline_s: Annotated[float, Field(gt=0, le=86_400.0, allow_inf_nan=False)] | None = Field(
        default=None, description="Seconds from now after which no answer is wanted."
    )

    @classmethod
    def read(cls, options: bytes | Mapping[str, object]) -> Self:
        """Check options given as JSON or by name.

        Raises: InvalidOptions.
        """
        try:
            if isinstance(options, bytes):
                return cls.model_validate_json(options)
            return cls.model_validate(options)
        except ValidationError as error:
            raise InvalidOptions(faults_of(error, list(cls.model_fields), ("options",))) from None

    def with_changes(self, **changes: object) -> Self:
        """Return these options with some of them changed, checked again."""
        given = {name: getattr(self, name) for name in self.model_fields_set}
        return self.read({**given, **changes})

    @property
    def given(self) -> dict[str, Any]:
        """The options that were given, as JSON values; the rest are left to the service."""
        return self.model_dump(mode="json", exclude_unset=True)
