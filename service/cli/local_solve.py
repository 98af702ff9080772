"""Solving on this machine."""

from collections.abc import Sequence
from pathlib import Path

from augment import Task
from hrm_core import Engine, open_checkpoint
from service.cli.answers import Solved
from service.cli.engine import make_engine
from service.cli.output import progress_bar
from service.enrolment import Registrar
from service.process_clock import seconds_since_start
from service.solve import SolveOptions, Solving, solve


def solve_locally(
    tasks: Sequence[Task],
    folder: Path,
    chosen: SolveOptions,
    *,
    canvas: int | None,
    device: str,
    slots: int | None,
    precision: str | None,
    attention: str,
    compiled: bool | None,
) -> list[Solved]:
    """Solve puzzles with a checkpoint folder, all through one engine.

    Raises: AugmentError, HRMCoreError, ServiceError for what the checkpoint or the device cannot.
    """
    checkpoint = open_checkpoint(folder, canvas)
    registrar = Registrar(checkpoint)
    solvings = [Solving(task.puzzle, registrar.enrol(task.puzzle), chosen) for task in tasks]
    opened_s = seconds_since_start()
    engine = make_engine(
        checkpoint,
        device=device,
        slots=slots,
        precision=precision,
        attention=attention,
        compiled=compiled,
        num_samples=sum(solving.progress.num_asked for solving in solvings),
    )
    times = {"start_to_opened": opened_s, "start_to_ready": seconds_since_start()}
    _run(engine, solvings, times)
    return [
        _finish(task, solving, engine, times) for task, solving in zip(tasks, solvings, strict=True)
    ]


def _run(engine: Engine, solvings: Sequence[Solving], times: dict[str, float]) -> None:
    with progress_bar() as bar:
        job = bar.add_task("variants", total=sum(s.progress.num_asked for s in solvings))

        def show() -> None:
            times.setdefault("to_first_segment", seconds_since_start())
            bar.update(job, completed=sum(s.progress.num_outcomes for s in solvings))

        solve(engine, solvings, show)


def _finish(task: Task, solving: Solving, engine: Engine, times: dict[str, float]) -> Solved:
    answer = solving.answer(engine)
    document = answer.document(task.expected)
    document["timings_s"] |= {stage: round(seconds, 3) for stage, seconds in times.items()}
    return Solved(answer, document)
