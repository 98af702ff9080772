"""Enrolment: a puzzle is known by its demonstrations, and only trained rows serve it."""

import itertools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from augment import BLANK_NAME, IDENTITY, Dialect, Puzzle, Variant
from hrm_core import Checkpoint, open_checkpoint
from hrm_core.model.config import Architecture
from service.solving.enrolment import PuzzleRows, RowIndex
from service.wire.errors import EnrolmentError, PuzzleIndexError, UnknownPuzzle

CheckpointOf = Callable[..., Checkpoint]
PuzzleOf = Callable[..., Puzzle]

MIRRORED = Variant(4, (0, 2, 1, 3, 4, 5, 6, 7, 8, 9))
TURNED = Variant(1, (0, 9, 8, 7, 6, 5, 4, 3, 2, 1))


@pytest.mark.parametrize("dialect", list(Dialect))
def test_a_puzzle_gets_its_rows_with_their_variants(
    checkpoint_of: CheckpointOf, puzzle_of: PuzzleOf, dialect: Dialect
) -> None:
    other, mine = puzzle_of("other", 1), puzzle_of("mine", 2, 4)
    named = [(other, IDENTITY), (mine, IDENTITY), (other, TURNED), (mine, TURNED), (mine, MIRRORED)]
    names = [BLANK_NAME, *(dialect.name(puzzle.name, variant) for puzzle, variant in named)]

    puzzle_rows = RowIndex(checkpoint_of(names, [other, mine])).find(mine)

    assert puzzle_rows.puzzle_name == "mine"
    assert puzzle_rows.kind == "trained"
    assert puzzle_rows.rows.tolist() == [2, 4, 5]
    assert puzzle_rows.variants == (IDENTITY, TURNED, MIRRORED)


def test_the_untransformed_variant_comes_first_wherever_its_row_is(
    checkpoint_of: CheckpointOf, puzzle_of: PuzzleOf
) -> None:
    puzzle = puzzle_of("mine", 1)
    names = [BLANK_NAME, Dialect.HRM.name("mine", TURNED), "mine"]

    puzzle_rows = RowIndex(checkpoint_of(names, [puzzle])).find(puzzle)

    assert puzzle_rows.rows.tolist() == [2, 1]
    assert puzzle_rows.variants == (IDENTITY, TURNED)


@pytest.mark.parametrize(("name", "row"), [("a", 1), ("b", 2)])
def test_of_two_names_with_the_same_demonstrations_the_given_one_decides(
    checkpoint_of: CheckpointOf, puzzle_of: PuzzleOf, name: str, row: int
) -> None:
    known = [puzzle_of("a", 1), puzzle_of("b", 1)]
    row_index = RowIndex(checkpoint_of([BLANK_NAME, "a", "b"], known))

    puzzle_rows = row_index.find(puzzle_of(name, 1))

    assert (puzzle_rows.puzzle_name, puzzle_rows.rows.tolist()) == (name, [row])


def test_known_demonstrations_enrol_under_another_name(
    checkpoint_of: CheckpointOf, puzzle_of: PuzzleOf
) -> None:
    known = [puzzle_of("a", 1), puzzle_of("b", 2), puzzle_of("c", 2)]
    row_index = RowIndex(checkpoint_of([BLANK_NAME, "a", "b", "c"], known))

    assert row_index.find(puzzle_of("upload", 2)).puzzle_name == "b"


def test_known_demonstrations_enrol_under_a_name_that_is_another_puzzles(
    checkpoint_of: CheckpointOf, puzzle_of: PuzzleOf
) -> None:
    known = [puzzle_of("a", 1), puzzle_of("b", 2)]
    row_index = RowIndex(checkpoint_of([BLANK_NAME, "a", "b"], known))

    assert row_index.find(puzzle_of("a", 2)).puzzle_name == "b"


def test_the_order_of_demonstrations_does_not_matter(
    checkpoint_of: CheckpointOf, puzzle_of: PuzzleOf
) -> None:
    row_index = RowIndex(checkpoint_of([BLANK_NAME, "a"], [puzzle_of("a", 1, 2, 3)]))

    assert row_index.find(puzzle_of("a", 3, 1, 2)).rows.tolist() == [1]


def test_other_test_inputs_do_not_matter(checkpoint_of: CheckpointOf, puzzle_of: PuzzleOf) -> None:
    puzzle = puzzle_of("a", 1)
    row_index = RowIndex(checkpoint_of([BLANK_NAME, "a"], [puzzle]))

    assert row_index.find(replace(puzzle, test=(puzzle.train[0].input,))).rows.tolist() == [1]


