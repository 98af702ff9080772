"""Adaptation to the puzzles of a file that nobody knows."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import pytest

from augment import Task, parse_task
from hrm_core import open_checkpoint
from service.adaptation.prepare import AdaptOptions
from service.runtime.devices import EngineOptions
from service.solving.enrolment import RowIndex
from service.solving.records import read_adaptation
from service.submission.adapting import (
    adapt_checkpoint,
    choose_base,
    choose_puzzles,
    remove_adaptation,
)
from service.submission.challenges import challenges_of
from service.submission.files import Journal, SubmissionFile
from service.submission.run import Clock, Run
from service.wire.errors import AdaptationError
from voting import Ranking

pytestmark = pytest.mark.usefixtures("one_thread")

OPTIONS = AdaptOptions(steps=2, num_variants=2, batch_size=4, holds_out=False)


def task_of(name: str, colour: int, side: int = 2) -> Task:
    """Return a task that nobody has trained on, with grids so large."""
    rows = [[colour] * side] * side
    document: dict[str, Any] = {
        "train": [{"input": rows, "output": rows}],
        "test": [{"input": rows}],
    }
    return parse_task(document, name)


def run_of(tasks: Sequence[Task], folder: Path) -> Run:
    """Return a run over tasks, whose files are beside a folder."""
    challenges = challenges_of(tasks)
    with Journal(folder.with_name("journal.jsonl"), {}, is_fresh=True) as journal:
        output = SubmissionFile(folder.with_name("submission.json"), challenges)
        return Run(challenges, journal, output, Clock(None), Ranking.COUNT)


def adapt(
    row_index: RowIndex,
    tasks: Sequence[Task],
    folder: Path,
    mode: Literal["auto", "always"] = "auto",
    should_stop: Callable[[], bool] = lambda: False,
) -> Path | None:
    puzzles, _ = choose_puzzles(
        run_of(tasks, folder),
        [row_index],
        canvas=row_index.checkpoint.config.canvas,
        is_all=mode == "always",
    )
    return adapt_checkpoint(
        row_index.checkpoint,
        puzzles,
        folder,
        OPTIONS,
        EngineOptions("cpu"),
        lambda _: None,
        should_stop,
    )


def test_only_puzzles_without_rows_that_fit_are_adapted_to(
    tiny_row_index: RowIndex, constant_tasks: tuple[Task, ...], tmp_path: Path
) -> None:
    folder = tmp_path / "adapted"
    tasks = [*constant_tasks, task_of("new", 5), task_of("large", 6, side=9)]

    assert adapt(tiny_row_index, tasks, folder) == folder

    record = read_adaptation(folder)
    assert record is not None
    assert list(record.puzzles) == ["new"]
    assert record.complete


def test_unknown_puzzles_beyond_the_canvas_are_refused_before_the_adaptation(
    tiny_row_index: RowIndex, constant_tasks: tuple[Task, ...], tmp_path: Path
) -> None:
    run = run_of([*constant_tasks, task_of("large", 6, side=9)], tmp_path / "adapted")

    assert choose_puzzles(run, [tiny_row_index], canvas=3, is_all=False) == ([], 1)

    assert {name: one.code for name, one in run.refusals.items()} == {"large": "canvas_exceeded"}


def test_the_base_of_a_file_is_the_best_of_those_that_most_unknown_puzzles_fit(
    tiny_row_index: RowIndex, small_folder: Path, tmp_path: Path
) -> None:
    small = RowIndex(open_checkpoint(small_folder))
    run = run_of([task_of("small", 5), task_of("large", 6, side=5)], tmp_path / "adapted")
    assert choose_base(run, [tiny_row_index, small]) is small
    assert choose_base(run, [tiny_row_index]) is tiny_row_index


def test_where_all_are_known_nothing_is_made(
    tiny_row_index: RowIndex, constant_tasks: tuple[Task, ...], tmp_path: Path
) -> None:
    assert adapt(tiny_row_index, constant_tasks, tmp_path / "adapted") is None
    assert not (tmp_path / "adapted").exists()


def test_always_adapts_to_known_ones_too(
    tiny_row_index: RowIndex, constant_tasks: tuple[Task, ...], tmp_path: Path
) -> None:
    folder = tmp_path / "adapted"
    adapt(tiny_row_index, constant_tasks[:2], folder, "always")

    record = read_adaptation(folder)
    assert record is not None
    assert set(record.puzzles) == {task.puzzle.name for task in constant_tasks[:2]}


def test_one_that_was_stopped_goes_on_and_a_complete_one_is_taken_as_it_is(
    tiny_row_index: RowIndex, tmp_path: Path
) -> None:
    folder, tasks = tmp_path / "adapted", [task_of("new", 5)]

    assert adapt(tiny_row_index, tasks, folder, should_stop=lambda: True) is None
    assert adapt(tiny_row_index, tasks, folder) == folder
    made_at = (folder / "adaptation.json").stat().st_mtime_ns
    assert adapt(tiny_row_index, tasks, folder) == folder
    assert (folder / "adaptation.json").stat().st_mtime_ns == made_at


def test_an_adaptation_to_other_puzzles_is_not_taken_for_one_to_these(
    tiny_row_index: RowIndex, tmp_path: Path
) -> None:
    folder = tmp_path / "adapted"
    adapt(tiny_row_index, [task_of("new", 5)], folder)

    with pytest.raises(AdaptationError, match="to other puzzles: start over with --fresh"):
        adapt(tiny_row_index, [task_of("other", 7)], folder)
    remove_adaptation(folder)
    assert adapt(tiny_row_index, [task_of("other", 7)], folder) == folder


def test_a_folder_that_holds_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine", encoding="utf-8")

    remove_adaptation(tmp_path)
    remove_adaptation(tmp_path / "none")

    assert (tmp_path / "mine").read_text(encoding="utf-8") == "mine"
