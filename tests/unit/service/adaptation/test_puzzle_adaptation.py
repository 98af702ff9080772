"""From puzzles and a base to an adapted folder: what is held out, refused, written and reported."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from augment import Grid, Pair, Puzzle, Task, draw_variants, encode
from hrm_core import Adaptation, Checkpoint, TrainingError, open_checkpoint
from hrm_core.training.start import mean_row
from service.adaptation.dataset import (
    MAX_CHECKED,
    MAX_CHECKED_VARIANTS,
    HeldOut,
    build_dataset,
    hold_out,
)
from service.adaptation.prepare import (
    AdaptOptions,
    check_budget,
    is_worth_compiling,
    prepare_adaptation,
)
from service.solving.enrolment import RowIndex
from service.solving.records import (
    ADAPTATION_NAME,
    AdaptationRecord,
    Budget,
    read_adaptation,
)
from service.wire.errors import AdaptationError, DatasetError, EnrolmentError, UnknownPuzzle

pytestmark = pytest.mark.usefixtures("one_thread")

CANVAS = 3  # of the tiny checkpoint
OPTIONS = AdaptOptions(steps=6, num_variants=4, batch_size=8)


def grid(*rows: list[int]) -> Grid:
    return Grid.from_rows(list(rows))


def pair(colour: int) -> Pair:
    return Pair(grid([colour, 0]), grid([0, colour]))


def puzzle_with(name: str, *colours: int) -> Puzzle:
    """Make a puzzle with a demonstration of each colour."""
    return Puzzle(name, tuple(map(pair, colours)), (grid([9, 9]),))


@pytest.fixture(scope="module")
def new_puzzle() -> Puzzle:
    """Return a puzzle that the tiny checkpoint has no rows for."""
    return puzzle_with("new", 1, 2, 3)


@pytest.fixture(scope="module")
def base(tiny_folder: Path) -> Checkpoint:
    return open_checkpoint(tiny_folder)


def prepare(
    base: Checkpoint, puzzles: list[Puzzle], folder: Path, options: AdaptOptions = OPTIONS
) -> Adaptation:
    return prepare_adaptation(base, base.config, puzzles, folder, options, device="cpu")


def adapt_to_the_end(adaptation: Adaptation) -> None:
    assert adaptation.adapt(lambda progress: None)


def files_in(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Give the content of every file, and when it was written."""
    return {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.iterdir()}


# What is held out.


@pytest.mark.parametrize(
    ("colours", "num_places"),
    [((1,), 0), ((1, 2), 0), ((1, 1, 1), 0), ((1, 1, 2), 0), ((1, 2, 3), 1), ((1, 2, 3, 1), 1)],
)
def test_a_demonstration_is_held_out_where_three_are_different(
    colours: tuple[int, ...], num_places: int
) -> None:
    assert len(hold_out([puzzle_with("a", *colours)], 0).indices) == num_places


def test_a_demonstration_that_is_there_twice_is_never_held_out() -> None:
    puzzle = puzzle_with("a", 4, 1, 2, 4, 3)
    places = [hold_out([puzzle], seed).indices["a"] for seed in range(50)]
    assert set(places) == {1, 2, 4}
    assert not hold_out([puzzle_with("a", 1, 2, 3, 1, 2, 3)], 0).indices


def test_what_is_held_out_depends_on_seed_and_content_only() -> None:
    puzzles = [puzzle_with(f"p{number}", number, 5, 6, 7, 8) for number in range(5)]
    places = hold_out(puzzles, 3).indices
    assert hold_out(puzzles[::-1], 3).indices == places
    assert hold_out(puzzles[2:3], 3).indices == {"p2": places["p2"]}
    renamed = replace(puzzles[2], name="other", test=(grid([0]),))
    assert hold_out([renamed], 3).indices == {"other": places["p2"]}
    assert any(hold_out(puzzles, seed).indices != places for seed in range(4, 8))
    assert len(set(places.values())) > 1


