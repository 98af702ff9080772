"""Ranking: the order of a tally's grids, and whether outstanding votes can still change it."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from itertools import count, pairwise, product

import numpy as np

from augment import Grid
from voting.tally import Q_ONE, GridVotes, Tally, VotingError


class Ranking(Enum):
    """The rule that orders a tally's grids; a full tie falls to the smaller grid.

    COUNT: more votes first, among equals the higher mean q_halt.
    Q_WEIGHTED: the higher sum of q_halt first, among equals more votes.

    Source: COUNT is the reference evaluation's rule, except that its ties fall to the grid seen
    first.
    """

    COUNT = "count"
    Q_WEIGHTED = "q_weighted"

    def score(self, count: int, q_sum: int) -> tuple[int, int]:
        """Return a grid's score, larger is better; more ballots never lower it.

        Under COUNT the mean of q_halt decides only between equal counts, where it orders grids as
        the sum does, so integers suffice.
        """
        return (count, q_sum) if self is Ranking.COUNT else (q_sum, count)


@dataclass(frozen=True, slots=True)
class Candidate:
    """One grid of a ranking.

    Units: `share` is the fraction of the ballots that name a grid, so abstentions do not count.
    """

    grid: Grid
    count: int
    share: float
    mean_q_halt: float


def rank(
    tally: Tally, ranking: Ranking = Ranking.COUNT, solves: Callable[[Grid], bool] | None = None
) -> tuple[Candidate, ...]:
    """Return all grids of a tally, the best first.

    With `solves` the grids that pass it come before all others, however many votes those have.
    """
    num_votes = tally.num_votes
    candidates = [
        Candidate(entry.grid, entry.count, entry.count / num_votes, entry.mean_q_halt)
        for entry in ranked_entries(tally, ranking)
    ]
    if solves is not None:
        candidates.sort(key=lambda candidate: not solves(candidate.grid))
    return tuple(candidates)


def ranked_entries(tally: Tally, ranking: Ranking) -> list[GridVotes]:
    """Return a tally's entries, the best first."""
    # Entries lie in grid order and the sort is stable (also in reverse), so ties keep that order.
    return sorted(
        tally.entries, key=lambda entry: ranking.score(entry.count, entry.q_sum), reverse=True
    )


def decided(
    tally: Tally, num_outstanding: int, num_attempts: int, ranking: Ranking = Ranking.COUNT
) -> bool:
    """Return whether no further ballots can change the first candidates or their order.

    Exact: true if and only if every completion by `num_outstanding` ballots (any grids, any q_halt
    in 0..1, any abstentions) leaves the first `num_attempts` grids of the ranking as they are.

    A ballot never lowers a score, so a grid overtakes another with the fewest ballots when all of
    them name it with q_halt 1 and the other gets none. That lift is the same for every grid, so the
    strongest rival of a grid is the one ranked next below it, and the chain of neighbours settles
    the question.

    Raises: VotingError where a count is negative or no attempts are asked for.
    """
    if num_outstanding < 0 or num_attempts < 1:
        raise VotingError(
            f"cannot decide {num_attempts} attempts with {num_outstanding} ballots outstanding"
        )
    if num_outstanding == 0:
        return True
    leaders = ranked_entries(tally, ranking)[: num_attempts + 1]
    if len(leaders) < num_attempts:
        return False
    if len(leaders) == num_attempts:
        leaders.append(GridVotes(_smallest_unseen(tally), 0, 0))
    return not any(
        _overtakes(rival, leader, num_outstanding, ranking) for leader, rival in pairwise(leaders)
    )


def _overtakes(rival: GridVotes, leader: GridVotes, num_ballots: int, ranking: Ranking) -> bool:
    """Return whether a rival with `num_ballots` more votes at q_halt 1 ranks above a leader."""
    lifted = ranking.score(rival.count + num_ballots, rival.q_sum + num_ballots * Q_ONE)
    held = ranking.score(leader.count, leader.q_sum)
    return lifted > held or (lifted == held and rival.grid < leader.grid)


def _smallest_unseen(tally: Tally) -> Grid:
    """Return the first grid in grid order without a vote: the one that wins ties."""
    seen = {entry.grid for entry in tally.entries}
    rows = (row for width in count(1) for row in product(range(10), repeat=width))
    grids = (Grid(np.array([row], dtype=np.uint8)) for row in rows)
    return next(grid for grid in grids if grid not in seen)
