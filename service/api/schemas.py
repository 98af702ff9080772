"""The words on the wire: what requests may hold, and what answers hold.

Requests are checked with these models. Answers are not written by them, which would cost more than
all the rest of a request: they describe them in the OpenAPI document, and tests hold answers to it.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from typing_extensions import TypeAliasType

# The bounds of `augment.parse_task`, which has the last word; here so that they are documented.
MAX_SIDE = 30
MAX_COLOUR = 9
MAX_DEMONSTRATIONS = 10
MAX_TEST_INPUTS = 10
MAX_NAME_LENGTH = 200

MAX_SEED = 2**63 - 1
MAX_DEADLINE_S = 86_400.0
MAX_ENSEMBLE = 7
MAX_ADAPT_STEPS = 1_000_000
MAX_ADAPT_VARIANTS = 1000

Priority = Literal["interactive", "batch"]
State = Literal["queued", "running", "adapting", "succeeded", "failed", "cancelled"]
Adapt = Literal["never", "auto", "always"]
CheckpointName = Annotated[str, Field(min_length=1, max_length=MAX_NAME_LENGTH)]

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


class JobsQuery(BaseModel):
    """What a list of jobs is narrowed to."""

    model_config = ConfigDict(extra="forbid")

    state: list[State] = Field(
        default_factory=list, max_length=6, description="Only jobs in these states."
    )
    cursor: str | None = Field(
        default=None, max_length=200, description="From `next`: where the page before ended."
    )
    limit: int = Field(default=20, ge=1, le=100)


class PuzzlesQuery(BaseModel):
    """Which page of a checkpoint's puzzles."""

    model_config = ConfigDict(extra="forbid")

    cursor: str | None = Field(
        default=None, max_length=500, description="From `next`: where the page before ended."
    )
    limit: int = Field(default=100, ge=1, le=1000)


class FaultOut(BaseModel):
    """One wrong place of a request."""

    pointer: str | None = Field(
        default=None, description="JSON pointer (RFC 6901) into the body, to the wrong place."
    )
    parameter: str | None = Field(default=None, description="The query parameter or header.")
    detail: str


class ProblemOut(BaseModel):
    """A problem (RFC 9457)."""

    type: str = Field(description="urn:hrm-arc:problem:CODE")
    title: str
    status: int
    detail: str = Field(description="What is wrong and what would mend it.")
    code: str = Field(description="The same as in `type`, for programs.")
    instance: str | None = Field(default=None, description="The job that failed.")
    errors: list[FaultOut] | None = Field(
        default=None, max_length=20, description="The wrong places, the first twenty of them."
    )
    checkpoint: str | None = Field(default=None, description="The checkpoint that was asked.")
    known_puzzles: int | None = Field(default=None, description="How many puzzles it knows.")
    puzzles: str | None = Field(default=None, description="Where they are listed.")
    known_to: list[str] | None = Field(
        default=None, description="Other checkpoints that do know the puzzle."
    )
    checkpoints: list[str] | None = Field(default=None, description="The checkpoints served.")


class OptionsOut(BaseModel):
    """The options as taken, with all that was left out filled in."""

    checkpoint: str
    ensemble: list[str]
    variants: int | None
    attempts: int
    halting: Literal["act", "fixed"]
    max_segments: int | None
    ranking: Literal["count", "q_weighted"]
    seed: int
    stop_early: bool
    adapt: Adapt
    adapt_s: float | None
    adapt_steps: int | None
    adapt_variants: int | None
    priority: Priority
    deadline_s: float | None


class CandidateOut(BaseModel):
    """A grid that variants voted for."""

    grid: Grid
    count: int
    share: float


class TestProgress(BaseModel):
    """The vote on one test input so far."""

    votes: int
    abstained: int
    candidates: list[CandidateOut]


class AdaptationProgress(BaseModel):
    """How far the adaptation of a checkpoint is."""

    checkpoint: str = Field(description="The one that is adapted.")
    phase: Literal["waiting", "rows", "all", "last"] = Field(
        description="`waiting` for the device; `rows` alone are trained; `all` weights are; "
        "`last`: with falling rates, on what was held out too."
    )
    used_share: float = Field(description="The part of the budget that is used.")
    steps: int
    seconds: float
    loss: float | None
    right_share: float | None = Field(description="Of the variants learned from, those right.")
    held_out_share: float | None = Field(description="Of the variants held out, those right.")
    held_out_note: str = Field(description="What was held out, or why nothing was.")


class SummaryProgress(BaseModel):
    """How far a job is."""

    outcomes: int = Field(description="Variants that have answered.")
    asked: int = Field(description="Variants that were asked.")
    decided: int = Field(description="Test inputs whose attempts are settled.")
    test_inputs: int
    adaptation: AdaptationProgress | None = Field(
        default=None, description="While the job is `adapting`."
    )


class ProgressOut(SummaryProgress):
    """How far a job is, with the votes so far."""

    tests: list[TestProgress]


class RankedCandidate(CandidateOut):
    """A grid that variants voted for, at the end."""

    mean_q_halt: float
    by_checkpoint: dict[str, int] | None = Field(
        default=None, description="Each checkpoint's votes for it, where several vote."
    )


class ShareOut(BaseModel):
    """A checkpoint's part in the vote on one test input."""

    checkpoint: str
    votes: int
    abstained: int
    variants_used: int
    variants_asked: int
    segments: int
    share: float = Field(description="Of all votes.")


