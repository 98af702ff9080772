"""Grids to tokens and back."""

import numpy as np
import pytest
from plain_decoding import decode, invert

from augment import (
    EOS,
    FIRST_COLOUR,
    IDENTITY,
    PAD,
    CanvasError,
    Grid,
    Pair,
    Puzzle,
    Variant,
    decode_variants,
    draw_variants,
    encode,
    encode_variants,
)

ROWS = [[1, 2, 3], [4, 5, 6]]
GRID = Grid.from_rows(ROWS)
TURN = Variant(1, (0, 2, 1, 3, 4, 5, 6, 7, 8, 9))


def canvas_of(rows: list[list[int]]) -> np.ndarray:
    return np.array(rows, dtype=np.int32).reshape(1, -1)


def test_vocabulary_is_pad_eos_and_colours_from_two() -> None:
    assert (PAD, EOS, FIRST_COLOUR) == (0, 1, 2)


def test_grid_lies_at_the_top_left_between_eos_with_a_pad_corner() -> None:
    tokens = encode([GRID], 5)
    assert tokens.dtype == np.int32
    assert tokens.reshape(5, 5).tolist() == [
        [3, 4, 5, 1, 0],
        [6, 7, 8, 1, 0],
        [1, 1, 1, 0, 0],
        [0, 0, 0, 0, 0],
        [0, 0, 0, 0, 0],
    ]


def test_grid_at_the_canvas_edge_has_no_eos_there() -> None:
    assert encode([GRID], 3).reshape(3, 3).tolist() == [[3, 4, 5], [6, 7, 8], [1, 1, 1]]
    assert encode([GRID.cells.T], 3).reshape(3, 3).tolist() == [[3, 6, 1], [4, 7, 1], [5, 8, 1]]


def test_full_canvas_has_no_eos() -> None:
    full = np.full((30, 30), 9, dtype=np.uint8)
    assert np.all(encode([full], 30) == 11)


def test_arrays_and_grids_encode_alike() -> None:
    assert np.array_equal(encode([GRID.cells], 6), encode([GRID], 6))


def test_no_grids_encode_to_no_canvases() -> None:
    assert encode([], 30).shape == (0, 900)
    assert encode_variants(GRID, [], 30).shape == (0, 900)


def test_grid_larger_than_the_canvas_is_refused() -> None:
    with pytest.raises(CanvasError) as caught:
        encode([GRID], 2)
    assert str(caught.value) == (
        "a grid of 2 x 3 does not fit the model's canvas of 2 x 2; "
        "use a checkpoint with a larger canvas"
    )


def test_variants_that_turn_a_grid_off_the_canvas_are_refused() -> None:
    tall = Grid(np.zeros((7, 2), dtype=np.uint8))
    with pytest.raises(CanvasError, match="7 x 2"):
        encode_variants(tall, [IDENTITY], 6)


def test_encoded_variants_are_the_encoded_grids_of_the_variants() -> None:
    variants = draw_variants(Puzzle("p", (Pair(GRID, GRID),), (GRID,)), 200, 0)
    slow = encode([variant.apply_grid(GRID) for variant in variants], 9)
    assert np.array_equal(encode_variants(GRID, variants, 9), slow)


def test_decode_keeps_the_first_of_two_rectangles_of_one_area() -> None:
    tokens = canvas_of([[2, 3, 4, 5], [6, 7, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]])
    (cells,) = decode(tokens)
    assert cells is not None
    assert cells.tolist() == [[0, 1, 2, 3]]


def test_decode_takes_a_strictly_larger_rectangle_further_down() -> None:
    tokens = canvas_of([[2, 3, 4, 0], [5, 6, 0, 0], [7, 8, 9, 9], [0, 0, 0, 0]])
    (cells,) = decode(tokens)
    assert cells is not None
    assert cells.tolist() == [[0, 1], [3, 4], [5, 6]]


def test_decode_stops_at_a_row_that_begins_with_no_colour() -> None:
    tokens = canvas_of([[2, 0, 0], [1, 0, 0], [3, 3, 3]])
    (cells,) = decode(tokens)
    assert cells is not None
    assert cells.tolist() == [[0]]


@pytest.mark.parametrize("token", [PAD, EOS, 12, -1, 2**31 - 1, -(2**31), 258])
def test_canvas_that_begins_with_no_colour_abstains(token: int) -> None:
    tokens = np.full((1, 9), 5, dtype=np.int32)
    tokens[0, 0] = token
    assert decode(tokens) == [None]
    assert decode_variants(tokens, [TURN]) == [None]


def test_decode_keeps_the_order_of_a_mixed_batch() -> None:
    grids = [[[1]], [[2, 3]], [[4], [5]], [[6]], ROWS]
    tokens = encode([Grid.from_rows(rows) for rows in grids], 6)
    tokens = np.insert(tokens, 2, PAD, axis=0)
    decoded = [None if cells is None else cells.tolist() for cells in decode(tokens)]
    assert decoded == [[[1]], [[2, 3]], None, [[4], [5]], [[6]], ROWS]


@pytest.mark.parametrize("dtype", [np.int16, np.int32, np.int64, np.uint8])
def test_tokens_of_any_whole_type_decode_alike(dtype: type) -> None:
    (cells,) = decode(encode([GRID], 5).astype(dtype))
    assert cells is not None
    assert cells.dtype == np.uint8
    assert cells.tolist() == ROWS


def test_decoded_cells_are_read_only() -> None:
    tokens = encode([GRID], 5)
    for (cells,) in (decode(tokens), decode_variants(tokens, [TURN])):
        assert cells is not None
        assert not cells.flags.writeable


def test_decode_variants_undoes_each_variant_after_decoding() -> None:
    variants = draw_variants(Puzzle("p", (Pair(GRID, GRID),), (GRID,)), 100, 1)
    random = np.random.default_rng(3)
    tokens = random.integers(0, 12, (len(variants), 36))
    tokens[:, :8] = random.integers(2, 12, (len(variants), 8))
    tokens[::10, 0] = PAD
    slow = [
        None if cells is None else invert(variant, cells).tolist()
        for cells, variant in zip(decode(tokens), variants, strict=True)
    ]
    fast = decode_variants(tokens, variants)
    assert [None if cells is None else cells.tolist() for cells in fast] == slow


def test_no_canvases_decode_to_no_grids() -> None:
    empty = np.zeros((0, 900), dtype=np.int64)
    assert decode(empty) == []
    assert decode_variants(empty, []) == []


def test_decode_variants_refuses_another_number_of_variants() -> None:
    with pytest.raises(ValueError, match="1 canvases for 2 variants"):
        decode_variants(encode([GRID], 5), [IDENTITY, TURN])


def test_tokens_of_no_square_canvas_are_refused() -> None:
    with pytest.raises(ValueError, match="8 tokens are not a square canvas"):
        decode(np.zeros((1, 8), dtype=np.int64))
