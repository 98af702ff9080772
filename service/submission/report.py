"""The report on a run: the votes on each puzzle, and scores where outputs are known."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from augment import Grid
from service.submission.challenges import Challenge
from service.submission.files import NUM_ATTEMPTS, filled
from service.submission.run import Refusal, Run
from service.submission.votes import InputVotes, Standing
from voting import Candidate, Ranking, ReliabilityBin, Scores, calibration_error, reliability, score

CANDIDATES_SHOWN = 5
# Draws of votes for each point of the curve.
NUM_DRAWS = 100
MAX_POINTS = 16


@dataclass(frozen=True, slots=True)
class TestReport:
    """The votes on one test input; `expected` is None where it is not known.

    `confidence` is for each attempt, and empty where the checkpoint has no calibration.
    """

    __test__ = False  # its name would make pytest collect it

    votes: InputVotes
    candidates: tuple[Candidate, ...]
    expected: Grid | None
    confidence: tuple[float, ...] = ()

    @property
    def attempts(self) -> tuple[Grid, ...]:
        """The attempts, the best first."""
        return tuple(one.grid for one in self.candidates[:NUM_ATTEMPTS])

    @property
    def share(self) -> float:
        """The first attempt's share of the votes, 0..1."""
        return self.candidates[0].share if self.candidates else 0.0

    @property
    def is_right(self) -> bool | None:
        """Whether an attempt is the expected output; None where that is not known."""
        return None if self.expected is None else self.expected in self.attempts

    def document(self) -> dict[str, Any]:
        """Return the votes as JSON values."""
        document: dict[str, Any] = {
            "attempts": [grid.to_rows() for grid in self.attempts],
            "share": self.share,
            "votes": self.votes.num_votes,
            "abstained": self.votes.tally.abstained,
            "segments": self.votes.num_segments,
            "candidates": [
                {
                    "grid": one.grid.to_rows(),
                    "count": one.count,
                    "share": one.share,
                    "mean_q_halt": one.mean_q_halt,
                }
                for one in self.candidates[:CANDIDATES_SHOWN]
            ],
        }
        if self.confidence:
            document["confidence"] = list(self.confidence)
        if self.expected is not None:
            document |= {"expected": self.expected.to_rows(), "right": self.is_right}
        return document


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """The accuracy with `num_ballots` ballots on each test input.

    Units: shares of the test inputs, 0..1.
    """

    num_ballots: int
    first_share: float
    two_share: float


@dataclass(frozen=True, slots=True)
class FirstAttempts:
    """First attempts that are right, by their confidence or share of the votes.

    `are_confident`: by the confidence, which every one of them has.
    """

    bins: tuple[ReliabilityBin, ...]
    are_confident: bool

    @property
    def measure(self) -> str:
        """What the attempts are sorted by, in words."""
        return "confidence" if self.are_confident else "share of the votes"


@dataclass(frozen=True, slots=True)
class PuzzleReport:
    """The votes on one puzzle; `reason` says why a test input has no answer."""

    challenge: Challenge
    tests: tuple[TestReport, ...]
    standing: Standing
    reason: Refusal | None

    @property
    def is_right(self) -> bool | None:
        """Whether all its test inputs are solved; None where that is not known."""
        rights = [test.is_right for test in self.tests]
        return None if None in rights or not rights else all(rights)

    @property
    def share(self) -> float:
        """The lowest share of the votes of a first attempt, 0..1."""
        return min((test.share for test in self.tests), default=0.0)

    @property
    def confidence(self) -> float | None:
        """The lowest confidence of a first attempt, 0..1; None where a test input has none."""
        known = [test.confidence[0] for test in self.tests if test.confidence]
        return min(known) if known and len(known) == len(self.tests) else None

    def document(self) -> dict[str, Any]:
        """Return the puzzle as JSON values."""
        return {
            "puzzle": self.challenge.puzzle_id,
            "answered": self.reason is None,
            "reason": None if self.reason is None else self.reason._asdict(),
            "share": self.share,
            "confidence": self.confidence,
            "rounds": self.standing.num_rounds,
            "voters": list(self.standing.voters),
            "tests": [test.document() for test in self.tests],
        }


@dataclass(frozen=True, slots=True)
class Report:
    """The report on a run; `scores`, `curve` and bins only where every expected output is known.

    `settings` are those of the run; `is_complete`: no votes are left to be taken.

    Units: elapsed_s in seconds.
    """

    title: str
    settings: Mapping[str, Any]
    elapsed_s: float
    is_complete: bool
    puzzles: tuple[PuzzleReport, ...]
    scores: Scores | None
    curve: tuple[CurvePoint, ...]
    first_attempts: FirstAttempts

    @property
    def unanswered(self) -> dict[str, Refusal]:
        """The puzzles with a test input that has no attempt, and why."""
        reasons = {puzzle.challenge.puzzle_id: puzzle.reason for puzzle in self.puzzles}
        return {puzzle_id: one for puzzle_id, one in reasons.items() if one is not None}

    @property
    def num_votes(self) -> int:
        """The ballots that name a grid."""
        return sum(puzzle.standing.num_votes for puzzle in self.puzzles)

    def document(self) -> dict[str, Any]:
        """Return the report as JSON values."""
        return {
            "challenges": self.title,
            "settings": dict(self.settings),
            "complete": self.is_complete,
            "elapsed_s": round(self.elapsed_s, 1),
            "puzzles": len(self.puzzles),
            "test_inputs": sum(len(puzzle.challenge.inputs) for puzzle in self.puzzles),
            "answered": len(self.puzzles) - len(self.unanswered),
            "votes": self.num_votes,
            "unanswered": [
                {"puzzle": puzzle_id, **reason._asdict()}
                for puzzle_id, reason in self.unanswered.items()
            ],
            "scores": None if self.scores is None else asdict(self.scores),
            "curve": [asdict(point) for point in self.curve],
            "calibration": {
                "of": self.first_attempts.measure,
                "error": calibration_error(self.first_attempts.bins),
                "bins": [asdict(one) for one in self.first_attempts.bins],
            },
            "per_puzzle": [puzzle.document() for puzzle in self.puzzles],
        }


