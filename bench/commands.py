"""The commands of `python -m bench`, all but `tune`."""

import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated

import torch
import typer
from rich.console import Console

from augment import AugmentError, read_arckit
from bench.adapt import ARMS, MINUTES, RECIPE, measure_adaptation
from bench.calibration import PUBLIC_SETS, measure_calibration
from bench.card import write_card
from bench.crop import measure_crop
from bench.division import measure_division
from bench.full_size import make_full_size, measure_opening
from bench.jobs import measure_overhead, measure_sharing
from bench.model import NUM_ROWS
from bench.pipeline import measure_pipeline
from bench.reference import measure_reference
from bench.report import Section, describe, print_section, write_record
from bench.sudoku import sudoku_command
from bench.throughput import measure_throughput
from hrm_core import ARC_CANVAS, HRMCoreError, pick_device
from hrm_core.device.hardware import describe_hardware
from service.adaptation.prepare import AdaptOptions
from service.cli.task_sources import TASKS_HELP, read_tasks
from service.wire.errors import ServiceError
from service.wire.options import SolveOptions

PARTS = ("pipeline", "overhead", "sharing", "division", "opening", "throughput", "reference")

CROP_MINUTES = (1.0, 3.0, 6.0, 10.0)
SHARING_BASE = "arc1"

RecordOption = Annotated[
    Path | None, typer.Option("--out", help="Write the record to OUT.json, OUT.md and OUT.png.")
]
DeviceOption = Annotated[str, typer.Option(help="cpu, cuda or cuda:N.")]
CompileOption = Annotated[bool, typer.Option("--compile/--no-compile")]
SeedOption = Annotated[int, typer.Option(min=0)]

app = typer.Typer(pretty_exceptions_enable=False, help="Measure hrm-arc on this machine.")
console = Console(highlight=False)
app.command("make-sudokus")(sudoku_command)


def main() -> None:
    """Run a command; bad input is an error of one line and exit code 2."""
    try:
        app(prog_name="python -m bench")
    except (AugmentError, HRMCoreError, ServiceError) as error:
        print(f"Error: {error}", file=sys.stderr)
        sys.exit(2)


def say(line: str) -> None:
    """Print a line, however it reads."""
    console.print(line, markup=False)


@app.callback(invoke_without_command=True)
def measure(
    context: typer.Context,
    reference: Annotated[
        Path | None, typer.Option(help="A checkout of sapientinc/HRM to compare with.")
    ] = None,
    opening: Annotated[
        Path | None, typer.Option(help="A folder made by `full-size`: also measure opening it.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Write the record to OUT.json and OUT.md.")
    ] = None,
    part: Annotated[
        list[str] | None, typer.Option(help=f"Only some: {', '.join(PARTS)}. May be repeated.")
    ] = None,
    device: Annotated[
        list[str] | None, typer.Option(help="cpu, cuda or cuda:N; default: all there are.")
    ] = None,
    slots: Annotated[
        list[int] | None, typer.Option(min=1, help="Slot counts of the throughput.")
    ] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="Default: torch's own.")] = None,
    compiled: Annotated[
        bool, typer.Option("--compile/--no-compile", help="Also measure compiled networks.")
    ] = True,
) -> None:
    """Measure pipeline, service, throughput and reference, print tables and keep a record."""
    if context.invoked_subcommand is not None:
        return
    unknown = set(part or ()) - set(PARTS)
    if unknown:
        raise typer.BadParameter(f"--part {', '.join(sorted(unknown))}: use {', '.join(PARTS)}")
    if opening is None and "opening" in (part or ()):
        raise typer.BadParameter("--part opening: give a folder made by `full-size` with --opening")
    if threads is not None:
        torch.set_num_threads(threads)
    present = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]
    devices = [pick_device(name) for name in device or present]
    hardware = describe_hardware()
    say(describe(hardware))
    sections: list[Section] = []
    for name in (one for one in PARTS if one in (part or PARTS)):
        for section in _measure_part(name, devices, opening, slots or (), reference, compiled):
            print_section(console, section)
            sections.append(section)
            if out is not None:
                write_record(out, hardware, sections)


