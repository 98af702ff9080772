"""Solves puzzles on this machine."""

from collections.abc import Sequence
from pathlib import Path

from augment import CanvasError, Task
from hrm_core import Engine, open_checkpoint
from service.cli.engine import check_rows, make_engine
from service.cli.output import progress_bar, warn
from service.runtime.engine_options import EngineOptions
from service.runtime.timing import seconds_since_start
from service.solving.enrolment import RowIndex
from service.solving.members import Member
from service.solving.solve import Solving, solve
from service.wire.answer import Answer
from service.wire.errors import EnrolmentError
from service.wire.options import SolveOptions


def solve_locally(
    tasks: Sequence[Task],
    folders: Sequence[Path],
    chosen: SolveOptions,
    engine_options: EngineOptions,
    canvas: int | None,
) -> list[Answer]:
    """Solve puzzles with checkpoint folders that vote together, each in one engine.

    Raises: AugmentError, HRMCoreError, ServiceError for what a checkpoint or the device cannot do.
    """
    row_indexes = [RowIndex(open_checkpoint(folder, canvas)) for folder in folders]
    solvings = _enrol(tasks, row_indexes, chosen)
    opened_s = seconds_since_start()
    engines = [
        make_engine(
            row_index.checkpoint,
            engine_options,
            sum(solving.num_asked_of(index) for solving in solvings),
        )
        for index, row_index in enumerate(row_indexes)
    ]
    warnings = [
        sentence
        for engine, row_index in zip(engines, row_indexes, strict=True)
        for sentence in check_rows(engine, row_index)
    ]
    times = {"start_to_opened": opened_s, "start_to_ready": seconds_since_start()}
    _run(engines, solvings, times)
    return [
        _finish(task, solving, times, warnings)
        for task, solving in zip(tasks, solvings, strict=True)
    ]


def _enrol(
    tasks: Sequence[Task], row_indexes: Sequence[RowIndex], chosen: SolveOptions
) -> list[Solving]:
    members: list[list[Member]] = [[] for _ in tasks]
    for row_index in row_indexes:
        for task, mine in zip(tasks, members, strict=True):
            try:
                mine.append(Member.find(row_index, task.puzzle))
            except CanvasError as error:  # it does not name the checkpoint
                raise EnrolmentError(f"{row_index.checkpoint.folder}: {error}") from error
    return [Solving(task.puzzle, mine, chosen) for task, mine in zip(tasks, members, strict=True)]


def _run(engines: Sequence[Engine], solvings: Sequence[Solving], times: dict[str, float]) -> None:
    with progress_bar() as bar:
        job = bar.add_task("variants", total=sum(s.progress.num_asked for s in solvings))

        def show() -> None:
            times.setdefault("to_first_segment", seconds_since_start())
            bar.update(job, completed=sum(s.progress.num_outcomes for s in solvings))

        solve(engines, solvings, show)


def _finish(task: Task, solving: Solving, times: dict[str, float], warnings: list[str]) -> Answer:
    answer = solving.answer(task.expected)
    for sentence in answer.warnings:  # the others were printed by the test of the rows
        warn(f"{task.puzzle.name}: {sentence}")
    timings_s = answer.timings_s | {stage: round(seconds, 3) for stage, seconds in times.items()}
    return answer.model_copy(
        update={"warnings": (*answer.warnings, *warnings), "timings_s": timings_s}
    )
