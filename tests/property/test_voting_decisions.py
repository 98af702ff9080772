"""`decided` against every completion there is, on cases small enough to list them all."""

from collections.abc import Iterator
from itertools import product

from hypothesis import given, settings
from hypothesis import strategies as st

from augment import Grid
from voting import Q_ONE, GridVotes, Ranking, Tally, decided, rank

GRIDS = [Grid.from_rows([[value]]) for value in range(5)]
# Up to four grids have votes, so at least one of these is always unseen, and the smallest unseen
# grid is among them.
LEVELS = (0, Q_ONE // 4, Q_ONE // 2, Q_ONE)


@st.composite
def tallies(draw: st.DrawFn) -> Tally:
    named = draw(st.lists(st.sampled_from(GRIDS), max_size=4, unique=True))
    votes = [
        GridVotes(grid, 1, q)
        for grid in named
        for q in draw(st.lists(st.sampled_from(LEVELS), min_size=1, max_size=4))
    ]
    return Tally.of(votes, draw(st.integers(0, 2)))


def completions(tally: Tally, num_outstanding: int) -> Iterator[Tally]:
    """Yield the tally after every way to fill in the outstanding ballots.

    The extremes of q suffice to overtake; the level between is there to show that it adds nothing.
    """
    abstention = Tally((), 1)
    ballots = [
        abstention,
        *(Tally.of([GridVotes(grid, 1, q)]) for grid in GRIDS for q in (0, Q_ONE // 2, Q_ONE)),
    ]
    for filled in product(ballots, repeat=num_outstanding):
        completed = tally
        for ballot in filled:
            completed = completed.merge(ballot)
        yield completed


def attempts(tally: Tally, num_attempts: int, ranking: Ranking) -> list[Grid]:
    return [candidate.grid for candidate in rank(tally, ranking)[:num_attempts]]


@settings(max_examples=300, deadline=None)
@given(tallies(), st.integers(0, 2), st.integers(1, 3), st.sampled_from(Ranking))
def test_decided_agrees_with_every_completion(
    tally: Tally, num_outstanding: int, num_attempts: int, ranking: Ranking
) -> None:
    now = attempts(tally, num_attempts, ranking)
    unchangeable = all(
        attempts(completed, num_attempts, ranking) == now
        for completed in completions(tally, num_outstanding)
    )

    assert decided(tally, num_outstanding, num_attempts, ranking) == unchangeable
