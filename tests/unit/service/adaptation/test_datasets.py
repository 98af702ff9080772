"""Training arrays: which rows there are, in which order, and what stands in them."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from plain_decoding import decode

from augment import (
    BLANK_NAME,
    CanvasError,
    Dialect,
    Grid,
    Pair,
    Puzzle,
    Task,
    VariantNameError,
    draw_variants,
    encode,
)
from service.adaptation.dataset import build_dataset
from service.wire.errors import DatasetError

NUM_VARIANTS, SEED, CANVAS = 5, 3, 4


@pytest.fixture
def puzzles(constant_tasks: tuple[Task, ...]) -> list[Puzzle]:
    return [task.puzzle for task in constant_tasks]


def test_rows_are_numbered_from_one_in_the_order_of_puzzles_and_variants(
    puzzles: list[Puzzle],
) -> None:
    dataset = build_dataset(puzzles, CANVAS, NUM_VARIANTS, SEED)

    variants = [(p.name, v) for p in puzzles for v in draw_variants(p, NUM_VARIANTS, SEED)]
    assert dataset.identifiers[0] == BLANK_NAME
    assert [Dialect.HRM.parse(name) for name in dataset.identifiers[1:]] == variants
    assert dataset.arrays[0].rows.tolist() == list(range(1, len(variants) + 1))
    assert dataset.puzzles == tuple(puzzles)


def test_the_untransformed_variant_comes_first_of_each_puzzle(puzzles: list[Puzzle]) -> None:
    dataset = build_dataset(puzzles, CANVAS, NUM_VARIANTS, SEED)

    firsts = [dataset.identifiers[1 + start] for start in dataset.arrays[0].group_starts[:-1]]
    assert firsts == [puzzle.name for puzzle in puzzles]


def test_rows_of_a_puzzle_do_not_depend_on_its_neighbours(puzzles: list[Puzzle]) -> None:
    isolated = build_dataset(puzzles[2:3], CANVAS, NUM_VARIANTS, SEED)
    together = build_dataset(puzzles, CANVAS, NUM_VARIANTS, SEED)

    mine = [name for name in together.identifiers if name.startswith(puzzles[2].name)]
    assert list(isolated.identifiers[1:]) == mine


def test_every_variant_holds_its_demonstrations_transformed(puzzles: list[Puzzle]) -> None:
    dataset = build_dataset(puzzles, CANVAS, NUM_VARIANTS, SEED)
    arrays = dataset.arrays[0]
    by_name = {puzzle.name: puzzle for puzzle in puzzles}

    for index, name in enumerate(dataset.identifiers[1:]):
        puzzle_name, variant = Dialect.HRM.parse(name)
        part = slice(arrays.variant_starts[index], arrays.variant_starts[index + 1])
        pairs = by_name[puzzle_name].train
        assert decoded(arrays.inputs[part]) == [variant.apply_grid(pair.input) for pair in pairs]
        assert decoded(arrays.labels[part]) == [variant.apply_grid(pair.output) for pair in pairs]


def test_labels_are_the_tokens_of_outputs_with_their_end_marks(puzzles: list[Puzzle]) -> None:
    arrays = build_dataset(puzzles[:1], CANVAS, 1, SEED).arrays[0]

    outputs = [pair.output for pair in puzzles[0].train]
    np.testing.assert_array_equal(arrays.labels, encode(outputs, CANVAS))


def test_room_is_what_the_larger_grid_of_a_pair_leaves_free() -> None:
    wide, tall = Grid.from_rows([[1, 2, 3]]), Grid.from_rows([[4], [5]])
    puzzle = Puzzle("a", (Pair(wide, tall), Pair(tall, tall)), (wide,))

    arrays = build_dataset([puzzle], 5, 1, SEED).arrays[0]

    assert arrays.room.tolist() == [[3, 2], [3, 4]]


def test_groups_are_puzzles_with_their_variants(puzzles: list[Puzzle]) -> None:
    arrays = build_dataset(puzzles, CANVAS, NUM_VARIANTS, SEED).arrays[0]

    assert np.diff(arrays.group_starts).tolist() == [NUM_VARIANTS] * len(puzzles)
    assert set(np.diff(arrays.variant_starts).tolist()) == {3}


def sized(name: str, side: int) -> Puzzle:
    """Make a puzzle of two demonstrations whose grids are squares of a size."""
    grids = [Grid.from_rows([[colour] * side] * side) for colour in (1, 2, 3, 4, 5)]
    return Puzzle(name, (Pair(grids[0], grids[1]), Pair(grids[2], grids[3])), (grids[4],))


def test_with_crop_examples_lie_on_the_crop_of_their_puzzle() -> None:
    puzzles = [sized("big", 9), sized("small", 3), sized("whole", 12), sized("tiny", 2)]

    dataset = build_dataset(puzzles, 12, NUM_VARIANTS, SEED, crop=True)

    assert [part.canvas for part in dataset.arrays] == [4, 10, 12]
    assert [part.inputs.shape[1] for part in dataset.arrays] == [16, 100, 144]
    assert [[p.name for p in group] for group in dataset.groups] == [
        ["small", "tiny"],
        ["big"],
        ["whole"],
    ]
    rooms = [sorted(set(part.room.ravel().tolist())) for part in dataset.arrays]
    assert rooms == [[1, 2], [1], [0]]
    for part, group in zip(dataset.arrays, dataset.groups, strict=True):
        for number, puzzle in enumerate(group):
            variants = slice(*part.group_starts[number : number + 2])
            names = [dataset.identifiers[row] for row in part.rows[variants]]
            assert {Dialect.HRM.parse(name)[0] for name in names} == {puzzle.name}
            first = part.variant_starts[variants.start]
            assert decoded(part.inputs[first : first + 1]) == [puzzle.train[0].input]


def test_crop_changes_no_row_and_without_it_all_lie_on_the_canvas() -> None:
    puzzles = [sized("big", 9), sized("small", 3)]

    whole = build_dataset(puzzles, 12, NUM_VARIANTS, SEED)
    cropped = build_dataset(puzzles, 12, NUM_VARIANTS, SEED, crop=True)

    assert whole.identifiers == cropped.identifiers
    assert [part.canvas for part in whole.arrays] == [12]
    rows = np.concatenate([part.rows for part in cropped.arrays])
    assert sorted(rows.tolist()) == whole.arrays[0].rows.tolist()


def test_a_crop_has_room_for_the_output_that_the_demonstrations_let_expect() -> None:
    # Outputs are twice the input: of the test input's four cells a side they will be eight.
    puzzle = Puzzle(
        "doubled",
        tuple(
            Pair(sized("", side).train[0].input, sized("", 2 * side).train[0].input)
            for side in (1, 2)
        ),
        (sized("", 4).train[0].input,),
    )

    (arrays,) = build_dataset([puzzle], 12, NUM_VARIANTS, SEED, crop=True).arrays

    assert arrays.canvas == 8


def test_a_symmetric_puzzle_has_the_variants_that_differ() -> None:
    black = Grid.from_rows([[0]])
    puzzle = Puzzle("black", (Pair(black, black),), (black,))

    assert build_dataset([puzzle], CANVAS, 50, SEED).identifiers == (BLANK_NAME, "black")


def test_no_puzzle_is_refused() -> None:
    with pytest.raises(DatasetError, match="no puzzle"):
        build_dataset([], CANVAS, NUM_VARIANTS, SEED)


def test_two_puzzles_of_one_name_are_refused_by_name(puzzles: list[Puzzle]) -> None:
    doubled = [*puzzles, replace(puzzles[0], train=puzzles[1].train)]

    with pytest.raises(DatasetError, match="two puzzles of one name: square"):
        build_dataset(doubled, CANVAS, NUM_VARIANTS, SEED)


@pytest.mark.parametrize(
    ("name", "expected_error"),
    [("x_t3_0123456789", VariantNameError), ("x|||y", DatasetError)],
)
def test_a_name_with_rows_that_could_not_be_found_again_is_refused(
    puzzle_of: Callable[..., Puzzle], name: str, expected_error: type[Exception]
) -> None:
    with pytest.raises(expected_error, match="rename it"):
        build_dataset([puzzle_of(name, 1)], CANVAS, NUM_VARIANTS, SEED)


def test_a_demonstration_larger_than_the_canvas_is_refused(puzzles: list[Puzzle]) -> None:
    with pytest.raises(CanvasError, match="3 x 3"):
        build_dataset(puzzles, 2, NUM_VARIANTS, SEED)


@pytest.mark.parametrize("part", ["input", "output", "test"])
def test_a_puzzle_fits_when_demonstrations_and_test_inputs_do(part: str) -> None:
    small, large = Grid.from_rows([[1]]), Grid.from_rows([[1, 2, 3, 4]])
    grids = {name: large if name == part else small for name in ("input", "output", "test")}
    puzzle = Puzzle("a", (Pair(grids["input"], grids["output"]),), (small, grids["test"]))

    assert puzzle.fits(4)
    assert not puzzle.fits(3)


def decoded(tokens: np.ndarray) -> list[Grid]:
    return [Grid(cells) for cells in decode(tokens) if cells is not None]
