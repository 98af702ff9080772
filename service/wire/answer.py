"""The answer to a puzzle: the votes, and all that is needed to repeat them."""

from operator import not_
from typing import Annotated, Any, Literal

from pydantic import Field

from service.wire.document import Colour, Document, Grid, is_none
from service.wire.options import Halting, Ranking

AdaptationEnding = Literal["budget", "learned", "stalled"]
HeldOutShare = Annotated[float | None, Field(description="Of the variants held out, those right.")]
HeldOutNote = Annotated[str | None, Field(description="What was held out, or why nothing was.")]


class Candidate(Document):
    """A grid that variants voted for."""

    grid: Grid
    count: int
    share: float = Field(description="Of the votes that name a grid.")


class RankedCandidate(Candidate):
    """A grid that variants voted for, at the end."""

    mean_q_halt: float
    by_checkpoint: dict[str, int] | None = Field(
        default=None,
        exclude_if=is_none,
        description="Each checkpoint's votes for it, where several vote.",
    )


class MemberShare(Document):
    """A checkpoint's part in the vote on one test input."""

    checkpoint: str
    votes: int
    abstained: int
    variants_used: int
    variants_asked: int
    segments: int
    share: float = Field(description="Of all votes.")
    side: int | None = Field(
        default=None,
        description="Cells a side of the square on which the grids lay: the canvas or, for a "
        "checkpoint with crop, the part of it that the puzzle needs.",
    )


class VariantTrace(Document):
    """What one variant of a test input answered."""

    dihedral: Annotated[int, Field(ge=0, le=7)] = Field(
        description="0 as it is; 1, 2, 3 turned by 90, 180, 270 degrees against the "
        "clock; 4 left and right mirrored, 5 top and bottom; 6, 7 over the two diagonals."
    )
    palette: Annotated[tuple[Colour, ...], Field(min_length=10, max_length=10)] = Field(
        description="The new colour of each colour, before turning."
    )
    rows: tuple[int, ...] = Field(
        default=(),
        exclude_if=not_,
        description="Of a Sudoku, the row that each row of the variant was, before turning.",
    )
    columns: tuple[int, ...] = Field(default=(), exclude_if=not_, description="As `rows`.")
    checkpoint: str
    output: Grid | None = Field(
        description="Turned back, in the colours of the puzzle. Null: no grid, so no vote."
    )
    q_halt: float = Field(description="How right the network thinks it is, 0..1.")
    segments: int
    predictions: tuple[Grid | None, ...] = Field(
        default=(),
        exclude_if=not_,
        description="What the output was after each segment; the last is `output`. Absent in "
        "older answers, and beyond the first variants of a trace that would be too large.",
    )


class TestAnswer(Document):
    """The vote on one test input."""

    __test__ = False  # not a test class, whatever its name makes pytest think

    attempts: tuple[Grid, ...] = Field(description="The answers, best first.")
    confidence: tuple[Annotated[float, Field(ge=0, le=1)], ...] = Field(
        default=(),
        exclude_if=not_,
        description="For each attempt the calibrated probability that it is right, 0..1. Absent "
        "where the checkpoint has no calibration.",
    )
    candidates: tuple[RankedCandidate, ...] = Field(description="The first few, best first.")
    distinct_candidates: int
    votes: int
    abstained: int
    variants_used: int
    variants_asked: int
    segments: int
    decided_early: bool = Field(
        description="Variants were left out that could not have changed the attempts."
    )
    verified: bool | None = Field(
        default=None,
        exclude_if=is_none,
        description="Whether the first attempt obeys the rules of a Sudoku or a maze.",
    )
    shares: tuple[MemberShare, ...] = Field(
        default=(), description="Each checkpoint's part, the main one's first."
    )
    variants: tuple[VariantTrace, ...] | None = Field(
        default=None,
        exclude_if=is_none,
        description="What single variants answered, where `trace` asked for it.",
    )
    expected: Grid | None = Field(default=None, exclude_if=is_none)
    right: bool | None = Field(
        default=None,
        exclude_if=is_none,
        description="Whether an attempt is the expected output, where that was given.",
    )


class AdaptationSummary(Document):
    """How a checkpoint was adapted to the puzzle."""

    base: str = Field(description="The checkpoint it was made from.")
    base_sha256: str
    steps: int
    seconds: float = Field(description="Of training.")
    variants: int
    puzzles: int = Field(default=1, description="Puzzles that it was adapted to together.")
    held_out_share: HeldOutShare = None
    held_out_note: HeldOutNote = None
    stopped_early: bool = Field(description="Before its budget ended.")
    ended_by: AdaptationEnding | None = Field(
        default=None,
        description="`learned`: what is checked stayed right. `stalled`: it got no better. "
        "`budget`: neither. Null where an older version made it.",
    )
    reused: bool = Field(description="Made for a job before this one.")


class MemberAnswer(Document):
    """A checkpoint that voted, and how it was run."""

    checkpoint: str
    checkpoint_sha256: str
    enrolled_as: str = Field(description="The checkpoint's own name for the puzzle.")
    enrolment: Literal["trained", "adapted", "rules"] = Field(
        description="Which rows answered: trained ones, those of an adaptation or, for a Sudoku or "
        "a maze, the one that all puzzles share."
    )
    adaptation: AdaptationSummary | None = Field(
        default=None, description="Null where trained rows answered."
    )
    max_segments: int = Field(
        description="The most that a variant was allowed: more than usual for a Sudoku or a maze "
        "that no variant solved at first."
    )
    precision: str
    attention: str
    slots: int


class Answer(MemberAnswer):
    """What solving gave, with all that is needed to repeat it.

    What it says of one checkpoint is true of the main one; `members` describe each.
    """

    puzzle: str
    halting: Halting
    ranking: Ranking
    seed: int
    stop_early: bool
    device: str
    members: tuple[MemberAnswer, ...] = Field(
        default=(), description="The checkpoints that voted, the main one first."
    )
    tests: tuple[TestAnswer, ...]
    timings_s: dict[str, float] = Field(description="Seconds by stage.")
    verified: bool | None = Field(
        default=None,
        description="ARC: whether the rows of its checkpoints are known to belong to their names. "
        "Sudoku and mazes: whether the first attempts obey the rules.",
    )
    warnings: tuple[str, ...] = Field(
        default=(), description="What the answer should be read with, in sentences."
    )
    worker: str | None = Field(
        default=None, exclude_if=is_none, description="The worker that solved it."
    )
    workers: int | None = Field(
        default=None,
        exclude_if=is_none,
        description="How many workers computed its votes: more than one of a large job that was "
        "divided, of which `worker` then put the answer together.",
    )

    @property
    def attempts(self) -> tuple[tuple[Grid, ...], ...]:
        """The attempts at each test input, the best first."""
        return tuple(test.attempts for test in self.tests)

    @property
    def document(self) -> dict[str, Any]:
        """The answer as JSON values, with the members that were given."""
        return self.model_dump(mode="json", exclude_unset=True)

    def to_json(self) -> bytes:
        """Return the answer as JSON, with the members that were given."""
        return self.model_dump_json(exclude_unset=True).encode()