def test_a_known_name_with_other_demonstrations_is_refused_and_said(
    checkpoint_of: CheckpointOf, puzzle_of: PuzzleOf
) -> None:
    row_index = RowIndex(checkpoint_of([BLANK_NAME, "a"], [puzzle_of("a", 1)]))

    with pytest.raises(UnknownPuzzle, match="one of that name, but with other demonstrations"):
        row_index.find(puzzle_of("a", 2))


def test_an_unknown_puzzle_is_refused_with_what_it_needs(
    checkpoint_of: CheckpointOf, puzzle_of: PuzzleOf
) -> None:
    known = [puzzle_of("a", 1), puzzle_of("b", 2)]
    row_index = RowIndex(checkpoint_of([BLANK_NAME, "a", "b"], known))

    with pytest.raises(UnknownPuzzle, match=r"It knows 2 puzzles; .* needs adaptation") as caught:
        row_index.find(puzzle_of("new", 3))
    assert "other demonstrations" not in str(caught.value)


def test_a_name_in_the_list_does_not_suffice_and_enrols_nothing(
    checkpoint_of: CheckpointOf, puzzle_of: PuzzleOf
) -> None:
    row_index = RowIndex(checkpoint_of([BLANK_NAME, "a"], []))

    with pytest.raises(UnknownPuzzle):
        row_index.find(puzzle_of("a", 1))


@pytest.mark.parametrize("dialect", list(Dialect))
def test_a_name_that_begins_like_another_is_not_confused_with_it(
    checkpoint_of: CheckpointOf, puzzle_of: PuzzleOf, dialect: Dialect
) -> None:
    short, long = puzzle_of("abc", 1), puzzle_of("abc_1", 2)
    named = [(long, IDENTITY), (short, IDENTITY), (long, TURNED), (short, MIRRORED)]
    names = [BLANK_NAME, *(dialect.name(puzzle.name, variant) for puzzle, variant in named)]
    row_index = RowIndex(checkpoint_of(names, [short, long]))

    assert row_index.find(short).rows.tolist() == [2, 4]
    assert row_index.find(long).rows.tolist() == [1, 3]


def test_the_blank_row_serves_no_puzzle_whatever_it_is_called(
    checkpoint_of: CheckpointOf, puzzle_of: PuzzleOf
) -> None:
    puzzle = puzzle_of("a", 1)
    row_index = RowIndex(checkpoint_of(["a", Dialect.HRM.name("a", TURNED), "b"], [puzzle]))

    assert row_index.find(puzzle).rows.tolist() == [1]
    assert row_index.puzzle_names == ("a", "b")


def test_a_known_puzzle_without_any_row_is_refused(
    checkpoint_of: CheckpointOf, puzzle_of: PuzzleOf
) -> None:
    row_index = RowIndex(checkpoint_of([BLANK_NAME, "b"], [puzzle_of("a", 1)]))

    with pytest.raises(EnrolmentError, match=r"identifiers\.json has no row of that name"):
        row_index.find(puzzle_of("a", 1))


def test_a_checkpoint_without_an_index_is_refused_with_the_command_that_writes_it(
    checkpoint_of: CheckpointOf, puzzle_of: PuzzleOf
) -> None:
    row_index = RowIndex(checkpoint_of([BLANK_NAME, "a"]))

    with pytest.raises(EnrolmentError, match=r"no puzzles\.json.*`hrm-arc index .* --tasks"):
        row_index.find(puzzle_of("a", 1))


def test_a_damaged_index_is_no_missing_one(
    checkpoint_of: CheckpointOf, puzzle_of: PuzzleOf, tmp_path: Path
) -> None:
    row_index = RowIndex(checkpoint_of([BLANK_NAME, "a"], [puzzle_of("a", 1)]))
    (tmp_path / "puzzles.json").write_text("{", encoding="utf-8")

    with pytest.raises(PuzzleIndexError):
        row_index.find(puzzle_of("a", 1))


@pytest.mark.parametrize(
    ("architecture", "option"), [("hrm", "--replay-hrm DATA"), ("trm", "--replay-trm PREFIX")]
)
def test_a_checkpoint_without_names_is_refused_with_the_way_to_get_them(
    checkpoint_of: CheckpointOf, puzzle_of: PuzzleOf, architecture: Architecture, option: str
) -> None:
    checkpoint = checkpoint_of(None, [puzzle_of("a", 1)])
    config = replace(checkpoint.config, architecture=architecture)
    row_index = RowIndex(replace(checkpoint, config=config))

    with pytest.raises(EnrolmentError, match=rf"no identifiers\.json.*{option}"):
        row_index.find(puzzle_of("a", 1))


