"""Puzzles that are adapted to together: their budget, their names, and how they are found again."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from augment import Dialect, Grid, Pair, Puzzle
from hrm_core import open_checkpoint
from service.adaptation.cache import AdaptationKey, AdaptedCache
from service.adaptation.prepare import AdaptOptions, prepare_adaptation
from service.solving.enrolment import RowIndex
from service.solving.records import MAX_PROBES, PUZZLES_NAME, Budget
from service.worker.adaptation_queue import MAX_TOGETHER, budget_together, puzzles_of
from service.worker.adaptation_task import unite

pytestmark = pytest.mark.usefixtures("one_thread")

OPTIONS = AdaptOptions(steps=4, num_variants=2, batch_size=4)


def puzzle_with(name: str, *colours: int) -> Puzzle:
    """Make a puzzle with a demonstration of each colour."""
    grids = [(Grid.from_rows([[one, 0]]), Grid.from_rows([[0, one]])) for one in colours]
    return Puzzle(name, tuple(Pair(*pair) for pair in grids), (Grid.from_rows([[9, 9]]),))


@pytest.mark.parametrize(
    ("asked", "num_puzzles", "max_s", "expected"),
    [
        ((120.0, None), 1, 600.0, (120.0, None)),
        ((120.0, None), 4, 600.0, (240.0, None)),
        ((120.0, None), 16, 600.0, (480.0, None)),
        ((120.0, None), 16, 300.0, (300.0, None)),
        ((120.0, None), 16, None, (480.0, None)),
        # What was asked for one is never cut: the limit was another when it was queued.
        ((120.0, None), 4, 60.0, (120.0, None)),
        ((None, 100), 2, 600.0, (None, 142)),
        ((60.0, 100), 9, 100.0, (100.0, 300)),
    ],
)
def test_the_budget_grows_with_the_root_of_the_number_up_to_the_limit(
    asked: tuple[float | None, int | None],
    num_puzzles: int,
    max_s: float | None,
    expected: tuple[float | None, int | None],
) -> None:
    budget = budget_together(Budget(seconds=asked[0], steps=asked[1]), num_puzzles, max_s)
    assert (budget.seconds, budget.steps) == expected


def test_a_puzzle_alone_keeps_its_name_whatever_it_is() -> None:
    for name in ("a", "a_t0_0123456789", "a|||t0|||0123456789"):
        assert unite([puzzle_with(name, 1)]) == (puzzle_with(name, 1),)


def test_puzzles_are_united_once_each_in_one_order() -> None:
    puzzles = [puzzle_with(f"p{colour}", colour) for colour in range(1, 7)]
    again = replace(puzzles[2], name="another upload of it")
    united = unite([*puzzles, again])
    assert unite(reversed(puzzles)) == united
    assert sorted(puzzle.name for puzzle in united) == [puzzle.name for puzzle in puzzles]


def test_names_that_would_be_mistaken_for_others_are_replaced() -> None:
    puzzles = [
        puzzle_with("same", 1),
        puzzle_with("same", 2),
        puzzle_with("plain", 3),
        puzzle_with("plain_t0_0123456789", 4),  # reads as a variant of the one before
        puzzle_with("a|||t0|||0123456789", 5),
    ]
    united = {puzzle.demonstrations_hash: puzzle.name for puzzle in unite(puzzles)}
    assert united[puzzles[2].demonstrations_hash] == "plain"
    for puzzle in (*puzzles[:2], *puzzles[3:]):
        digest = puzzle.demonstrations_hash
        assert united[digest] == f"puzzle-{digest[:16]}"
        assert Dialect.HRM.puzzle_of(united[digest]) == united[digest]


def test_each_of_them_has_its_own_rows(tiny_folder: Path, tmp_path: Path) -> None:
    base = open_checkpoint(tiny_folder)
    puzzles = [puzzle_with("same", 1), puzzle_with("same", 2), puzzle_with("same_t0_0123456789", 3)]
    adaptation = prepare_adaptation(
        base, base.config, unite(puzzles), tmp_path / "out", OPTIONS, device="cpu"
    )
    assert adaptation.adapt(lambda progress: None)
    row_index = RowIndex(open_checkpoint(tmp_path / "out"))
    rows = [row for puzzle in puzzles for row in row_index.find(puzzle).rows.tolist()]
    assert sorted(rows) == [1, 2, 3, 4, 5, 6]


KEY = AdaptationKey(
    owner="anna",
    base_sha256="",
    demonstrations_hash="",
    num_variants=OPTIONS.num_variants,
    seconds=None,
    steps=OPTIONS.steps,
)


@pytest.fixture
def begun(tiny_folder: Path, tmp_path: Path) -> tuple[AdaptedCache, list[Puzzle], AdaptationKey]:
    """Return a cache with an adaptation to two puzzles that was interrupted."""
    base = open_checkpoint(tiny_folder)
    puzzles = [puzzle_with("same", 1, 2), puzzle_with("same", 3, 4, 5)]
    adaptation = prepare_adaptation(
        base,
        base.config,
        unite(puzzles),
        tmp_path / "cache" / "entry",
        replace(OPTIONS, steps=6),
        device="cpu",
        owner="anna",
        budget_each=Budget(seconds=None, steps=OPTIONS.steps),
    )
    adaptation.adapt(lambda progress: None, lambda: adaptation.run.step == 2)
    return AdaptedCache(tmp_path / "cache", 10**9), puzzles, replace(KEY, base_sha256=base.sha256)


def test_an_interrupted_adaptation_is_found_by_each_of_its_puzzles(begun: Any) -> None:
    cache, puzzles, key = begun
    for puzzle in puzzles:
        own = replace(key, demonstrations_hash=puzzle.demonstrations_hash)
        (entry,) = cache.find_begun(own)
        # In another order, under another name: what was trained is what counts.
        upload = replace(puzzle, name="upload", train=puzzle.train[::-1])
        assert puzzles_of(entry, upload) == unite(puzzles)
        assert cache.find(own) is None
        for other in (
            replace(own, owner="ben"),
            replace(own, steps=6),
            replace(own, num_variants=3),
            replace(own, base_sha256="c" * 64),
            replace(own, demonstrations_hash="d" * 64),
        ):
            assert cache.find_begun(other) == ()


def test_without_its_puzzles_an_interrupted_adaptation_cannot_go_on(begun: Any) -> None:
    cache, puzzles, key = begun
    (entry,) = cache.find_begun(replace(key, demonstrations_hash=puzzles[0].demonstrations_hash))
    (entry.folder / PUZZLES_NAME).write_text("{", encoding="utf-8")
    assert puzzles_of(entry, puzzles[0]) is None
    (entry.folder / PUZZLES_NAME).unlink()
    assert puzzles_of(entry, puzzles[0]) is None


def test_a_complete_adaptation_serves_jobs_that_asked_for_no_more_for_each(
    begun: Any, tiny_folder: Path
) -> None:
    cache, puzzles, key = begun
    own = replace(key, demonstrations_hash=puzzles[1].demonstrations_hash)
    (entry,) = cache.find_begun(own)
    base = open_checkpoint(tiny_folder)
    adaptation = prepare_adaptation(
        base,
        base.config,
        unite(puzzles),
        entry.folder,
        replace(OPTIONS, steps=6),
        device="cpu",
        owner="anna",
        budget_each=Budget(seconds=None, steps=OPTIONS.steps),
    )
    assert adaptation.adapt(lambda progress: None)
    found = cache.find(own)
    assert found is not None
    assert found.id == "entry"
    assert cache.find(replace(own, steps=3)) is not None
    assert cache.find(replace(own, steps=5)) is None  # though six steps were trained, of all
    assert cache.find_begun(own) == ()
    summary = found.record.summary(
        is_reused=True, demonstrations_hash=puzzles[1].demonstrations_hash
    )
    assert summary.puzzles == found.described().puzzles == 2
    # Of the other puzzle nothing was held out.
    assert summary.held_out_share == found.record.held_out_share is not None
    other = found.record.summary(is_reused=True, demonstrations_hash=puzzles[0].demonstrations_hash)
    assert other.held_out_share is None


def test_a_folder_has_all_puzzles_that_may_be_adapted_to_together() -> None:
    assert MAX_TOGETHER <= MAX_PROBES
