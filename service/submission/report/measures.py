"""Accuracy by the number of votes, and the calibration of confidence or of the votes."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from augment import Grid
from service.submission.votes import InputVotes
from voting import Candidate, Ranking, ReliabilityBin, reliability

# Draws of votes for each point of the curve.
NUM_DRAWS = 100
MAX_POINTS = 16


@dataclass(frozen=True, slots=True)
class Judged:
    """The votes on a test input with a known expected output.

    `confidence` holds the first attempt's, where there is one.
    """

    votes: InputVotes
    candidates: tuple[Candidate, ...]
    expected: Grid
    confidence: tuple[float, ...] = ()


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


def vote_curve(judged: Sequence[Judged], ranking: Ranking, seed: int = 0) -> tuple[CurvePoint, ...]:
    """Estimate the accuracy with fewer ballots, by drawing from the ballots there are.

    A test input with fewer ballots than a point needs counts with all of them.
    """
    largest = max((one.votes.num_ballots for one in judged), default=0)
    if largest == 0:
        return ()
    points = []
    for num in _point_sizes(largest):
        rng = np.random.default_rng(seed)
        chances = [_chances(one, num, ranking, rng) for one in judged]
        first, two = np.mean(chances, axis=0).tolist()
        points.append(CurvePoint(num, first, two))
    return tuple(points)


def calibration(judged: Sequence[Judged]) -> FirstAttempts:
    """Compare the first attempts' confidence with how often they are right.

    Where one has no confidence, the shares of the votes are compared instead.
    """
    answered = [one for one in judged if one.candidates]
    are_confident = bool(answered) and all(one.confidence for one in answered)
    return FirstAttempts(
        reliability(
            [one.confidence[0] if are_confident else one.candidates[0].share for one in answered],
            [one.candidates[0].grid == one.expected for one in answered],
        ),
        are_confident,
    )


def _point_sizes(largest: int) -> list[int]:
    sizes = [2**power for power in range(MAX_POINTS) if 2**power < largest]
    return [*sizes, largest]


def _chances(
    one: Judged, num: int, ranking: Ranking, rng: np.random.Generator
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
