"""What a service answers, as values: grids are `augment.Grid`, whatever else is plain."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, InstanceOf

from augment import Grid

GridRows = Annotated[InstanceOf[Grid], BeforeValidator(Grid.from_rows)]


@dataclass(frozen=True, slots=True)
class Candidate:
    """One grid of a vote.

    Units: `share` is the fraction of the ballots that name a grid, so abstentions do not count.
    `mean_q_halt` is None in a vote that still goes on. `by_checkpoint`: each checkpoint's votes for
    it, where several vote.
    """

    grid: GridRows
    count: int
    share: float
    mean_q_halt: float | None = None
    by_checkpoint: Mapping[str, int] | None = None


@dataclass(frozen=True, slots=True)
class AdaptationSummary:
    """How a checkpoint was adapted before it answered, as in `service.solving.answer`.

    `held_out_note` says what the share was taken on, or why there is none. `is_reused`: it was kept
    from an earlier job.

    Units: `seconds` of training.
    """

    base: str
    base_sha256: str
    num_steps: Annotated[int, Field(validation_alias="steps")]
    seconds: float
    num_variants: Annotated[int, Field(validation_alias="variants")]
    stopped_early: bool
    is_reused: Annotated[bool, Field(validation_alias="reused")]
    held_out_share: float | None = None
    held_out_note: str | None = None


@dataclass(frozen=True, slots=True)
class MemberAnswer:
    """A checkpoint that voted; fields as in `service.solving.answer`."""

    checkpoint: str
    checkpoint_sha256: str
    enrolled_as: str
    enrolment: str
    max_segments: int
    precision: str
    attention: str
    num_slots: Annotated[int, Field(validation_alias="slots")]
    adaptation: AdaptationSummary | None = None


@dataclass(frozen=True, slots=True)
class MemberShare:
    """A checkpoint's part in the vote on one test input; fields as in `service.solving.answer`."""

    checkpoint: str
    num_votes: Annotated[int, Field(validation_alias="votes")]
    num_abstained: Annotated[int, Field(validation_alias="abstained")]
    num_variants_used: Annotated[int, Field(validation_alias="variants_used")]
    num_variants_asked: Annotated[int, Field(validation_alias="variants_asked")]
    num_segments: Annotated[int, Field(validation_alias="segments")]
    share: float
    side: int | None = None


@dataclass(frozen=True, slots=True)
class VariantTrace:
    """What one variant answered; `output` is None where it abstained, else in the puzzle's terms.

    `palette` is the new colour of each colour, which was applied before `dihedral`.
    """

    dihedral: int
    palette: tuple[int, ...]
    checkpoint: str
    output: GridRows | None
    q_halt: float
    num_segments: Annotated[int, Field(validation_alias="segments")]


@dataclass(frozen=True, slots=True)
class TestAnswer:
    """The vote on one test input; fields as in `service.solving.answer`.

    `candidates` are the first few of `num_candidates`. `is_right`: whether an attempt is the
    expected output, None where the task held none. `traces`: what single variants answered, None
    where `trace` did not ask for it.
    """

    __test__ = False  # not a test class, whatever its name makes pytest think

    attempts: tuple[GridRows, ...]
    candidates: tuple[Candidate, ...]
    num_candidates: Annotated[int, Field(validation_alias="distinct_candidates")]
    num_votes: Annotated[int, Field(validation_alias="votes")]
    num_abstained: Annotated[int, Field(validation_alias="abstained")]
    num_variants_used: Annotated[int, Field(validation_alias="variants_used")]
    num_variants_asked: Annotated[int, Field(validation_alias="variants_asked")]
    num_segments: Annotated[int, Field(validation_alias="segments")]
    decided_early: bool
    shares: tuple[MemberShare, ...] = ()
    expected: GridRows | None = None
    is_right: Annotated[bool | None, Field(validation_alias="right")] = None
    traces: Annotated[tuple[VariantTrace, ...] | None, Field(validation_alias="variants")] = None


@dataclass(frozen=True, slots=True)
class Answer:
    """The votes on all test inputs of a puzzle, with everything needed to repeat them.

    What is told of one checkpoint is told of the main one; `members` tell it of each, the main one
    first. `is_verified`: its rows are known to belong to their names. `warnings` are sentences to
    read it with. `worker` is the one that solved it.
    `document`: the answer as it came.

    Units: `timings_s` are seconds by stage.
    """

    puzzle_name: Annotated[str, Field(validation_alias="puzzle")]
    enrolled_as: str
    enrolment: str
    checkpoint: str
    checkpoint_sha256: str
    halting: str
    max_segments: int
    ranking: str
    seed: int
    stop_early: bool
    device: str
    precision: str
    attention: str
    num_slots: Annotated[int, Field(validation_alias="slots")]
    tests: tuple[TestAnswer, ...]
    timings_s: Mapping[str, float]
    members: tuple[MemberAnswer, ...] = ()
    adaptation: AdaptationSummary | None = None
    is_verified: Annotated[bool | None, Field(validation_alias="verified")] = None
    warnings: tuple[str, ...] = ()
    worker: str | None = None
    document: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)

    @property
    def attempts(self) -> tuple[tuple[Grid, ...], ...]:
        """The attempts at each test input, the best first."""
        return tuple(test.attempts for test in self.tests)
