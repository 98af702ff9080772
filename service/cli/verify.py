"""`hrm-arc verify`: does a checkpoint compute what it should, and do its rows fit their names?"""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from hrm_core import Checkpoint, compare_segments, open_checkpoint, pick_device
from service.alignment import MAX_DEMONSTRATIONS, check_alignment
from service.cli import engine_options as options
from service.cli.engine import make_engine
from service.cli.output import JSONOption, console, print_json, progress_bar
from service.cli.task_sources import TASKS_HELP, read_tasks
from service.enrolment import Registrar


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
    canvas: options.CanvasOption = None,
    as_json: JSONOption = False,
) -> None:
    """Compare with stored reference outputs, or run the alignment self-test; exit 1 when it fails.

    The self-test answers known demonstrations through their own rows and through other puzzles'.
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
            num_samples=MAX_DEMONSTRATIONS,
        )
        puzzles = [task.puzzle for task in read_tasks(tasks)] if tasks else None
        with progress_bar() as bar:
            bar.add_task("alignment self-test", total=None)
            alignment = check_alignment(engine, Registrar(checkpoint), puzzles)
        document = {
            **asdict(alignment),
            "passed": alignment.is_aligned,
            "verdict": alignment.verdict,
        }
    if as_json:
        print_json(document)
    else:
        for key, value in document.items():
            shown = f"{value:.4g}" if isinstance(value, float) else value
            console.print(f"{key}: {shown}", markup=False)
    if not document["passed"]:
        raise typer.Exit(1)


def _compare(checkpoint: Checkpoint, golden: Path, device: str) -> dict[str, Any]:
    agreement = compare_segments(checkpoint, golden, pick_device(device))
    return {**asdict(agreement), "passed": agreement.agrees}