@pytest.mark.parametrize(
    ("puzzles", "note"),
    [
        (
            [puzzle_with("a", 1)],
            "nothing is held out for checks: that takes three different demonstrations, one of "
            "them given once",
        ),
        (
            [puzzle_with("a", 1, 1, 1), puzzle_with("b", 1, 2)],
            "nothing is held out for checks: that takes three different demonstrations, one of "
            "them given once",
        ),
        (
            [puzzle_with("a", 1, 2, 3), puzzle_with("b", 4, 5, 6)],
            "held out until the last phase: one demonstration each of 2 puzzle(s)",
        ),
        (
            [puzzle_with("a", 1, 2, 3), puzzle_with("b", 1), puzzle_with("c", 1, 2)],
            "held out until the last phase: one demonstration each of 1 puzzle(s); 2 have fewer "
            "than three different ones",
        ),
    ],
)
def test_the_note_says_what_is_held_out(puzzles: list[Puzzle], note: str) -> None:
    assert hold_out(puzzles, 0).note == note


def test_the_held_out_demonstration_is_marked_in_every_variant() -> None:
    puzzles = [
        puzzle_with("a", 1, 2),
        puzzle_with("b", 3, 4, 5, 6),
        puzzle_with("c", 7, 8, 9),
    ]
    dataset = build_dataset(puzzles, CANVAS, 5, seed=2)

    held_out = HeldOut({"b": 2, "c": 0}, "")
    (left_out,), (checked,) = held_out.mark(dataset), held_out.checked(dataset)
    (practised,) = held_out.practised(dataset)

    expected = [
        encode([variant.apply(which.input.cells)], CANVAS)[0]
        for puzzle, which in ((puzzles[1], pair(5)), (puzzles[2], pair(7)))
        for variant in draw_variants(puzzle, 5, 2)
    ]
    assert left_out.sum() == len(expected) == 10
    np.testing.assert_array_equal(dataset.arrays[0].inputs[left_out], expected)
    assert checked.indices.tolist() == np.flatnonzero(left_out).tolist()
    assert list(checked.puzzles) == ["b"] * 5 + ["c"] * 5
    # Of the puzzle with nothing held out, its demonstrations are checked: two in five variants.
    assert practised.indices.tolist() == list(range(10))
    assert list(practised.puzzles) == ["a"] * 10


def test_held_out_demonstrations_are_marked_in_the_arrays_of_their_size() -> None:
    wide = Grid.from_rows([[1, 0, 2, 0, 3]])
    large = Puzzle("large", (*map(pair, (1, 2)), Pair(wide, wide)), (wide,))
    puzzles = [puzzle_with("a", 1, 2, 3), large, puzzle_with("b", 4, 5, 6)]
    dataset = build_dataset(puzzles, 8, 4, seed=2, crop=True)

    held_out = HeldOut({"a": 0, "large": 2, "b": 1}, "")
    left_out, checked = held_out.mark(dataset), held_out.checked(dataset)

    assert [part.canvas for part in dataset.arrays] == [4, 6]
    assert [int(marked.sum()) for marked in left_out] == [8, 4]
    for part, marked, examples in zip(dataset.arrays, left_out, checked, strict=True):
        assert examples.arrays is part
        assert examples.indices.tolist() == np.flatnonzero(marked).tolist()
        assert len(marked) == len(part.inputs)
    np.testing.assert_array_equal(
        dataset.arrays[1].inputs[checked[1].indices[0]], encode([wide], 6)[0]
    )


