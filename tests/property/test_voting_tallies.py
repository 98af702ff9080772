"""Merging tallies, for any ballots in any order."""

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from augment import Grid
from voting import Q_ONE, GridVotes, Ranking, Tally, rank

grids = st.integers(1, 3).flatmap(
    lambda width: st.lists(
        st.lists(st.integers(0, 2), min_size=width, max_size=width), min_size=1, max_size=2
    ).map(Grid.from_rows)
)
ballots = st.lists(st.builds(GridVotes, grids, st.just(1), st.integers(0, Q_ONE)), max_size=12)
tallies = st.builds(Tally.of, ballots, st.integers(0, 5))


@given(tallies, tallies)
def test_merging_is_commutative_to_the_bit(one: Tally, other: Tally) -> None:
    assert one.merge(other) == other.merge(one)


@given(tallies, tallies, tallies)
def test_merging_is_associative_to_the_bit(one: Tally, two: Tally, three: Tally) -> None:
    assert one.merge(two).merge(three) == one.merge(two.merge(three))


@given(ballots, st.randoms(use_true_random=False), st.integers(0, 12))
def test_any_split_of_any_order_gives_the_same_tally(
    votes: list[GridVotes], random: Random, cut: int
) -> None:
    shuffled = list(votes)
    random.shuffle(shuffled)

    split = Tally.of(shuffled[:cut]).merge(Tally.of(shuffled[cut:]))

    assert split == Tally.of(votes)
    assert split.num_votes == len(votes)


@given(tallies, st.sampled_from(Ranking))
def test_a_ranking_holds_every_grid_once_and_its_shares_add_up(
    tally: Tally, ranking: Ranking
) -> None:
    candidates = rank(tally, ranking)

    assert sorted(candidate.grid for candidate in candidates) == [e.grid for e in tally.entries]
    assert sum(candidate.count for candidate in candidates) == tally.num_votes
    assert all(0 <= candidate.mean_q_halt <= 1 for candidate in candidates)
    assert abs(sum(candidate.share for candidate in candidates) - bool(candidates)) < 1e-9
