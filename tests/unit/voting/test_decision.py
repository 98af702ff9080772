"""When the votes to come can no longer change the attempts; property tests try all of them."""

import pytest

from augment import Grid
from voting import Q_ONE, GridVotes, Ranking, Tally, VotingError, decided


def tally(*counts: int, mean_q: float = 0.5) -> Tally:
    """Return a tally of 1 x 1 grids 1, 2, ... with the given counts."""
    return Tally.of(
        GridVotes(Grid.from_rows([[value]]), count, int(count * mean_q * Q_ONE))
        for value, count in enumerate(counts, start=1)
    )


def test_nothing_outstanding_is_decided_even_without_votes() -> None:
    assert decided(Tally.empty(), 0, 2)


def test_a_lead_larger_than_what_is_outstanding_is_decided() -> None:
    assert decided(tally(9, 6, 3), 2, 2)


def test_a_lead_that_can_be_equalled_at_a_higher_mean_is_open() -> None:
    assert not decided(tally(9, 6, 3), 3, 2)


def test_the_order_of_the_attempts_counts_too() -> None:
    assert not decided(tally(6, 5, 1), 2, 2)
    assert decided(tally(9, 5, 1), 2, 2)


def test_a_rival_for_the_second_rank_only_keeps_it_open_for_two_attempts_not_for_one() -> None:
    assert not decided(tally(20, 4, 3), 2, 2)
    assert decided(tally(20, 4, 3), 2, 1)


def test_a_grid_without_votes_yet_is_a_rival() -> None:
    assert not decided(tally(9, 3), 3, 2)
    assert decided(tally(9, 3), 2, 2)


def test_too_few_candidates_are_open_while_any_ballot_is_outstanding() -> None:
    assert not decided(tally(1000), 1, 2)
    assert decided(tally(1000), 1, 1)


def test_a_full_tie_with_an_unseen_grid_is_open_only_if_that_grid_sorts_first() -> None:
    # All votes at q_halt 1, so that the newcomer can equal but not beat them.
    sure = tally(2, mean_q=1.0)
    first = Tally.of([GridVotes(Grid.from_rows([[0]]), 2, 2 * Q_ONE)])

    assert not decided(sure, 2, 1)  # [[0]] is unseen and sorts before [[1]]
    assert decided(first, 2, 1)  # nothing sorts before [[0]]


def test_the_rival_for_a_tie_is_the_first_grid_without_votes() -> None:
    # Ten sure grids, [[9]] last with one vote; the smallest unseen grid, [[0, 0]], sorts after it.
    tenth = Tally.of(
        GridVotes(Grid.from_rows([[value]]), 1 + 2 * (9 - value), (1 + 2 * (9 - value)) * Q_ONE)
        for value in range(10)
    )

    assert decided(tenth, 1, 10)
    assert not decided(Tally(tenth.entries[1:], 0), 1, 9)  # here [[0]] is unseen and wins the tie


def test_q_weighted_waits_for_the_sum_not_the_count() -> None:
    unsure = Tally.of(
        [
            GridVotes(Grid.from_rows([[1]]), 9, Q_ONE),
            GridVotes(Grid.from_rows([[2]]), 1, Q_ONE // 2),
        ]
    )

    assert decided(unsure, 1, 1, Ranking.COUNT)
    assert not decided(unsure, 1, 1, Ranking.Q_WEIGHTED)


@pytest.mark.parametrize(("num_outstanding", "num_attempts"), [(-1, 2), (3, 0)])
def test_counts_that_make_no_sense_are_refused(num_outstanding: int, num_attempts: int) -> None:
    with pytest.raises(VotingError, match="cannot decide"):
        decided(Tally.empty(), num_outstanding, num_attempts)
