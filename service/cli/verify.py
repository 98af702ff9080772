"""`hrm-arc verify`: check a checkpoint against stored outputs, or its rows against their names."""

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from hrm_core import Checkpoint, compare_segments, open_checkpoint, pick_device
from service.cli import engine_options as options
from service.cli.engine import make_engine
from service.cli.output import JSONOption, console, print_json, progress_bar
from service.cli.task_sources import TASKS_HELP, read_tasks
from service.solving.enrolment import Registrar
from service.solving.self_test.record import examine, keep
from service.solving.self_test.run import MAX_DEMONSTRATIONS
from service.wire.checkpoint import Finding


def verify_command(
    folder: options.FolderArgument,
    golden: Annotated[
        Path | None,
        typer.Option(help="Reference outputs (segments.npz) to agree with, instead of the test."),
    ] = None,
    tasks: Annotated[
        list[str] | None,
        typer.Option("--tasks", help=TASKS_HELP + " Default: the probes in puzzles.json."),
    ] = None,
    device: options.DeviceOption = "auto",
    precision: options.PrecisionOption = None,
    attention: options.AttentionOption = "auto",
    threads: options.ThreadsOption = None,
    canvas: options.CanvasOption = None,
    as_json: JSONOption = False,
) -> None:
    """Compare with stored reference outputs, or run the self-test; exit 1 when it fails.

    The self-test answers known demonstrations through their own rows and through others, and is
    kept beside the checkpoint.
    """
    checkpoint = open_checkpoint(folder, canvas)
    if golden is not None:
        document = _compare(checkpoint, golden, device)
    else:
        engine = make_engine(
            checkpoint,
            device=device,
            precision=precision,
            attention=attention,
            num_threads=threads,
            num_samples=MAX_DEMONSTRATIONS,
        )
        puzzles = [task.puzzle for task in read_tasks(tasks)] if tasks else None
        with progress_bar() as bar:
            bar.add_task("self-test", total=None)
            examination = examine(engine, Registrar(checkpoint), puzzles)
        is_passed = examination.finding is not Finding.MISALIGNED
        if is_passed:
            keep(checkpoint, examination.test)
        document = {
            **asdict(examination.test),
            "finding": examination.finding,
            "passed": is_passed,
            "verdict": examination.verdict,
        }
    if as_json:
        print_json(document)
    else:
        for key, value in _flatten(document):
            shown = f"{value:.4g}" if isinstance(value, float) else value
            console.print(f"{key}: {shown}", markup=False, soft_wrap=True)
    if not document["passed"]:
        raise typer.Exit(1)


def _compare(checkpoint: Checkpoint, golden: Path, device: str) -> dict[str, Any]:
    agreement = compare_segments(checkpoint, golden, pick_device(device))
    return {**asdict(agreement), "passed": agreement.agrees}


def _flatten(document: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in document.items():
        if isinstance(value, dict):
            yield from _flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
