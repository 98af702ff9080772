"""Tallies: the votes on one test input, as values that can be merged in any order."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from augment import ARC, AnyVariant, Grid, Kind

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
            seen = sums.get(vote.grid, GridVotes(vote.grid, 0, 0))
            sums[vote.grid] = GridVotes(vote.grid, seen.count + vote.count, seen.q_sum + vote.q_sum)
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


class BallotError(VotingError):
    """Outcomes cannot be counted: arrays do not belong together, or hold no numbers."""


def count_ballots(
    tokens: NDArray[np.integer[Any]],
    q_halt_logits: NDArray[np.floating[Any]],
    variants: Sequence[AnyVariant],
    kind: Kind = ARC,
) -> Tally:
    """Count the outcomes of one test input's variants as ballots.

    An outcome that does not decode to a grid abstains.

    Shapes: tokens [N, S], q_halt_logits [N], and N variants.

    Raises: BallotError where the three do not belong together or a logit is not a number.
    """
    num_ballots = len(variants)
    if tokens.ndim != 2 or len(tokens) != num_ballots or q_halt_logits.shape != (num_ballots,):
        raise BallotError(
            f"{num_ballots} variants need tokens [{num_ballots}, S] and q_halt_logits "
            f"[{num_ballots}], not {list(tokens.shape)} and {list(q_halt_logits.shape)}"
        )
    counts: dict[tuple[tuple[int, ...], bytes], list[int]] = {}
    abstained = 0
    for cells, q in zip(
        kind.decode(tokens, variants), _scaled_q(q_halt_logits).tolist(), strict=True
    ):
        if cells is None:
            abstained += 1
            continue
        key = (cells.shape, cells.tobytes())
        entry = counts.setdefault(key, [0, 0])
        entry[0] += 1
        entry[1] += q
    # The keys sort as Grid does; a Grid is made once for each distinct grid.
    entries = (
        GridVotes(Grid(np.frombuffer(cells, dtype=np.uint8).reshape(shape)), count, q_sum)
        for (shape, cells), (count, q_sum) in sorted(counts.items())
    )
    return Tally(tuple(entries), abstained)


def _scaled_q(logits: NDArray[np.floating[Any]]) -> NDArray[np.int64]:
    """Return sigmoid(logits) as integers in 1 / Q_ONE, computed in float64."""
    if np.isnan(logits).any():
        raise BallotError(f"q_halt_logits[{int(np.isnan(logits).argmax())}] is not a number")
    scaled: NDArray[np.int64] = np.rint(sigmoid(logits.astype(np.float64)) * Q_ONE).astype(np.int64)
    return scaled


def sigmoid(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return 1 / (1 + exp(-x)) of each number, without overflow at either end."""
    result: NDArray[np.float64] = np.exp(-np.logaddexp(0.0, -logits))
    return result
