"""Ranking: the order of a tally's grids."""

from dataclasses import dataclass
from enum import Enum

from augment import Grid
from voting.tally import GridVotes, Tally


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


def rank(tally: Tally, ranking: Ranking = Ranking.COUNT) -> tuple[Candidate, ...]:
    """Return all grids of a tally, the best first."""
    num_votes = tally.num_votes
    return tuple(
        Candidate(entry.grid, entry.count, entry.count / num_votes, entry.mean_q_halt)
        for entry in ranked_entries(tally, ranking)
    )


def ranked_entries(tally: Tally, ranking: Ranking) -> list[GridVotes]:
    """Return a tally's entries, the best first."""
    # Entries lie in grid order and the sort is stable (also in reverse), so ties keep that order.
    return sorted(
        tally.entries, key=lambda entry: ranking.score(entry.count, entry.q_sum), reverse=True
    )