@app.command("full-size")
def full_size(
    folder: Annotated[Path, typer.Argument(help="The folder to make.")],
    rows: Annotated[int, typer.Option(min=2, help="Rows of the table.")] = NUM_ROWS,
    canvas: Annotated[int, typer.Option(min=1, max=ARC_CANVAS, help="Side of the canvas.")] = 30,
    seed: SeedOption = 0,
) -> None:
    """Make a synthetic checkpoint folder of the published size (2.2 GB; 4.4 GB in the meantime)."""
    puzzle = make_full_size(folder, rows, canvas, seed)
    say(f"{folder}: random weights, {rows} rows, all variants of {puzzle}")


@app.command("adapt")
def adapt(
    base: Annotated[Path, typer.Argument(help="The checkpoint folder to adapt.")],
    out: RecordOption = None,
    minutes: Annotated[
        list[float] | None, typer.Option(min=0, help="Budgets to read at; the largest is run.")
    ] = None,
    arm: Annotated[
        list[int] | None, typer.Option(min=0, max=len(ARMS) - 1, help="Only some of the arms.")
    ] = None,
    variants: Annotated[int, typer.Option(min=1)] = RECIPE.num_variants,
    batch_size: Annotated[int, typer.Option(min=1)] = RECIPE.batch_size,
    lr: Annotated[float, typer.Option()] = RECIPE.lr,
    row_lr: Annotated[float, typer.Option()] = RECIPE.row_lr,
    held_out: Annotated[bool, typer.Option("--held-out/--no-held-out")] = True,
    crop: Annotated[
        bool, typer.Option("--crop", help="Adapt on crops, whatever the base was trained on.")
    ] = False,
    max_side: Annotated[
        int | None, typer.Option(min=1, help="Only puzzles of at most so many cells a side.")
    ] = None,
    one_in: Annotated[
        int, typer.Option(min=1, help="Keep one puzzle in so many, by the hash of its name.")
    ] = 1,
    seed: SeedOption = 0,
    device: DeviceOption = "cpu",
    compiled: CompileOption = True,
) -> None:
    """Adapt a base to the evaluation set's small puzzles, and count what it then solves."""
    budgets = minutes or MINUTES
    if max(budgets) <= 0:
        raise typer.BadParameter("--minutes: give at least one above 0")
    options = AdaptOptions(
        seconds=60 * max(budgets),
        num_variants=variants,
        batch_size=batch_size,
        lr=lr,
        row_lr=row_lr,
        holds_out=held_out,
        seed=seed,
        snapshot_s=1e9,
    )
    measure = partial(
        measure_adaptation,
        base,
        options=options,
        minutes=budgets,
        arms=[ARMS[index] for index in arm] if arm else ARMS,
        crop=crop,
        max_side=max_side,
        one_in=one_in,
        device=device,
        compiled=compiled,
        say=say,
    )
    _record(measure, out)


@app.command("crop")
def crop(
    out: RecordOption = None,
    canvas: Annotated[
        int, typer.Option(min=1, max=ARC_CANVAS, help="Side of the canvas to compare with.")
    ] = 6,
    minutes: Annotated[
        list[float] | None, typer.Option(min=0.1, help="Budgets to read at; the largest is run.")
    ] = None,
    variants: Annotated[int, typer.Option(min=1)] = RECIPE.num_variants,
    seed: SeedOption = 0,
    device: DeviceOption = "cpu",
    compiled: CompileOption = True,
) -> None:
    """Train on crops and on a whole canvas for the same time, and count what each then solves."""
    measure = partial(
        measure_crop,
        tasks=[task for task in read_arckit("arcagi", "train") if task.puzzle.fits(canvas)],
        canvas=canvas,
        variants=variants,
        minutes=minutes or CROP_MINUTES,
        seed=seed,
        device=device,
        compiled=compiled,
        say=say,
    )
    _record(measure, out)


