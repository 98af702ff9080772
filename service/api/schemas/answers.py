"""What answers and votes on the way to them hold."""

from typing import Literal

from pydantic import BaseModel, Field

from service.wire.task import Colour, Grid


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
    side: int = Field(
        description="Cells a side of the square on which the grids lay: the canvas or, for a "
        "checkpoint with crop, the part of it that the puzzle needs."
    )


class VariantOut(BaseModel):
    """What one variant of a test input answered."""

    dihedral: int = Field(
        ge=0,
        le=7,
        description="0 as it is; 1, 2, 3 turned by 90, 180, 270 degrees against the "
        "clock; 4 left and right mirrored, 5 top and bottom; 6, 7 over the two diagonals.",
    )
    palette: list[Colour] = Field(
        min_length=10, max_length=10, description="The new colour of each colour, before turning."
    )
    checkpoint: str
    output: Grid | None = Field(
        description="Turned back, in the colours of the puzzle. Null: no grid, so no vote."
    )
    q_halt: float = Field(description="How right the network thinks it is, 0..1.")
    segments: int


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
    variants: list[VariantOut] | None = Field(
        default=None, description="What single variants answered, where `trace` asked for it."
    )
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
    verified: bool = Field(
        description="Whether the rows of its checkpoints are known to belong to their names."
    )
    warnings: list[str] = Field(description="What the answer should be read with, in sentences.")
