"""A tally is a value: equal when the ballots are, whatever the order."""

import pickle

import pytest

from augment import Grid
from voting import GridVotes, Tally

SMALL = Grid.from_rows([[5]])
LARGE = Grid.from_rows([[1, 2], [3, 4]])


def test_merging_adds_votes_q_sums_and_abstentions() -> None:
    one = Tally.of([GridVotes(LARGE, 2, 10), GridVotes(SMALL, 1, 7)], abstained=1)
    other = Tally.of([GridVotes(SMALL, 3, 5)], abstained=4)

    assert one.merge(other) == Tally((GridVotes(SMALL, 4, 12), GridVotes(LARGE, 2, 10)), 5)


def test_the_same_votes_in_another_order_are_an_equal_tally_with_an_equal_hash() -> None:
    votes = [GridVotes(SMALL, 1, 3), GridVotes(LARGE, 1, 4), GridVotes(SMALL, 1, 5)]

    one, other = Tally.of(votes), Tally.of(reversed(votes))

    assert one == other
    assert hash(one) == hash(other)


def test_merging_with_the_empty_tally_changes_nothing() -> None:
    tally = Tally.of([GridVotes(SMALL, 1, 3)], abstained=2)

    assert tally.merge(Tally.empty()) == tally == Tally.empty().merge(tally)


def test_a_tally_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        Tally.empty().abstained = 3  # type: ignore[misc]


def test_a_tally_survives_the_way_to_another_process() -> None:
    tally = Tally.of([GridVotes(SMALL, 1, 3), GridVotes(LARGE, 2, 4)], abstained=2)

    assert pickle.loads(pickle.dumps(tally)) == tally
