"""Both ranking rules, and their ties."""

import pytest

from augment import Grid
from voting import Q_ONE, GridVotes, Ranking, Tally, rank


def grid(value: int, width: int = 1) -> Grid:
    return Grid.from_rows([[value] * width])


def votes(value: int, count: int, mean_q: float, width: int = 1) -> GridVotes:
    return GridVotes(grid(value, width), count, int(mean_q * count * Q_ONE))


def order(tally: Tally, ranking: Ranking) -> list[int]:
    return [int(candidate.grid.cells[0, 0]) for candidate in rank(tally, ranking)]


def test_count_puts_more_votes_first_however_unsure() -> None:
    tally = Tally.of([votes(1, 2, 0.9), votes(2, 3, 0.1), votes(3, 1, 1.0)])

    assert order(tally, Ranking.COUNT) == [2, 1, 3]


def test_count_breaks_equal_counts_by_mean_q() -> None:
    tally = Tally.of([votes(1, 2, 0.25), votes(2, 2, 0.75), votes(3, 2, 0.5)])

    assert order(tally, Ranking.COUNT) == [2, 3, 1]


def test_q_weighted_puts_the_higher_sum_first_and_breaks_equal_sums_by_count() -> None:
    tally = Tally.of([votes(1, 4, 0.25), votes(2, 2, 0.75), votes(3, 2, 0.5)])

    assert order(tally, Ranking.Q_WEIGHTED) == [2, 1, 3]


@pytest.mark.parametrize("ranking", list(Ranking))
def test_a_full_tie_falls_to_the_smaller_shape_then_to_the_cells(ranking: Ranking) -> None:
    tally = Tally.of([votes(7, 1, 0.5), votes(0, 1, 0.5, width=2), votes(4, 1, 0.5)])

    assert order(tally, ranking) == [4, 7, 0]


def test_one_unit_of_q_in_a_million_votes_decides() -> None:
    # Far below what the mean as a float could tell apart.
    q_sum = 10**6 * Q_ONE - 5
    tally = Tally.of([GridVotes(grid(1), 10**6, q_sum), GridVotes(grid(2), 10**6, q_sum + 1)])

    assert order(tally, Ranking.COUNT) == [2, 1]


def test_a_share_is_of_the_votes_that_name_a_grid() -> None:
    tally = Tally.of([votes(1, 3, 0.5), votes(2, 1, 0.25)], abstained=6)

    first, second = rank(tally)

    assert (first.count, first.share, first.mean_q_halt) == (3, 0.75, 0.5)
    assert (second.count, second.share, second.mean_q_halt) == (1, 0.25, 0.25)


def test_rankings_carry_the_names_of_the_settings() -> None:
    assert [ranking.value for ranking in Ranking] == ["count", "q_weighted"]
