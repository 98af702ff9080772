"""What is done can be undone: variants, tokens, names, documents."""

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from plain_decoding import decode, invert

from augment import (
    BLANK_NAME,
    IDENTITY,
    Dialect,
    Grid,
    Pair,
    Puzzle,
    Task,
    Variant,
    VariantNameError,
    decode_variants,
    draw_variants,
    encode,
    encode_variants,
    parse_task,
    task_document,
)

sides = st.integers(1, 30)
cells = st.tuples(sides, sides).flatmap(
    lambda size: hnp.arrays(np.uint8, size, elements=st.integers(0, 9))
)
grids = cells.map(Grid)
palettes = st.permutations(range(1, 10)).map(lambda colours: (0, *colours))
variants = st.builds(Variant, st.integers(0, 7), palettes)
# Names that come as near to a variant's ending as names of puzzles can.
names = st.one_of(
    st.text(st.sampled_from("ab_t0123456789|"), min_size=1, max_size=30),
    st.builds(
        "{}_t{}_{}{}".format,
        st.text("a_", max_size=3),
        st.integers(0, 9),
        st.permutations("0123456789").map("".join),
        st.sampled_from(["", "_", "x"]),
    ),
    st.text(min_size=1, max_size=10),
)


@given(cells, variants)
def test_inverting_an_applied_variant_gives_the_cells_back(
    array: np.ndarray, variant: Variant
) -> None:
    assert np.array_equal(invert(variant, variant.apply(array)), array)
    assert np.array_equal(variant.apply(invert(variant, array)), array)


@given(st.tuples(sides, sides), st.integers(1, 4), variants, st.data())
def test_variants_work_on_batches(
    size: tuple[int, int], num: int, variant: Variant, data: st.DataObject
) -> None:
    batch = data.draw(hnp.arrays(np.uint8, (num, *size), elements=st.integers(0, 9)))
    applied = variant.apply(batch)
    assert all(
        np.array_equal(sheet, variant.apply(isolated))
        for sheet, isolated in zip(applied, batch, strict=True)
    )
    assert np.array_equal(invert(variant, applied), batch)


def test_decoding_an_encoded_grid_gives_it_back_at_all_900_sizes() -> None:
    random = np.random.default_rng(0)
    arrays = [
        random.integers(0, 10, (height, width)).astype(np.uint8)
        for height in range(1, 31)
        for width in range(1, 31)
    ]
    decoded = decode(encode(arrays, 30))
    assert len(decoded) == 900
    for array, found in zip(arrays, decoded, strict=True):
        assert found is not None
        assert np.array_equal(found, array)


def test_decoding_variants_gives_the_grid_back_at_all_900_sizes() -> None:
    random = np.random.default_rng(1)
    drawn = [Variant(dihedral, (0, *(random.permutation(9) + 1).tolist())) for dihedral in range(8)]
    for height in range(1, 31):
        for width in range(1, 31):
            grid = Grid(random.integers(0, 10, (height, width)))
            found = decode_variants(encode_variants(grid, drawn, 30), drawn)
            assert all(np.array_equal(one, grid.cells) for one in found if one is not None)
            assert all(one is not None for one in found)


@given(hnp.arrays(np.int32, st.tuples(st.integers(0, 8), st.just(36)), elements=st.integers(0, 13)))
def test_batch_decodes_like_the_rule_taken_row_by_row(tokens: np.ndarray) -> None:
    found = [None if one is None else one.tolist() for one in decode(tokens)]
    assert found == [decode_by_the_rule(sheet) for sheet in tokens.reshape(-1, 6, 6).tolist()]


def decode_by_the_rule(sheet: list[list[int]]) -> list[list[int]] | None:
    best, best_area, usable = None, 0, len(sheet)
    for index, row in enumerate(sheet):
        run = next((i for i, token in enumerate(row) if not 2 <= token <= 11), len(row))
        usable = min(usable, run)
        if usable * (index + 1) > best_area:
            best_area = usable * (index + 1)
            best = [[token - 2 for token in line[:usable]] for line in sheet[: index + 1]]
    return best


@pytest.mark.parametrize("dialect", Dialect)
@example(puzzle=BLANK_NAME, variant=IDENTITY)
@example(puzzle="a_t0_0123456789", variant=IDENTITY)
@example(puzzle="a|||t0|||0123456789", variant=IDENTITY)
@given(puzzle=names, variant=variants)
def test_parsing_a_variants_name_gives_puzzle_and_variant_back(
    dialect: Dialect, puzzle: str, variant: Variant
) -> None:
    for one in (variant, IDENTITY):
        try:
            name = dialect.name(puzzle, one)
        except VariantNameError:
            # Refused only where the bare name would be taken for a variant's or the blank row's.
            assert puzzle == BLANK_NAME or dialect.parse(puzzle) != (puzzle, IDENTITY)
            continue
        assert dialect.parse(name) == (puzzle, one)
        assert dialect.puzzle_of(name) == puzzle


@given(
    st.lists(st.tuples(grids, grids), min_size=1, max_size=3),
    st.lists(st.tuples(grids, st.none() | grids), min_size=1, max_size=3),
)
def test_document_of_a_task_parses_to_the_task(
    pairs: list[tuple[Grid, Grid]], tests: list[tuple[Grid, Grid | None]]
) -> None:
    puzzle = Puzzle("a_b", tuple(Pair(*pair) for pair in pairs), tuple(grid for grid, _ in tests))
    task = Task(puzzle, tuple(expected for _, expected in tests))
    assert parse_task(task_document(task), "other") == task


@given(grids, grids, st.integers(0, 2**64))
def test_drawn_variants_are_distinct_and_begin_with_the_identity(
    one: Grid, other: Grid, seed: int
) -> None:
    drawn = draw_variants(Puzzle("p", (Pair(one, other),), (one,)), 8, seed)
    assert drawn[0] == IDENTITY
    effects = {(variant.apply_grid(one), variant.apply_grid(other)) for variant in drawn}
    assert len(effects) == len(drawn)


@given(grids, grids)
def test_grids_are_totally_ordered(one: Grid, other: Grid) -> None:
    assert (one < other) + (one == other) + (one > other) == 1
    assume(one.size != other.size)
    assert (one < other) == (one.size < other.size)
