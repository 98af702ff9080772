"""Outcomes become votes: decoded, turned back, counted."""

import numpy as np
import pytest

from augment import IDENTITY, PAD, Grid, Variant, encode, encode_variants
from voting import Q_ONE, BallotError, Tally, count_ballots, rank

TURNED = Variant(3, (0, 2, 1, 4, 3, 6, 5, 8, 7, 9))
CANVAS = 8


def test_variants_of_one_grid_are_votes_for_that_grid() -> None:
    grid = Grid.from_rows([[1, 2, 3], [4, 5, 6]])
    variants = [IDENTITY, TURNED, Variant(7, TURNED.palette)]

    tally = count_ballots(encode_variants(grid, variants, CANVAS), np.zeros(3), variants)

    assert [(entry.grid, entry.count) for entry in tally.entries] == [(grid, 3)]
    assert (tally.num_votes, tally.abstained) == (3, 0)


def test_an_undecodable_outcome_abstains_and_its_q_counts_nowhere() -> None:
    grid = Grid.from_rows([[1, 2]])
    tokens = encode([grid, grid], CANVAS)
    tokens[1, 0] = PAD

    tally = count_ballots(tokens, np.array([0.0, 50.0]), [IDENTITY, IDENTITY])

    assert (tally.num_votes, tally.abstained, tally.num_ballots) == (1, 1, 2)
    assert tally.entries[0].mean_q_halt == 0.5


def test_q_is_the_sigmoid_of_the_logit_in_float64() -> None:
    logits = np.array([-3.25, 0.7, 12.5], dtype=np.float32)
    tokens = encode([Grid.from_rows([[colour]]) for colour in (1, 2, 3)], CANVAS)

    tally = count_ballots(tokens, logits, [IDENTITY] * 3)

    expected = 1 / (1 + np.exp(-logits.astype(np.float64)))
    assert [entry.mean_q_halt for entry in tally.entries] == pytest.approx(expected, abs=1e-12)


@pytest.mark.filterwarnings("error")
def test_extreme_logits_saturate_without_a_warning() -> None:
    logits = np.array([-np.inf, -1e30, 1e30, np.inf], dtype=np.float32)
    tokens = encode([Grid.from_rows([[colour]]) for colour in range(4)], CANVAS)

    tally = count_ballots(tokens, logits, [IDENTITY] * 4)

    assert [entry.q_sum for entry in tally.entries] == [0, 0, Q_ONE, Q_ONE]


def test_a_logit_that_is_not_a_number_is_refused() -> None:
    tokens = encode([Grid.from_rows([[1]])] * 2, CANVAS)

    with pytest.raises(BallotError, match=r"q_halt_logits\[1\] is not a number"):
        count_ballots(tokens, np.array([0.0, np.nan]), [IDENTITY] * 2)


@pytest.mark.parametrize(
    ("tokens", "logits"), [((1, 64), (2,)), ((2, 64), (1,)), ((2, 64), (2, 1)), ((2, 8, 8), (2,))]
)
def test_arrays_that_do_not_belong_to_the_variants_are_refused(
    tokens: tuple[int, ...], logits: tuple[int, ...]
) -> None:
    with pytest.raises(BallotError, match="2 variants need"):
        count_ballots(np.zeros(tokens, dtype=np.int32), np.zeros(logits), [IDENTITY] * 2)


def test_no_outcomes_are_the_empty_tally() -> None:
    tally = count_ballots(np.zeros((0, 64), dtype=np.int32), np.zeros(0), [])

    assert tally == Tally.empty()
    assert rank(tally) == ()


def test_entries_lie_in_grid_order() -> None:
    grids = [Grid.from_rows(rows) for rows in ([[0], [0]], [[9, 9]], [[9]], [[0, 1]], [[3]])]

    tally = count_ballots(encode(grids, CANVAS), np.zeros(5), [IDENTITY] * 5)

    assert [entry.grid for entry in tally.entries] == sorted(grids)