def test_an_adaptation_of_several_sizes_learns_them_all_and_leaves_a_base_with_crop(
    tmp_path: Path, base: Checkpoint
) -> None:
    config = replace(base.config, seq_len=64, crop=True)
    wide = Grid.from_rows([[1, 0, 2, 0, 3]])
    large = Puzzle("large", (*map(pair, (1, 2)), Pair(wide, wide)), (wide,))
    puzzles = [puzzle_with("a", 1, 2, 3), large]

    adaptation = prepare_adaptation(base, config, puzzles, tmp_path, OPTIONS, device="cpu")
    adapt_to_the_end(adaptation)

    made = open_checkpoint(tmp_path)
    assert made.config.crop
    assert made.config.canvas == 8
    assert [lane.side for lane in adaptation.run.lanes] == [4, 6]
    mean = mean_row(base).numpy()
    rows = made.rows.gather(range(1, made.rows.num_rows))
    assert (rows != mean).any(axis=1).all()
    assert adaptation.held_out_share is not None


def test_no_more_is_looked_at_than_is_worth_its_time() -> None:
    puzzles = [puzzle_with(f"p{number}", number, 7, 8, 9) for number in range(7)]
    for num_puzzles in (1, 7):
        dataset = build_dataset(puzzles[:num_puzzles], CANVAS, 40, seed=0)
        held_out = hold_out(puzzles[:num_puzzles], 0)
        (left_out,) = held_out.mark(dataset)
        checked = held_out.checked(dataset)[0].indices
        assert left_out.sum() == 40 * num_puzzles
        assert len(checked) == min(MAX_CHECKED_VARIANTS, MAX_CHECKED // num_puzzles) * num_puzzles
        assert left_out[checked].all()
        # The untransformed variant of each is among them.
        firsts = dataset.arrays[0].variant_starts[dataset.arrays[0].group_starts]
        assert all(((checked >= a) & (checked < a + 4)).any() for a in firsts[:-1])


def test_where_nothing_is_held_out_nothing_is_marked() -> None:
    dataset = build_dataset([puzzle_with("a", 1, 2, 3)], CANVAS, 5, seed=0)
    (left_out,) = HeldOut.nothing().mark(dataset)
    assert not left_out.any()
    assert HeldOut.nothing().checked(dataset)[0].indices.tolist() == []
    # The demonstrations themselves are checked, in all five variants.
    assert HeldOut.nothing().practised(dataset)[0].indices.tolist() == list(range(15))
    assert HeldOut.nothing().note == "no demonstration is held out, as requested"


@pytest.mark.parametrize(
    ("budget", "num_sizes", "expected"),
    [
        ({"seconds": 300.0}, 1, True),
        ({"seconds": 299.0}, 1, False),
        ({"seconds": 300.0}, 2, False),
        ({"seconds": 600.0}, 2, True),
        ({"steps": 300}, 1, True),
        ({"steps": 899}, 3, False),
        ({"seconds": 299.0, "steps": 300}, 1, False),
    ],
)
def test_a_long_adaptation_of_few_sizes_is_compiled(
    budget: dict[str, Any], num_sizes: int, expected: bool
) -> None:
    assert is_worth_compiling(AdaptOptions(**budget), num_sizes) is expected


# What is refused.


@pytest.mark.parametrize(
    ("seconds", "steps", "problem"),
    [
        (None, None, "needs a budget: give steps, or a time"),
        (0.0, None, "the budget is 0"),
        (None, 0, "the budget is 0"),
        (10.0, 0, "the budget is 0"),
        (-1.0, 5, "the budget is 0"),
    ],
)
def test_a_budget_of_nothing_is_refused(
    base: Checkpoint,
    new_puzzle: Puzzle,
    tmp_path: Path,
    seconds: float | None,
    steps: int | None,
    problem: str,
) -> None:
    options = replace(OPTIONS, seconds=seconds, steps=steps)
    with pytest.raises(AdaptationError, match=problem):
        check_budget(options)
    with pytest.raises(AdaptationError, match=problem):
        prepare(base, [new_puzzle], tmp_path / "out", options)
    assert not (tmp_path / "out").exists()


def test_grids_beyond_the_canvas_are_named_with_their_sizes_and_the_canvas(
    base: Checkpoint, new_puzzle: Puzzle, tmp_path: Path
) -> None:
    wide, tall = grid([1, 2, 3, 4]), grid([1], [2], [3], [4], [5])
    large = Puzzle("large", (pair(1), Pair(grid([1]), wide)), (grid([1]), tall))
    with pytest.raises(AdaptationError) as refused:
        prepare(base, [new_puzzle, large], tmp_path / "out")
    assert str(refused.value) == (
        f"the canvas of {base.folder} is 3 x 3, too small for large: train[1].output is 1 x 4; "
        "large: test[1].input is 5 x 1. Take a base with a larger canvas, or leave these puzzles "
        "out"
    )
    assert not (tmp_path / "out").exists()


def test_of_many_grids_beyond_the_canvas_three_are_named(base: Checkpoint, tmp_path: Path) -> None:
    wide = grid([1, 2, 3, 4])
    puzzles = [Puzzle(name, (Pair(wide, wide),), (wide,)) for name in ("a", "b")]
    with pytest.raises(AdaptationError) as refused:
        prepare(base, puzzles, tmp_path / "out")
    assert "a: test[0].input is 1 x 4, and 3 more. Take" in str(refused.value)
    assert "b:" not in str(refused.value)


@pytest.mark.parametrize("through", ["itself", "a link", "a way round"])
def test_the_base_is_not_adapted_in_place(
    tiny_copy: Path, new_puzzle: Puzzle, tmp_path: Path, through: str
) -> None:
    before = files_in(tiny_copy)
    folder = tiny_copy
    if through == "a link":
        folder = tmp_path / "link"
        folder.symlink_to(tiny_copy)
    if through == "a way round":
        folder = tiny_copy / ".." / tiny_copy.name
    with pytest.raises(AdaptationError, match="is the base, which is never written to"):
        prepare(open_checkpoint(tiny_copy), [new_puzzle], folder)
    assert files_in(tiny_copy) == before


def test_a_folder_that_holds_something_else_is_refused(
    base: Checkpoint, new_puzzle: Puzzle, tiny_copy: Path, tmp_path: Path
) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.txt").write_text("mine", encoding="utf-8")
    for folder in (mine, tiny_copy):  # another trained checkpoint is no adaptation either
        before = files_in(folder)
        with pytest.raises(AdaptationError, match="holds something other than an adaptation"):
            prepare(base, [new_puzzle], folder)
        assert files_in(folder) == before


def test_a_file_in_the_folders_place_is_refused(
    base: Checkpoint, new_puzzle: Puzzle, tmp_path: Path
) -> None:
    path = tmp_path / "file"
    path.write_text("mine", encoding="utf-8")
    with pytest.raises(AdaptationError, match="is a file: give a folder"):
        prepare(base, [new_puzzle], path)
    assert path.read_text(encoding="utf-8") == "mine"


def test_an_empty_folder_or_one_with_only_hidden_files_is_taken(
    base: Checkpoint, new_puzzle: Puzzle, tmp_path: Path
) -> None:
    for name, content in (("empty", None), ("touched", ".used")):
        folder = tmp_path / name
        folder.mkdir()
        if content:
            (folder / content).touch()
        assert prepare(base, [new_puzzle], folder).run.step == 0


def test_a_base_of_another_kind_is_refused(
    checkpoint_of: Callable[..., Checkpoint], new_puzzle: Puzzle, tmp_path: Path
) -> None:
    of_sudoku = checkpoint_of(["<blank>", "a"], vocab_size=11)
    without_rows = checkpoint_of(["<blank>", "a"], row_width=0)
    with pytest.raises(EnrolmentError, match="Sudoku"):
        prepare(of_sudoku, [new_puzzle], tmp_path / "out")
    with pytest.raises(EnrolmentError, match="no table of puzzle rows"):
        prepare(without_rows, [new_puzzle], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_no_puzzle_or_two_of_one_name_are_refused(
    base: Checkpoint, new_puzzle: Puzzle, tmp_path: Path
) -> None:
    with pytest.raises(DatasetError, match="no puzzle"):
        prepare(base, [], tmp_path / "out")
    with pytest.raises(DatasetError, match="two puzzles of one name: new"):
        prepare(base, [new_puzzle, puzzle_with("new", 7)], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_run_begun_with_other_options_or_puzzles_is_refused_and_left_as_it_is(
    base: Checkpoint, new_puzzle: Puzzle, tmp_path: Path
) -> None:
    folder = tmp_path / "out"
    adaptation = prepare(base, [new_puzzle], folder)
    assert not adaptation.adapt(lambda progress: None, lambda: adaptation.run.step == 2)
    before = files_in(folder)
    with pytest.raises(TrainingError, match="other settings"):
        prepare(base, [new_puzzle], folder, replace(OPTIONS, lr=5e-4))
    with pytest.raises(TrainingError, match="other puzzles"):
        prepare(base, [puzzle_with("new", 1, 2, 4)], folder)
    with pytest.raises(TrainingError, match="other puzzles"):
        prepare(base, [new_puzzle], folder, replace(OPTIONS, holds_out=False))
    assert files_in(folder) == before
    assert prepare(base, [new_puzzle], folder).run.step == 2


def test_a_folder_of_another_bases_adaptation_is_refused(
    base: Checkpoint, early_folder: Path, new_puzzle: Puzzle, tmp_path: Path
) -> None:
    folder = tmp_path / "out"
    prepare(open_checkpoint(early_folder), [new_puzzle], folder)
    with pytest.raises(AdaptationError, match=r"an adaptation of another base \(early\)"):
        prepare(base, [new_puzzle], folder)


# What an adaptation leaves.


@pytest.fixture(scope="module")
def adapted(
    base: Checkpoint, new_puzzle: Puzzle, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Path]:
    """Return the folder of an adaptation to one puzzle."""
    folder = tmp_path_factory.mktemp("adapted") / "out"
    before = files_in(base.folder)
    adapt_to_the_end(prepare(base, [new_puzzle], folder))
    assert files_in(base.folder) == before
    yield folder
    assert files_in(base.folder) == before


def test_the_adapted_folder_enrols_its_puzzle_as_adapted(adapted: Path, new_puzzle: Puzzle) -> None:
    row_index = RowIndex(open_checkpoint(adapted))

    puzzle_rows = row_index.find(new_puzzle)

    assert puzzle_rows.kind == "adapted"
    assert puzzle_rows.rows.tolist() == [1, 2, 3, 4]
    assert puzzle_rows.variants == tuple(draw_variants(new_puzzle, 4, OPTIONS.seed))
    assert puzzle_rows.draw(2, 0).kind == "adapted"
    assert row_index.find(replace(new_puzzle, name="upload")).puzzle_name == "new"


def test_the_adapted_folder_refuses_other_puzzles_those_of_its_base_too(
    adapted: Path, base: Checkpoint, constant_tasks: tuple[Task, ...]
) -> None:
    square = constant_tasks[0].puzzle
    assert RowIndex(base).find(square).kind == "trained"
    for puzzle in (square, puzzle_with("new", 1, 2, 4)):
        with pytest.raises(UnknownPuzzle, match="hrm-arc adapt"):
            RowIndex(open_checkpoint(adapted)).find(puzzle)


def test_the_record_says_how_the_folder_was_made(
    adapted: Path, base: Checkpoint, new_puzzle: Puzzle
) -> None:
    record = read_adaptation(adapted)
    assert record is not None
    assert record == AdaptationRecord(
        owner="local",
        base=base.folder.name,
        base_sha256=base.sha256,
        puzzles={"new": new_puzzle.demonstrations_hash},
        variants=4,
        steps=6,
        seconds=record.seconds,
        budget=Budget(seconds=None, steps=6),
        held_out_share=record.held_out_share,
        held_out_by_puzzle={"new": record.held_out_share},
        held_out_note="held out until the last phase: one demonstration each of 1 puzzle(s)",
        stopped_early=False,
        ended_by="budget",
        complete=True,
    )
    assert record.seconds > 0
    assert 0.0 <= (record.held_out_share or 0.0) <= 1.0
    document = json.loads((adapted / ADAPTATION_NAME).read_text(encoding="utf-8"))
    assert document["held_out"] == hold_out([new_puzzle], OPTIONS.seed).indices
    summary = record.summary(is_reused=True)
    assert (summary.base, summary.base_sha256) == (base.folder.name, base.sha256)
    assert (summary.steps, summary.variants, summary.reused) == (6, 4, True)


def test_a_complete_adaptation_is_refused_and_left_as_it_is(
    adapted: Path, base: Checkpoint, new_puzzle: Puzzle
) -> None:
    before = files_in(adapted)
    with pytest.raises(AdaptationError, match=r"an adaptation that is complete \(6 steps"):
        prepare(base, [new_puzzle], adapted)
    assert files_in(adapted) == before


def test_an_adapted_checkpoint_is_a_base_itself(
    adapted: Path, new_puzzle: Puzzle, tmp_path: Path
) -> None:
    before = files_in(adapted)
    folder = tmp_path / "again"
    adapt_to_the_end(prepare(open_checkpoint(adapted), [puzzle_with("next", 4, 5)], folder))
    assert files_in(adapted) == before
    known = RowIndex(open_checkpoint(folder)).puzzle_names
    assert known == ("next",)


@pytest.mark.parametrize("colours", [(1,), (4, 4, 4)])
def test_one_demonstration_or_identical_ones_adapt_with_nothing_held_out(
    base: Checkpoint, tmp_path: Path, colours: tuple[int, ...]
) -> None:
    puzzle = puzzle_with("poor", *colours)
    folder = tmp_path / "out"
    adapt_to_the_end(prepare(base, [puzzle], folder))
    record = read_adaptation(folder)
    assert record is not None
    assert record.complete
    assert record.held_out_share is None
    assert record.held_out_note.startswith("nothing is held out")
    assert RowIndex(open_checkpoint(folder)).find(puzzle).kind == "adapted"


def test_several_puzzles_are_adapted_to_together(
    base: Checkpoint, new_puzzle: Puzzle, tmp_path: Path
) -> None:
    folder = tmp_path / "out"
    puzzles = [new_puzzle, puzzle_with("other", 5, 6)]
    adapt_to_the_end(prepare(base, puzzles, folder, replace(OPTIONS, steps=3)))
    row_index = RowIndex(open_checkpoint(folder))
    assert [row_index.find(puzzle).rows.tolist() for puzzle in puzzles] == [
        [1, 2, 3, 4],
        [5, 6, 7, 8],
    ]
    assert row_index.adaptation is not None
    assert list(row_index.adaptation.puzzles) == ["new", "other"]


def test_rows_only_leaves_the_trunk_as_the_base_has_it(
    base: Checkpoint, new_puzzle: Puzzle, tmp_path: Path
) -> None:
    folder = tmp_path / "out"
    adapt_to_the_end(prepare(base, [new_puzzle], folder, replace(OPTIONS, rows_only=True)))
    adapted = open_checkpoint(folder)
    for name, value in base.trunk.items():
        assert torch.equal(adapted.trunk[name], value), name
    assert len(np.unique(adapted.rows.gather(range(1, 5)), axis=0)) > 1


def test_without_a_base_the_weights_are_random_and_the_record_says_so(
    base: Checkpoint, new_puzzle: Puzzle, tmp_path: Path
) -> None:
    folder = tmp_path / "out"
    adaptation = prepare_adaptation(None, base.config, [new_puzzle], folder, OPTIONS, device="cpu")
    trunk = adaptation.run.network.state_dict()
    assert not any(
        torch.equal(trunk[name], value) for name, value in base.trunk.items() if "layers" in name
    )
    record = read_adaptation(folder)
    assert record is not None
    assert record.base is record.base_sha256 is None
    assert record.summary(is_reused=False).base == "random weights"
    with pytest.raises(AdaptationError, match="another base"):
        prepare(base, [new_puzzle], folder)


def test_what_was_begun_and_killed_before_its_first_snapshot_starts_over(
    base: Checkpoint, new_puzzle: Puzzle, tmp_path: Path
) -> None:
    folder = tmp_path / "out"
    next(prepare(base, [new_puzzle], folder).turns())
    record = read_adaptation(folder)
    assert record is not None
    assert not record.complete
    again = prepare(base, [new_puzzle], folder)
    assert again.run.step == 0
    adapt_to_the_end(again)


# The record.


@pytest.fixture
def document(adapted: Path) -> dict[str, Any]:
    """Return a good record's JSON, to be spoilt."""
    found: dict[str, Any] = json.loads((adapted / ADAPTATION_NAME).read_text(encoding="utf-8"))
    return found


@pytest.mark.parametrize(
    ("had", "wanted", "is_covered"),
    [
        ((60.0, None), (60.0, None), True),
        ((60.0, None), (59.0, None), True),
        ((60.0, None), (61.0, None), False),
        ((None, 100), (None, 100), True),
        ((None, 100), (None, 101), False),
        # Whichever of both ends first.
        ((60.0, None), (60.0, 1000), True),
        ((60.0, None), (None, 1), False),
        ((60.0, 100), (60.0, 100), True),
        ((60.0, 100), (60.0, None), False),
        ((60.0, 100), (60.0, 101), False),
        ((60.0, 100), (61.0, 100), False),
    ],
)
def test_a_record_covers_budgets_that_would_bring_no_more(
    adapted: Path,
    had: tuple[float | None, int | None],
    wanted: tuple[float | None, int | None],
    is_covered: bool,
) -> None:
    found = read_adaptation(adapted)
    assert found is not None
    budget = Budget(seconds=had[0], steps=had[1])
    record = found.model_copy(update={"budget": budget})
    assert record.covers(*wanted) == is_covered
    # What stopped by itself would do so again.
    assert record.model_copy(update={"stopped_early": True}).covers(*wanted)


def test_a_folder_without_a_record_is_no_adaptation(tiny_folder: Path) -> None:
    assert read_adaptation(tiny_folder) is None
    assert RowIndex(open_checkpoint(tiny_folder)).adaptation is None


@pytest.mark.parametrize(
    "spoil",
    [
        lambda document: b"{",
        lambda document: b"\xff\xfe",
        lambda document: b"[" * 100_000,
        lambda document: b"[]",
        lambda document: b"null",
        lambda document: document | {"puzzles": ["new"]},
        lambda document: document | {"budget": None},
        lambda document: document | {"steps": "many"},
        lambda document: document | {"seconds": None},
        lambda document: {k: v for k, v in document.items() if k != "complete"},
        lambda document: {k: v for k, v in document.items() if k != "base_sha256"},
    ],
)
def test_a_damaged_record_is_refused_naming_the_file_and_a_hint(
    document: dict[str, Any],
    base: Checkpoint,
    new_puzzle: Puzzle,
    tmp_path: Path,
    spoil: Callable[[dict[str, Any]], bytes | dict[str, Any]],
) -> None:
    spoilt = spoil(document)
    content = spoilt if isinstance(spoilt, bytes) else json.dumps(spoilt).encode()
    (tmp_path / ADAPTATION_NAME).write_bytes(content)
    with pytest.raises(AdaptationError, match=r"adaptation\.json is damaged .* adapt again"):
        read_adaptation(tmp_path)
    with pytest.raises(AdaptationError, match=r"adaptation\.json is damaged"):
        prepare(base, [new_puzzle], tmp_path)
