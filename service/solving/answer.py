"""What solving a puzzle gives, with everything needed to repeat it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from augment import Grid
from service.solving.trace import VariantTrace
from voting import Candidate, Tally

CANDIDATES_SHOWN = 10


@dataclass(frozen=True, slots=True)
class AdaptationSummary:
    """How a checkpoint was adapted to a puzzle before it answered.

    `held_out_share` is None where no demonstration could be held out; `held_out_note` says why, or
    what was held out. `is_reused`: the adaptation was kept from an earlier job.

    Units: `seconds` of training.
    """

    base: str
    base_sha256: str
    num_steps: int
    seconds: float
    num_variants: int
    held_out_share: float | None
    held_out_note: str
    stopped_early: bool
    is_reused: bool

    def document(self) -> dict[str, Any]:
        """Write the summary as JSON values."""
        return {
            "base": self.base,
            "base_sha256": self.base_sha256,
            "steps": self.num_steps,
            "seconds": self.seconds,
            "variants": self.num_variants,
            "held_out_share": self.held_out_share,
            "held_out_note": self.held_out_note,
            "stopped_early": self.stopped_early,
            "reused": self.is_reused,
        }


@dataclass(frozen=True, slots=True)
class MemberAnswer:
    """A checkpoint that voted, and how it was run."""

    checkpoint: str
    checkpoint_sha256: str
    enrolled_as: str
    enrolment: str
    adaptation: AdaptationSummary | None
    max_segments: int
    precision: str
    attention: str
    num_slots: int

    def document(self) -> dict[str, Any]:
        """Write the member as JSON values."""
        return {
            "checkpoint": self.checkpoint,
            "checkpoint_sha256": self.checkpoint_sha256,
            "enrolled_as": self.enrolled_as,
            "enrolment": self.enrolment,
            "adaptation": None if self.adaptation is None else self.adaptation.document(),
            "max_segments": self.max_segments,
            "precision": self.precision,
            "attention": self.attention,
            "slots": self.num_slots,
        }


@dataclass(frozen=True, slots=True)
class MemberShare:
    """A checkpoint's part in the vote on one test input.

    Units: `share` is the fraction of all checkpoints' votes; 0 where there are none. `side` is that
    of the square on which the grids lay, the canvas or a crop of it, in cells.
    """

    checkpoint: str
    tally: Tally
    num_variants_asked: int
    num_segments: int
    share: float
    side: int

    @property
    def num_votes(self) -> int:
        """The checkpoint's ballots that name a grid."""
        return self.tally.num_votes

    @property
    def num_abstained(self) -> int:
        """The checkpoint's ballots that name none."""
        return self.tally.abstained

    @property
    def num_variants_used(self) -> int:
        """The checkpoint's ballots."""
        return self.tally.num_ballots

    def count_by_grid(self) -> dict[Grid, int]:
        """Give the checkpoint's votes for each grid it named."""
        return {entry.grid: entry.count for entry in self.tally.entries}

    def document(self) -> dict[str, Any]:
        """Write the share as JSON values."""
        return {
            "checkpoint": self.checkpoint,
            "votes": self.num_votes,
            "abstained": self.num_abstained,
            "variants_used": self.num_variants_used,
            "variants_asked": self.num_variants_asked,
            "segments": self.num_segments,
            "share": self.share,
            "side": self.side,
        }


@dataclass(frozen=True, slots=True)
class TestAnswer:
    """The vote on one test input; `shares` are the checkpoints' parts in it, the main one's first.

    `attempts` are the best candidates, fewer than asked for where the votes name fewer grids.
    `decided_early`: variants were left out because they could not have changed the attempts.
    `traces`: what single variants answered, None where that was not asked for.
    """

    __test__ = False  # not a test class, whatever its name makes pytest think

    attempts: tuple[Grid, ...]
    candidates: tuple[Candidate, ...]
    shares: tuple[MemberShare, ...]
    decided_early: bool
    traces: tuple[VariantTrace, ...] | None = None

    @property
    def num_candidates(self) -> int:
        """The number of distinct grids voted for."""
        return len(self.candidates)

    @property
    def num_votes(self) -> int:
        """The number of ballots that name a grid."""
        return sum(share.num_votes for share in self.shares)

    @property
    def num_abstained(self) -> int:
        """The number of ballots that name none."""
        return sum(share.num_abstained for share in self.shares)

    @property
    def num_variants_used(self) -> int:
        """The number of ballots."""
        return sum(share.num_variants_used for share in self.shares)

    @property
    def num_variants_asked(self) -> int:
        """The number of ballots that the whole vote has."""
        return sum(share.num_variants_asked for share in self.shares)

    @property
    def num_segments(self) -> int:
        """The number of variant-segments of the outcomes that voted."""
        return sum(share.num_segments for share in self.shares)

    def document(self) -> dict[str, Any]:
        """Write the vote as JSON values; of the candidates, the first few."""
        document: dict[str, Any] = {
            "attempts": [grid.to_rows() for grid in self.attempts],
            "candidates": self._candidate_documents(),
            "distinct_candidates": self.num_candidates,
            "votes": self.num_votes,
            "abstained": self.num_abstained,
            "variants_used": self.num_variants_used,
            "variants_asked": self.num_variants_asked,
            "segments": self.num_segments,
            "decided_early": self.decided_early,
            "shares": [share.document() for share in self.shares],
        }
        if self.traces is not None:
            document["variants"] = [trace.document() for trace in self.traces]
        return document

    def _candidate_documents(self) -> list[dict[str, Any]]:
        shown = self.candidates[:CANDIDATES_SHOWN]
        documents: list[dict[str, Any]] = [
            {
                "grid": candidate.grid.to_rows(),
                "count": candidate.count,
                "share": candidate.share,
                "mean_q_halt": candidate.mean_q_halt,
            }
            for candidate in shown
        ]
        if len(self.shares) > 1:
            counts = {share.checkpoint: share.count_by_grid() for share in self.shares}
            for document, candidate in zip(documents, shown, strict=True):
                document["by_checkpoint"] = {
                    checkpoint: count[candidate.grid]
                    for checkpoint, count in counts.items()
                    if candidate.grid in count
                }
        return documents


@dataclass(frozen=True, slots=True)
class Answer:
    """The votes on all test inputs of a puzzle, and what they were made with.

    `members` are the checkpoints that voted, the main one first. `timings_s` are seconds by stage.
    """

    puzzle_name: str
    members: tuple[MemberAnswer, ...]
    halting: str
    ranking: str
    seed: int
    stop_early: bool
    device: str
    tests: tuple[TestAnswer, ...]
    timings_s: Mapping[str, float]

    def document(self, expected: Sequence[Grid | None] | None = None) -> dict[str, Any]:
        """Write the answer as JSON values.

        What is told of each member is told of the main one at the top, too. `expected`, one for
        each test input, are compared with where they are known.
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
            **self.members[0].document(),
            "halting": self.halting,
            "ranking": self.ranking,
            "seed": self.seed,
            "stop_early": self.stop_early,
            "device": self.device,
            "members": [member.document() for member in self.members],
            "tests": tests,
            "timings_s": dict(self.timings_s),
        }