@app.command("calibration")
def calibration(
    folders: Annotated[
        list[Path],
        typer.Argument(
            metavar="FOLDER...", help="Checkpoint folders, also adapted ones: what each knows."
        ),
    ],
    tasks: Annotated[
        list[str] | None, typer.Option(help=f"{TASKS_HELP} Default: {', '.join(PUBLIC_SETS)}.")
    ] = None,
    out: RecordOption = None,
    variants: Annotated[int | None, typer.Option(min=1, help="Default: all with rows.")] = None,
    max_side: Annotated[
        int | None, typer.Option(min=1, help="Only puzzles read on so many cells a side.")
    ] = None,
    whole_vote: Annotated[
        bool, typer.Option("--whole-vote", help="Count every variant, as few answers do.")
    ] = False,
    device: DeviceOption = "cpu",
) -> None:
    """Measure how far the confidence of answers is from how often they are right."""
    measure = partial(
        measure_calibration,
        folders,
        read_tasks(tasks or PUBLIC_SETS),
        options=SolveOptions(variants=variants, stop_early=not whole_vote),
        max_side=max_side,
        device=device,
        say=say,
    )
    _record(measure, out)


@app.command("card")
def card(
    folder: Annotated[Path, typer.Argument(help="A checkpoint folder that `hrm-arc train` made.")],
    task_set: Annotated[
        str, typer.Option(help="The public set it was trained on.")
    ] = "arcagi/train",
    max_side: Annotated[
        int | None, typer.Option(min=1, help="Only puzzles read on at most so many cells a side.")
    ] = None,
    start: Annotated[
        str | None,
        typer.Option(help="The checkpoint that gave the trunk it began with, for the recipe."),
    ] = None,
) -> None:
    """Write the README of a trained checkpoint: recipe, log, and what it solves by size."""
    write_card(folder, task_set, max_side, start, say)
    say(f"{folder / 'README.md'} written")


@app.command("tune", add_help_option=False)
def tune() -> None:
    """Measure what is fastest on this device, for engines to use."""
    raise typer.BadParameter("run it as `python -m bench tune`")


def _measure_part(
    name: str,
    devices: list[torch.device],
    opening: Path | None,
    slots: Sequence[int],
    reference: Path | None,
    compiled: bool,
) -> Iterator[Section]:
    match name:
        case "pipeline":
            yield measure_pipeline()
        case "overhead":
            yield measure_overhead()
        case "sharing":
            yield measure_sharing(SHARING_BASE)
        case "division":
            yield from map(measure_division, devices)
        case "opening" if opening is not None:
            for device in devices:
                yield measure_opening(opening, str(device))
        case "throughput":
            for device in devices:
                yield measure_throughput(device, slots, compiled)
        case "reference":
            yield from _measure_reference(devices, reference, compiled)


def _measure_reference(
    devices: list[torch.device], reference: Path | None, compiled: bool
) -> Iterator[Section]:
    if reference is None:
        yield Section(
            "Reference: skipped. Give the path of a checkout of sapientinc/HRM: "
            "`make bench REFERENCE=PATH`"
        )
        return
    try:
        for device in devices:
            yield from measure_reference(reference, device, compiled)
    except (FileNotFoundError, ImportError) as error:
        raise typer.BadParameter(str(error), param_hint="--reference") from error


def _record(measure: Callable[..., Section | list[Section]], out: Path | None) -> None:
    hardware = describe_hardware()  # the load as it was before
    measured = measure(plot=None if out is None else out.with_name(f"{out.name}.png"))
    sections = [measured] if isinstance(measured, Section) else measured
    for section in sections:
        print_section(console, section)
    if out is not None:
        write_record(out, hardware, sections)