def make_report(
    run: Run,
    title: str,
    settings: Mapping[str, Any],
    solutions: Mapping[str, tuple[Grid, ...]] | None,
    *,
    is_complete: bool,
) -> Report:
    """Make the report of a run; `solutions` are those of all its challenges, or None."""
    puzzles = tuple(_puzzle(run, one, solutions) for one in run.challenges)
    judged = [test for puzzle in puzzles for test in puzzle.tests if test.expected is not None]
    scores = None
    if solutions is not None:
        attempts = {
            puzzle.challenge.puzzle_id: tuple(
                filled(puzzle.challenge.inputs, [test.attempts for test in puzzle.tests])
            )
            for puzzle in puzzles
        }
        scores = score(attempts, solutions)
    return Report(
        title=title,
        settings=settings,
        elapsed_s=run.clock.elapsed_s,
        is_complete=is_complete,
        puzzles=puzzles,
        scores=scores,
        curve=vote_curve(judged, run.ranking),
        first_attempts=calibration(judged),
    )


def _puzzle(
    run: Run, challenge: Challenge, solutions: Mapping[str, tuple[Grid, ...]] | None
) -> PuzzleReport:
    standing = run.standings[challenge.puzzle_id]
    known: tuple[Grid | None, ...] = (None,) * len(challenge.inputs)
    if solutions is not None:
        known = solutions[challenge.puzzle_id]
    tests = []  # none where there are no votes
    for votes, expected, grid in zip(standing.votes, known, challenge.inputs, strict=False):
        confidence = run.confidence(challenge.puzzle_id, votes, grid)
        tests.append(TestReport(votes, votes.candidates(run.ranking), expected, confidence))
    return PuzzleReport(challenge, tuple(tests), standing, run.reason(challenge.puzzle_id))


def vote_curve(judged: Sequence[TestReport], ranking: Ranking) -> tuple[CurvePoint, ...]:
    """Estimate the accuracy with fewer ballots, by drawing from the ballots there are.

    A test input with fewer ballots than a point needs counts with all of them.
    """
    largest = max((one.votes.num_ballots for one in judged), default=0)
    if largest == 0:
        return ()
    sizes = [2**power for power in range(MAX_POINTS) if 2**power < largest]
    points = []
    for num in (*sizes, largest):
        rng = np.random.default_rng(0)
        chances = [_chances(one, num, ranking, rng) for one in judged]
        first, two = np.mean(chances, axis=0).tolist()
        points.append(CurvePoint(num, first, two))
    return tuple(points)


def calibration(judged: Sequence[TestReport]) -> FirstAttempts:
    """Compare the first attempts' confidence with how often they are right.

    Where one has no confidence, the shares of the votes are compared instead.
    """
    answered = [one for one in judged if one.candidates]
    are_confident = bool(answered) and all(one.confidence for one in answered)
    return FirstAttempts(
        reliability(
            [one.confidence[0] if are_confident else one.share for one in answered],
            [one.candidates[0].grid == one.expected for one in answered],
        ),
        are_confident,
    )


def _chances(
    one: TestReport, num: int, ranking: Ranking, rng: np.random.Generator
) -> tuple[float, float]:
    """Return how likely `num` ballots put the expected output first, and among the first two.

    Votes for unlisted grids count like abstentions.
    """
    grids = [candidate.grid for candidate in one.candidates]
    if one.expected not in grids:
        return 0.0, 0.0
    index = grids.index(one.expected)
    if num >= one.votes.num_ballots:
        return float(index == 0), float(index < 2)
    counts = [candidate.count for candidate in one.candidates]
    others = one.votes.num_ballots - sum(counts)
    drawn = rng.multivariate_hypergeometric([*counts, others], num, size=NUM_DRAWS)[:, :-1]
    q = np.array([candidate.mean_q_halt for candidate in one.candidates])
    # With COUNT the mean of q decides only between equal counts, so it weighs less than one vote.
    scores = drawn + 0.5 * q if ranking is Ranking.COUNT else drawn * q
    is_there = drawn[:, index] > 0
    num_better = ((scores > scores[:, [index]]) & (drawn > 0)).sum(axis=1)
    return float(np.mean(is_there & (num_better == 0))), float(np.mean(is_there & (num_better < 2)))
