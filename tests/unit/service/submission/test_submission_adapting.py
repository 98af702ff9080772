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
    adapt_options,
    choose_base,
    choose_puzzles,
    remove_adaptation,
    training_end_s,
)
from service.submission.challenges import challenges_of
from service.submission.files import Journal, Paths, SubmissionFile
from service.submission.run import Clock, Run
from service.submission.session import SubmitConfig
from service.wire.errors import AdaptationError
from service.wire.options import SolveOptions
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


def config_in(folder: Path, options: dict[str, Any] | None = None, **of: Any) -> SubmitConfig:
    return SubmitConfig(Paths.of(folder / "s.json"), (), SolveOptions(**options or {}), **of)


def test_an_adaptation_has_the_recipe_s_values_within_the_time_of_the_run(tmp_path: Path) -> None:
    puzzles = [task_of("new", 5).puzzle] * 3

    quick = adapt_options(config_in(tmp_path), puzzles)
    assert (quick.recipe, quick.seconds, quick.num_variants) == ("quick", 600.0, 64)
    half = adapt_options(config_in(tmp_path, minutes=30.0), puzzles)
    assert half.seconds == 900.0
    recipe = adapt_options(config_in(tmp_path, minutes=660.0, recipe="nvarc-4h"), puzzles)
    assert (recipe.seconds, recipe.num_variants, recipe.steps) == (14400.0, 128, 94)
    short = adapt_options(config_in(tmp_path, minutes=30.0, recipe="nvarc-4h"), puzzles)
    assert short.seconds == 900.0
    whole = adapt_options(config_in(tmp_path, recipe="trelis"), puzzles)
    assert (whole.seconds, whole.steps) == (None, 12500)
    given = {"adapt_s": 7.0, "adapt_steps": 3, "adapt_variants": 5, "seed": 2}
    mine = adapt_options(config_in(tmp_path, given, minutes=30.0, recipe="trelis"), puzzles)
    assert (mine.seconds, mine.steps, mine.num_variants, mine.seed) == (7.0, 3, 5, 2)


@pytest.mark.parametrize(
    ("trained_s", "left_s", "vote_s", "expected"),
    [
        (0.0, 1000.0, None, 500.0),  # nothing is measured yet: half of the time
        (100.0, 850.0, 200.0, 750.0),  # what the votes take is left to them
        (100.0, 850.0, 1.0, 900.0),  # but a twentieth at least
        (100.0, 850.0, 9000.0, 450.0),  # and half at most
        (100.0, 300.0, 9000.0, 100.0),  # it ends now
    ],
)
def test_training_ends_when_the_votes_need_the_rest_of_the_time(
    trained_s: float, left_s: float, vote_s: float | None, expected: float
) -> None:
    assert training_end_s(trained_s, left_s, 1000.0, vote_s) == pytest.approx(expected)


def test_a_slower_machine_trains_less_and_still_votes() -> None:
    """A simulated run of 1,000 s, planned at one step a second, on machines of other speeds."""
    for step_s in (0.5, 1.0, 1.33, 4.0):
        now, trained_s = 0.0, 0.0
        while trained_s < training_end_s(trained_s, 1000.0 - now, 1000.0, 100 * step_s):
            now += 1.1 * step_s  # with what is not training, such as snapshots
            trained_s += step_s
        left = 1000.0 - now
        assert 100 * step_s - 1.1 * step_s <= left <= 100 * step_s


def test_the_budget_may_be_changed_before_and_during_the_training(
    tiny_row_index: RowIndex, tmp_path: Path
) -> None:
    asked: list[int] = []

    def steer(adaptation: Any) -> None:
        asked.append(adaptation.run.step)
        adaptation.end_within(1e-6)

    long = AdaptOptions(seconds=200.0, num_variants=2, batch_size=4, holds_out=False)
    folder = adapt_checkpoint(
        tiny_row_index.checkpoint,
        [task_of("new", 5).puzzle],
        tmp_path / "adapted",
        long,
        EngineOptions("cpu"),
        lambda _: None,
        lambda: False,
        steer,
    )

    record = read_adaptation(tmp_path / "adapted")
    assert folder is not None
    assert record is not None
    assert (record.complete, record.steps, asked[0]) == (True, 1, 0)