class TestOut(BaseModel):
    """The vote on one test input."""

    __test__ = False

    attempts: list[Grid] = Field(description="The answers, best first.")
    candidates: list[RankedCandidate]
    distinct_candidates: int
    votes: int
    abstained: int
    variants_used: int
    variants_asked: int
    segments: int
    decided_early: bool
    shares: list[ShareOut] = Field(description="Each checkpoint's part, the main one's first.")
    expected: Grid | None = None
    right: bool | None = Field(
        default=None, description="Whether an attempt is the expected output, where that was given."
    )


class AdaptationOut(BaseModel):
    """How a checkpoint was adapted to the puzzle."""

    base: str = Field(description="The checkpoint it was made from.")
    base_sha256: str
    steps: int
    seconds: float
    variants: int
    held_out_share: float | None = Field(description="Of the variants held out, those right.")
    held_out_note: str = Field(description="What was held out, or why nothing was.")
    stopped_early: bool = Field(description="Before its budget ended: it got no better.")
    reused: bool = Field(description="Made for a job before this one.")


class MemberOut(BaseModel):
    """A checkpoint that voted."""

    checkpoint: str
    checkpoint_sha256: str
    enrolled_as: str
    enrolment: Literal["trained", "adapted"]
    adaptation: AdaptationOut | None = None
    max_segments: int
    precision: str
    attention: str
    slots: int


class AnswerOut(BaseModel):
    """What solving gave, with all that is needed to repeat it.

    What is told of one checkpoint is told of the main one; `members` tell it of each.
    """

    puzzle: str
    enrolled_as: str = Field(description="The checkpoint's own name for the puzzle.")
    enrolment: Literal["trained", "adapted"]
    adaptation: AdaptationOut | None = Field(
        default=None, description="Null where trained rows answered."
    )
    checkpoint: str
    checkpoint_sha256: str
    halting: Literal["act", "fixed"]
    max_segments: int
    ranking: Literal["count", "q_weighted"]
    seed: int
    stop_early: bool
    device: str
    precision: str
    attention: str
    slots: int
    members: list[MemberOut] = Field(description="The checkpoints that voted, the main one first.")
    tests: list[TestOut]
    timings_s: dict[str, float] = Field(description="Seconds by stage.")
    verified: bool = Field(description="Whether the checkpoint passed its alignment self-test.")


class FailureOut(BaseModel):
    """Why a job failed."""

    code: str
    detail: str


class JobLinks(BaseModel):
    """Where to go on."""

    self: str
    events: str


class JobSummary(BaseModel):
    """A job in a list: without its answer and its votes."""

    id: str
    state: State
    name: str
    priority: Priority
    created_at: str = Field(json_schema_extra={"format": "date-time"})
    started_at: str | None = Field(json_schema_extra={"format": "date-time"})
    finished_at: str | None = Field(json_schema_extra={"format": "date-time"})
    attempts: int = Field(description="How often a worker began on it.")
    cancel_requested: bool
    options: OptionsOut
    progress: SummaryProgress | None
    error: FailureOut | None
    links: JobLinks


class JobOut(JobSummary):
    """A job as it stands."""

    progress: ProgressOut | None
    result: AnswerOut | None


class JobList(BaseModel):
    """A page of jobs, newest first."""

    jobs: list[JobSummary]
    next: str | None = Field(description="The address of the next page.")


class CheckpointLinks(BaseModel):
    """Where to go on."""

    self: str
    puzzles: str


class CheckpointOut(BaseModel):
    """A checkpoint that workers serve."""

    name: str
    sha256: str
    architecture: str
    canvas: int = Field(description="The longest side of a grid that it can read.")
    parameters: int
    rows: int = Field(description="Trained rows, one for each variant of each puzzle.")
    puzzles: int
    halt_max_steps: int
    verified: bool
    verdict: str = Field(description="What the alignment self-test found.")
    workers: int = Field(description="Workers that serve it now.")
    default: bool = Field(description="Taken when a job names no checkpoint.")
    links: CheckpointLinks


class CheckpointList(BaseModel):
    """The checkpoints that workers serve."""

    checkpoints: list[CheckpointOut]


class PuzzleOut(BaseModel):
    """A puzzle that a checkpoint has rows for."""

    name: str
    demonstrations_sha256: str
    variants: int


class PuzzleList(BaseModel):
    """A page of a checkpoint's puzzles, by name."""

    puzzles: list[PuzzleOut]
    total: int
    next: str | None = Field(description="The address of the next page.")


class AdaptedLinks(BaseModel):
    """Where to go on."""

    self: str


class AdaptedOut(BaseModel):
    """A checkpoint adapted to one puzzle, which a worker keeps for the next job of that puzzle."""

    id: str
    base: str = Field(description="The checkpoint it was made from.")
    base_sha256: str
    puzzle: str
    demonstrations_sha256: str
    variants: int
    steps: int
    seconds: float = Field(description="Of training.")
    held_out_share: float | None = Field(description="Of the variants held out, those right.")
    bytes: int = Field(description="On disk.")
    made_at: str = Field(json_schema_extra={"format": "date-time"})
    used_at: str = Field(json_schema_extra={"format": "date-time"})
    complete: bool = Field(description="False: a snapshot, from which its job goes on.")
    links: AdaptedLinks


class AdaptedList(BaseModel):
    """The adapted checkpoints that workers keep, the newest made first."""

    adapted: list[AdaptedOut]
    total: int


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