def test_a_checkpoint_without_a_table_is_refused(
    checkpoint_of: CheckpointOf, puzzle_of: PuzzleOf
) -> None:
    row_index = RowIndex(checkpoint_of(None, [puzzle_of("a", 1)], row_width=0))

    with pytest.raises(EnrolmentError, match="no table of puzzle rows"):
        row_index.find(puzzle_of("a", 1))


@pytest.mark.parametrize("name", ["trm-mlp", "hrm-learned-wide-emb"])
def test_a_sudoku_checkpoint_answers_no_arc_puzzle(
    golden_folder: Path, puzzle_of: PuzzleOf, name: str
) -> None:
    row_index = RowIndex(open_checkpoint(golden_folder / name))

    with pytest.raises(EnrolmentError, match="answers Sudoku puzzles"):
        row_index.find(puzzle_of("a", 1))


@pytest.mark.parametrize(
    ("vocab_size", "words"), [(6, "answers maze puzzles"), (20, "vocabulary of 20, which no kind")]
)
def test_a_checkpoint_of_another_vocabulary_is_reported(
    checkpoint_of: CheckpointOf, puzzle_of: PuzzleOf, vocab_size: int, words: str
) -> None:
    checkpoint = checkpoint_of([BLANK_NAME, "a"], [puzzle_of("a", 1)], vocab_size=vocab_size)

    with pytest.raises(EnrolmentError, match=words):
        RowIndex(checkpoint).find(puzzle_of("a", 1))


def puzzle_rows_of(num_variants: int) -> PuzzleRows:
    palettes = [(0, *range(1 + turn, 10), *range(1, 1 + turn)) for turn in range(num_variants)]
    variants = tuple(Variant(0, palette) for palette in palettes)
    return PuzzleRows("a", variants, np.arange(10, 10 + num_variants))


def test_a_draw_keeps_the_untransformed_variant_and_each_variants_row() -> None:
    everything = puzzle_rows_of(9)
    row_of = dict(zip(everything.variants, everything.rows.tolist(), strict=True))

    for seed in range(5):
        drawn = everything.draw(4, seed)
        assert drawn.variants[0] == IDENTITY
        assert len(set(drawn.variants)) == 4
        assert drawn.rows.tolist() == [row_of[variant] for variant in drawn.variants]


def test_a_draw_depends_on_its_seed_only() -> None:
    draws = [puzzle_rows_of(9).draw(4, seed).variants for seed in (0, 0, 1, 2, 3)]

    assert draws[0] == draws[1]
    assert len(set(draws)) > 1


def test_every_variant_can_be_drawn() -> None:
    drawn = {v for seed in range(40) for v in puzzle_rows_of(9).draw(4, seed).variants}

    assert len(drawn) == 9


@pytest.mark.parametrize("num_variants", [None, 9, 1000])
def test_a_draw_has_at_most_all_variants(num_variants: int | None) -> None:
    drawn = puzzle_rows_of(9).draw(num_variants, seed=1)

    assert drawn.variants == puzzle_rows_of(9).variants
    assert drawn.rows.tolist() == puzzle_rows_of(9).rows.tolist()


def test_a_draw_of_one_is_the_untransformed_variant() -> None:
    drawn = puzzle_rows_of(9).draw(1, seed=1)

    assert (drawn.variants, drawn.rows.tolist()) == ((IDENTITY,), [10])


@pytest.mark.parametrize("stops", [(1, 9), (1, 2, 9), (4, 5, 1000), (3, None)])
def test_further_draws_have_what_a_longer_draw_has_and_a_shorter_one_has_not(
    stops: tuple[int | None, ...],
) -> None:
    everything, seen = puzzle_rows_of(9), set()
    row_of = dict(zip(everything.variants, everything.rows.tolist(), strict=True))
    for start, stop in itertools.pairwise((0, *stops)):
        part = everything.draw_more(start or 0, stop, seed=2)
        assert seen.isdisjoint(part.variants)
        assert part.rows.tolist() == [row_of[variant] for variant in part.variants]
        seen |= set(part.variants)
        assert seen == set(everything.draw(stop, seed=2).variants)


def test_after_the_last_variant_there_is_none() -> None:
    assert puzzle_rows_of(3).draw_more(3, None, seed=0).variants == ()


def test_rows_cannot_be_written_to() -> None:
    with pytest.raises(ValueError, match="read-only"):
        puzzle_rows_of(3).rows[0] = 0
