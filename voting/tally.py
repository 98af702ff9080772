"""Votes on one test input, as a value that can be merged in any order."""

from collections.abc import Iterable
from dataclasses import dataclass

from augment import Grid

# One vote's q_halt of 1.0. A power of two, so that scaling a float is exact; integers, so that sums
# do not depend on their order.
Q_ONE = 2**40


class VotingError(Exception):
    """The root of all errors of voting."""


@dataclass(frozen=True, slots=True)
class GridVotes:
    """The sum of the ballots for one grid.

    Units: `q_sum` is the sum of q_halt over the ballots, in 1 / Q_ONE.
    """

    grid: Grid
    count: int
    q_sum: int

    @property
    def mean_q_halt(self) -> float:
        """Return the mean q_halt of the ballots, 0..1."""
        return self.q_sum / (self.count * Q_ONE)


@dataclass(frozen=True, slots=True)
class Tally:
    """The votes on one test input: distinct grids in grid order, and the abstentions.

    Two tallies of the same ballots are equal to the bit, in whatever order they were counted and
    merged. A test input is identified by its index, never by its grid: two equal test inputs have
    two tallies.
    """

    entries: tuple[GridVotes, ...]
    abstained: int

    @classmethod
    def empty(cls) -> "Tally":
        """Return the tally of no ballots."""
        return cls((), 0)

    @classmethod
    def of(cls, votes: Iterable[GridVotes], abstained: int = 0) -> "Tally":
        """Add up votes, in which a grid may occur more than once."""
        sums: dict[Grid, GridVotes] = {}
        for vote in votes:
            seen = sums.get(vote.grid)
            sums[vote.grid] = vote if seen is None else _add(seen, vote)
        return cls(tuple(sorted(sums.values(), key=lambda votes: votes.grid.sort_key())), abstained)

    @property
    def num_votes(self) -> int:
        """Return the number of ballots that name a grid."""
        return sum(entry.count for entry in self.entries)

    @property
    def num_ballots(self) -> int:
        """Return the number of ballots, abstentions included."""
        return self.num_votes + self.abstained

    def merge(self, other: "Tally") -> "Tally":
        """Return the tally of both tallies' ballots; associative and commutative to the bit."""
        return Tally.of((*self.entries, *other.entries), self.abstained + other.abstained)


def _add(one: GridVotes, other: GridVotes) -> GridVotes:
    return GridVotes(one.grid, one.count + other.count, one.q_sum + other.q_sum)
