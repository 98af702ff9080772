"""What votes are worth: accuracy by the number of votes, and whether confidence can be believed."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from augment import Grid
from service.submission.votes import InputVotes
from voting import Candidate, Ranking

# So many draws of votes for each point of the curve.
NUM_DRAWS = 100
NUM_BINS = 10
MAX_POINTS = 16


@dataclass(frozen=True, slots=True)
class Judged:
    """The votes on a test input whose expected output is known."""

    votes: InputVotes
    candidates: tuple[Candidate, ...]
    expected: Grid


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """What `num_ballots` ballots of each test input give.

    Units: shares of the test inputs, 0..1.
    """

    num_ballots: int
    first_share: float
    two_share: float


@dataclass(frozen=True, slots=True)
class Bin:
    """Test inputs whose first attempt has a share of the votes between two bounds.

    Units: shares, 0..1; `right_share` of the first attempts.
    """

    low: float
    high: float
    num_inputs: int
    mean_confidence: float
    right_share: float


def vote_curve(judged: Sequence[Judged], ranking: Ranking, seed: int = 0) -> tuple[CurvePoint, ...]:
    """Tell how many test inputs fewer ballots would have solved, by drawing among those there are.

    A test input with no more ballots than a point asks for counts with all of them.
    """
    most = max((one.votes.num_ballots for one in judged), default=0)
    if most == 0:
        return ()
    points = []
    for num in _point_places(most):
        rng = np.random.default_rng(seed)
        chances = [_chances(one, num, ranking, rng) for one in judged]
        first, two = np.mean(chances, axis=0).tolist()
        points.append(CurvePoint(num, first, two))
    return tuple(points)


def calibration(judged: Sequence[Judged]) -> tuple[Bin, ...]:
    """Compare the first attempts' shares of the votes with how often they are right."""
    told = [
        (one.candidates[0].share, one.candidates[0].grid == one.expected)
        for one in judged
        if one.candidates
    ]
    bins = []
    for place in range(NUM_BINS):
        mine = [(share, right) for share, right in told if min(int(share * NUM_BINS), 9) == place]
        if mine:
            confidences, rights = zip(*mine, strict=True)
            bins.append(
                Bin(
                    place / NUM_BINS,
                    (place + 1) / NUM_BINS,
                    len(mine),
                    sum(confidences) / len(mine),
                    sum(rights) / len(mine),
                )
            )
    return tuple(bins)


def _point_places(most: int) -> list[int]:
    places = [2**power for power in range(MAX_POINTS) if 2**power < most]
    return [*places, most]


def _chances(
    one: Judged, num: int, ranking: Ranking, rng: np.random.Generator
) -> tuple[float, float]:
    """Tell how likely the expected output is first, and among the first two, after `num` ballots.

    Votes for grids that are not named count like abstentions.
    """
    grids = [candidate.grid for candidate in one.candidates]
    if one.expected not in grids:
        return 0.0, 0.0
    place = grids.index(one.expected)
    if num >= one.votes.num_ballots:
        return float(place == 0), float(place < 2)
    counts = [candidate.count for candidate in one.candidates]
    others = one.votes.num_ballots - sum(counts)
    drawn = rng.multivariate_hypergeometric([*counts, others], num, size=NUM_DRAWS)[:, :-1]
    q = np.array([candidate.mean_q_halt for candidate in one.candidates])
    # Under COUNT the mean of q decides between equal counts alone, so it weighs less than a vote.
    scores = drawn + 0.5 * q if ranking is Ranking.COUNT else drawn * q
    is_there = drawn[:, place] > 0
    num_better = ((scores > scores[:, [place]]) & (drawn > 0)).sum(axis=1)
    return float(np.mean(is_there & (num_better == 0))), float(np.mean(is_there & (num_better < 2)))
