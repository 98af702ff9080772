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
    `mean_q_halt` is None in a vote that still goes on.
    """

    grid: GridRows
    count: int
    share: float
    mean_q_halt: float | None = None


@dataclass(frozen=True, slots=True)
class TestAnswer:
    """The vote on one test input; fields as in `service.answer`.

    `candidates` are the first few of `num_candidates`. `is_right`: whether an attempt is the
    expected output, None where the task held none.
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
    expected: GridRows | None = None
    is_right: Annotated[bool | None, Field(validation_alias="right")] = None


@dataclass(frozen=True, slots=True)
class Answer:
    """The votes on all test inputs of a puzzle, with everything needed to repeat them.

    `is_verified`: the checkpoint passed its self-test. `worker` is the one that solved it.
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
    is_verified: Annotated[bool | None, Field(validation_alias="verified")] = None
    worker: str | None = None
    document: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)

    @property
    def attempts(self) -> tuple[tuple[Grid, ...], ...]:
        """The attempts at each test input, the best first."""
        return tuple(test.attempts for test in self.tests)
