"""Votes read out of a service's answers: the same to the bit, as far as they are reported."""

import numpy as np
import pytest

from augment import Grid
from service.client import RankedCandidate, TestAnswer
from service.submission.remote import votes_of
from voting import Q_ONE, GridVotes, Ranking, Tally, rank

NUM_NAMED = 10


def answer_of(tally: Tally) -> TestAnswer:
    """Make the answer that a service gives to such votes."""
    candidates = rank(tally, Ranking.COUNT)
    return TestAnswer(
        attempts=tuple(one.grid for one in candidates[:2]),
        candidates=tuple(
            RankedCandidate(
                grid=one.grid, count=one.count, share=one.share, mean_q_halt=one.mean_q_halt
            )
            for one in candidates[:NUM_NAMED]
        ),
        distinct_candidates=len(candidates),
        votes=tally.num_votes,
        abstained=tally.abstained,
        variants_used=tally.num_ballots,
        variants_asked=tally.num_ballots,
        segments=5,
        decided_early=False,
    )


@pytest.mark.parametrize("num_grids", [0, 1, 4, 10, 25])
def test_votes_come_back_as_they_were_counted(num_grids: int) -> None:
    rng = np.random.default_rng(num_grids)
    entries = []
    for number in range(num_grids):
        grid = Grid.from_rows([[number % 10, number // 10]])
        count = int(rng.integers(1, 2000))
        entries.append(GridVotes(grid, count, int(rng.integers(0, count * Q_ONE, endpoint=True))))
    tally = Tally.of(entries, abstained=3)

    votes = votes_of(answer_of(tally))

    named = {one.grid for one in rank(tally, Ranking.COUNT)[:NUM_NAMED]}
    assert votes.tally.entries == tuple(one for one in tally.entries if one.grid in named)
    assert (votes.tally.abstained, votes.num_votes) == (3, tally.num_votes)
    assert (votes.num_ballots, votes.num_segments) == (tally.num_ballots, 5)
    shares = [one.share for one in votes.candidates(Ranking.COUNT)]
    assert shares == [one.share for one in rank(tally, Ranking.COUNT)[:NUM_NAMED]]
