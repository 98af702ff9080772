"""What solving a puzzle gives, with everything needed to repeat it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from augment import Grid
from voting import Candidate

CANDIDATES_SHOWN = 10


@dataclass(frozen=True, slots=True)
class TestAnswer:
    """The vote on one test input.

    `attempts` are the best candidates, fewer than asked for where the votes name fewer grids.
    `num_segments` counts the variant-segments of the outcomes that voted. `decided_early`: variants
    were left out because they could not have changed the attempts.
    """

    __test__ = False  # not a test class, whatever its name makes pytest think

    attempts: tuple[Grid, ...]
    candidates: tuple[Candidate, ...]
    num_votes: int
    num_abstained: int
    num_variants_used: int
    num_variants_asked: int
    num_segments: int
    decided_early: bool

    @property
    def num_candidates(self) -> int:
        """The number of distinct grids voted for."""
        return len(self.candidates)

    def document(self) -> dict[str, Any]:
        """Write the vote as JSON values; of the candidates, the first few."""
        return {
            "attempts": [grid.to_rows() for grid in self.attempts],
            "candidates": [
                {
                    "grid": candidate.grid.to_rows(),
                    "count": candidate.count,
                    "share": candidate.share,
                    "mean_q_halt": candidate.mean_q_halt,
                }
                for candidate in self.candidates[:CANDIDATES_SHOWN]
            ],
            "distinct_candidates": self.num_candidates,
            "votes": self.num_votes,
            "abstained": self.num_abstained,
            "variants_used": self.num_variants_used,
            "variants_asked": self.num_variants_asked,
            "segments": self.num_segments,
            "decided_early": self.decided_early,
        }


@dataclass(frozen=True, slots=True)
class Answer:
    """The votes on all test inputs of a puzzle, and what they were made with.

    `timings_s` are seconds by stage.
    """

    puzzle_name: str
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
    num_slots: int
    tests: tuple[TestAnswer, ...]
    timings_s: Mapping[str, float]

    def document(self, expected: Sequence[Grid | None] | None = None) -> dict[str, Any]:
        """Write the answer as JSON values.

        `expected`, one for each test input, are compared with where they are known.
        """
        tests = [test.document() for test in self.tests]
        for document, test, grid in zip(
            tests, self.tests, expected or [None] * len(tests), strict=True
        ):
            if grid is not None:
                document["expected"] = grid.to_rows()
                document["right"] = grid in test.attempts
        return {
            "puzzle": self.puzzle_name,
            "enrolled_as": self.enrolled_as,
            "enrolment": self.enrolment,
            "checkpoint": self.checkpoint,
            "checkpoint_sha256": self.checkpoint_sha256,
            "halting": self.halting,
            "max_segments": self.max_segments,
            "ranking": self.ranking,
            "seed": self.seed,
            "stop_early": self.stop_early,
            "device": self.device,
            "precision": self.precision,
            "attention": self.attention,
            "slots": self.num_slots,
            "tests": tests,
            "timings_s": dict(self.timings_s),
        }
