"""Grid, Puzzle: what they accept, their order, and that nothing can change them."""

import copy
import pickle

import numpy as np
import pytest

from augment import Grid, Pair, Puzzle, PuzzleError


def grid(*rows: list[int]) -> Grid:
    return Grid.from_rows(list(rows))


def test_rows_come_back_as_given() -> None:
    assert grid([0, 1, 2], [3, 4, 5]).to_rows() == [[0, 1, 2], [3, 4, 5]]


def test_size_is_height_and_width() -> None:
    assert grid([0, 1, 2], [3, 4, 5]).size == (2, 3)


def test_cells_cannot_be_written_to() -> None:
    with pytest.raises(ValueError, match="read-only"):
        grid([1]).cells[0, 0] = 2


def test_cells_cannot_be_made_writable_again() -> None:
    with pytest.raises(ValueError, match="WRITEABLE"):
        grid([1]).cells.setflags(write=True)


def test_grid_does_not_follow_the_array_it_was_made_of() -> None:
    cells = np.ones((2, 2), dtype=np.uint8)
    made = Grid(cells)
    cells[0, 0] = 5
    assert made == grid([1, 1], [1, 1])


def test_grids_of_equal_cells_and_other_shape_differ() -> None:
    assert grid([1, 2, 3, 4]) != grid([1, 2], [3, 4])


def test_equal_grids_have_one_hash() -> None:
    assert len({grid([1, 2]), Grid(np.array([[1, 2]])), grid([2, 1])}) == 2


def test_a_grid_equals_no_array() -> None:
    assert grid([1]) != [[1]]


def test_grids_sort_by_height_then_width_then_cells() -> None:
    mixed = [grid([0], [0]), grid([1, 0]), grid([9]), grid([0, 1]), grid([0, 0])]
    rows = [item.to_rows() for item in sorted(mixed)]
    assert rows == [[[9]], [[0, 0]], [[0, 1]], [[1, 0]], [[0], [0]]]


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda g: pickle.loads(pickle.dumps(g))])
def test_copies_of_a_grid_are_equal_and_read_only(duplicate: object) -> None:
    twin = duplicate(grid([1, 2]))  # type: ignore[operator]
    assert twin == grid([1, 2])
    assert not twin.cells.flags.writeable


@pytest.mark.parametrize(
    ("array", "problem"),
    [
        (np.zeros((0, 3), dtype=np.uint8), "0 rows; a grid has 1..30"),
        (np.zeros((3, 31), dtype=np.uint8), "31 columns; a grid has 1..30"),
        (np.full((1, 1), 10), "10 is not a colour 0..9"),
        (np.full((1, 1), -1), "-1 is not a colour 0..9"),
        (np.full((1, 1), 256), "256 is not a colour 0..9"),
        (np.zeros(3, dtype=np.uint8), "not a rectangle of whole numbers"),
        (np.zeros((1, 1)), "not a rectangle of whole numbers"),
        (np.zeros((1, 1), dtype=bool), "not a rectangle of whole numbers"),
    ],
)
def test_arrays_that_are_no_grid_are_refused(array: np.ndarray, problem: str) -> None:
    with pytest.raises(PuzzleError, match=problem):
        Grid(array)


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        ([], "grid: 0 rows; a grid has 1..30"),
        ([[]], "grid[0]: 0 columns; a grid has 1..30"),
        (None, "grid: null is not a grid; give a list of rows"),
        ("text", "grid: the text 'text' is not a grid; give a list of rows"),
        ({}, "grid: an object is not a grid; give a list of rows"),
        ([[0]] * 31, "grid: 31 rows; a grid has 1..30"),
        ([[0] * 31], "grid[0]: 31 columns; a grid has 1..30"),
        ([5], "grid[0]: 5 is not a row; give a list of colours 0..9"),
        ([[1, 2], 5], "grid[1]: 5 is not a row; give a list of colours 0..9"),
        (
            [[1, 2], [3]],
            "grid[1]: 1 columns, but the first row has 2; make all rows equally long",
        ),
        ([[1, 10]], "grid[0][1]: 10 is not a colour 0..9"),
        ([[1, -1]], "grid[0][1]: -1 is not a colour 0..9"),
        ([[1], [2.0]], "grid[1][0]: 2.0 is not a colour; give a whole number 0..9"),
        ([[1], [True]], "grid[1][0]: true is not a colour; give a whole number 0..9"),
        ([[False]], "grid[0][0]: false is not a colour; give a whole number 0..9"),
        ([[None]], "grid[0][0]: null is not a colour; give a whole number 0..9"),
        ([["3"]], "grid[0][0]: the text '3' is not a colour; give a whole number 0..9"),
        ([["x" * 99]], "grid[0][0]: a text is not a colour; give a whole number 0..9"),
        ([[[1]]], "grid[0][0]: a list is not a colour; give a whole number 0..9"),
        ([[10**5000]], "grid[0][0]: a number of more than 64 bits is not a colour 0..9"),
    ],
)
def test_rows_that_are_no_grid_are_refused_at_their_place(rows: object, sentence: str) -> None:
    with pytest.raises(PuzzleError) as caught:
        Grid.from_rows(rows)
    assert str(caught.value) == sentence


def test_the_place_of_a_fault_begins_where_the_grid_is() -> None:
    with pytest.raises(PuzzleError) as caught:
        Grid.from_rows([[1, 11]], "train[0].input")
    assert caught.value.location == "train[0].input[0][1]"
    assert caught.value.pointer == "/train/0/input/0/1"
    assert caught.value.problem == "11 is not a colour 0..9"


A = Pair(grid([1]), grid([2]))
B = Pair(grid([3]), grid([4]))


def hash_of(*pairs: Pair, name: str = "p", test: tuple[Grid, ...] = ()) -> str:
    return Puzzle(name, pairs, test).demonstrations_hash


def test_demonstrations_hash_does_not_depend_on_the_order_of_pairs() -> None:
    assert hash_of(A, B) == hash_of(B, A)


def test_demonstrations_hash_does_not_depend_on_name_or_test_inputs() -> None:
    assert hash_of(A, B) == hash_of(A, B, name="q", test=(grid([5]),))


@pytest.mark.parametrize(
    "pairs",
    [
        (A,),
        (A, A),
        (A, B, B),
        (Pair(A.output, A.input), B),
        (Pair(A.input, B.input), Pair(A.output, B.output)),
    ],
)
def test_demonstrations_hash_differs_for_other_demonstrations(pairs: tuple[Pair, ...]) -> None:
    assert hash_of(*pairs) != hash_of(A, B)


def test_demonstrations_hash_differs_for_other_shapes() -> None:
    flat = Pair(grid([1, 2]), grid([3]))
    tall = Pair(grid([1], [2]), grid([3]))
    assert hash_of(flat) != hash_of(tall)


def test_demonstrations_hash_stays_what_checkpoints_have_stored() -> None:
    # `puzzles.json` of a checkpoint holds these hashes: a changed one would disown every puzzle.
    assert hash_of(A, B) == "1418c54efe824254d831cebf2cf259d22e4e22de5c7088d4cdc7124443f6de75"
