"""Crops: every grid of a puzzle fits, in every variant, and tokens are those of the canvas."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from plain_decoding import decode

from augment import (
    CROP_SIZES,
    Grid,
    Pair,
    Puzzle,
    Variant,
    apply_dihedral,
    choose_crop,
    decode_variants,
    encode,
    encode_variants,
    fit_crop,
    touches_edge,
)

sides = st.integers(1, 30)
crops = st.sampled_from(CROP_SIZES)
palettes = st.permutations(range(1, 10)).map(lambda colours: (0, *colours))
variants = st.builds(Variant, st.integers(0, 7), palettes)


def grids_of(max_side: int) -> st.SearchStrategy[Grid]:
    side = st.integers(1, max_side)
    return (
        st.tuples(side, side)
        .flatmap(lambda size: hnp.arrays(np.uint8, size, elements=st.integers(0, 9)))
        .map(Grid)
    )


grids = grids_of(30)
# Small sides make rules hold often.
small = grids_of(4)
puzzles = st.builds(
    Puzzle,
    st.just("drawn"),
    st.lists(st.builds(Pair, small, small), max_size=4).map(tuple),
    st.lists(small, min_size=1, max_size=3).map(tuple),
)
factors = st.tuples(st.integers(1, 6), st.integers(1, 6))


def scaled(grid: Grid, factor: tuple[int, int]) -> Grid:
    return Grid(np.kron(grid.cells, np.ones(factor, dtype=np.uint8)))


def scaling(inputs: list[Grid], factor: tuple[int, int], tests: list[Grid]) -> Puzzle:
    return Puzzle("scaled", tuple(Pair(x, scaled(x, factor)) for x in inputs), tuple(tests))


some = st.lists(small, min_size=1, max_size=4)
scaled_puzzles = st.builds(scaling, some, factors, some)


@given(sides, st.integers(1, 40))
def test_a_fitted_crop_is_the_smallest_that_holds_the_side(side: int, canvas: int) -> None:
    side = min(side, canvas)
    crop = fit_crop(side, canvas)
    assert side <= crop <= canvas
    assert crop == canvas or crop in CROP_SIZES
    assert not any(side <= size < crop for size in CROP_SIZES)


@given(puzzles, st.integers(4, 30))
def test_a_crop_holds_every_grid_and_prediction_up_to_the_canvas(
    puzzle: Puzzle, canvas: int
) -> None:
    choice = choose_crop(puzzle, canvas)
    assert len(choice.predicted) == len(puzzle.test)
    known = [size for size in choice.predicted if size is not None]
    for size in (*known, *(grid.size for grid in puzzle.grids)):
        assert min(max(size), canvas) <= choice.size <= canvas
    assert list(choice.larger) == sorted({*choice.larger} - {choice.size})
    assert (choice.size, *choice.larger)[-1] == canvas


@given(st.one_of(puzzles, scaled_puzzles), variants)
def test_all_variants_of_a_puzzle_have_one_crop(puzzle: Puzzle, variant: Variant) -> None:
    turned = Puzzle(
        puzzle.name,
        tuple(
            Pair(variant.apply_grid(pair.input), variant.apply_grid(pair.output))
            for pair in puzzle.train
        ),
        tuple(map(variant.apply_grid, puzzle.test)),
    )
    choice, other = choose_crop(puzzle), choose_crop(turned)
    assert (choice.size, choice.larger) == (other.size, other.larger)
    for size, turned_size in zip(choice.predicted, other.predicted, strict=True):
        assert (size is None) == (turned_size is None)
        if size is not None:
            assert apply_dihedral(np.zeros(size), variant.dihedral).shape == turned_size


@given(some, factors, small)
def test_outputs_of_a_fixed_ratio_fit(
    inputs: list[Grid], factor: tuple[int, int], test: Grid
) -> None:
    choice = choose_crop(scaling(inputs, factor, [test]))
    assert choice.predicted[0] is not None
    assert max(scaled(test, factor).size) <= choice.size


@given(grids, crops)
def test_a_crop_has_the_tokens_of_the_canvas_at_its_top_left(grid: Grid, crop: int) -> None:
    canvas = encode([grid], 30).reshape(30, 30)
    cropped = np.ascontiguousarray(canvas[:crop, :crop]).reshape(1, -1)
    if max(grid.size) <= crop:
        assert np.array_equal(encode([grid], crop), cropped)
    (found,) = decode(cropped)
    assert found is not None
    assert np.array_equal(found, grid.cells[:crop, :crop])


@given(grids, crops, variants)
def test_what_a_crop_cuts_touches_its_edge(grid: Grid, crop: int, variant: Variant) -> None:
    canvas = encode_variants(grid, [variant], 30).reshape(30, 30)
    cropped = np.ascontiguousarray(canvas[:crop, :crop]).reshape(1, -1)
    (found,) = decode_variants(cropped, [variant])
    assert found is not None
    is_cut = found.shape != grid.size
    height, width = found.shape
    if crop < 30 and (is_cut or crop in grid.size):
        assert touches_edge((height, width), crop)
        assert touches_edge((height, width), crop, grid.size) == is_cut
    else:
        assert not touches_edge((height, width), crop)
