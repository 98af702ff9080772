"""`hrm-arc calibrate`: how likely a checkpoint's answers are right, fitted on held-out ones."""

from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from hrm_core import open_checkpoint
from service.adaptation.confidence_fit import fit_calibration, read_samples
from service.adaptation.confidence_samples import SampleCollection, adapted_name, reduce_puzzles
from service.adaptation.prepare import AdaptOptions, check_budget
from service.cli import options
from service.cli.output import console, notices, stop_on_signals
from service.cli.task_sources import TASKS_HELP, read_tasks
from service.runtime.folders import state_subfolder
from service.solving.confidence import FEATURES, Calibration, Road, write_calibration
from service.solving.enrolment import RowIndex
from service.solving.records import read_adaptation
from service.wire.errors import InputError

DEFAULT_MINUTES = 30.0
RECIPE = AdaptOptions()
ROADS: tuple[Road, ...] = ("adapted", "trained")
METHOD = (
    "penalised logistic regression on attempts at one held-out demonstration of each puzzle, by "
    "votes at several points of a joint adaptation to the others"
)


def calibrate_command(
    folder: options.FolderArgument,
    work: Annotated[
        Path, typer.Option(help="A folder for the adaptations and samples, kept to fit again.")
    ],
    tasks: Annotated[
        list[str] | None,
        typer.Option(help=TASKS_HELP + " Without, the samples of --work are fitted."),
    ] = None,
    road: Annotated[
        list[str] | None,
        typer.Option(help="Collect only for answers by `adapted`, or by `trained` rows."),
    ] = None,
    minutes: Annotated[
        float | None,
        typer.Option(
            help="Budget of the adaptation of each road: minutes of training; default without "
            f"--steps: {DEFAULT_MINUTES:g}. Reading the votes comes on top."
        ),
    ] = None,
    steps: Annotated[int | None, typer.Option(help="Budget: optimiser steps.")] = None,
    variants: Annotated[
        int, typer.Option(min=1, help="Variants (rows) of each puzzle, which vote.")
    ] = RECIPE.num_variants,
    max_side: Annotated[
        int | None,
        typer.Option(min=1, help="Only puzzles with grids of at most so many cells a side."),
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1)] = RECIPE.batch_size,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    device: options.DeviceOption = "auto",
    compiled: Annotated[
        bool | None,
        typer.Option("--compile/--no-compile", help="Default: for budgets worth the minute."),
    ] = None,
    threads: options.ThreadsOption = None,
) -> None:
    """Fit the confidence of a checkpoint's answers and write confidence.json into its folder.

    One demonstration of each puzzle is held out; the checkpoint is adapted to the rest, and solves
    it. Test outputs are not used. Ctrl-C stops; the same command continues.
    """
    row_index = RowIndex(open_checkpoint(folder))
    if tasks:
        seconds = None if minutes is None else 60.0 * minutes
        if minutes is None and steps is None:
            seconds = 60.0 * DEFAULT_MINUTES
        recipe = AdaptOptions(
            seconds=seconds, steps=steps, num_variants=variants, batch_size=batch_size, seed=seed
        )
        check_budget(recipe)
        unknown = set(road or ()) - set(ROADS)
        if unknown:
            raise InputError(f"--road {', '.join(sorted(unknown))}: use {' or '.join(ROADS)}")
        puzzles = [task.puzzle for task in read_tasks(tasks)]
        if max_side is not None:
            puzzles = [puzzle for puzzle in puzzles if puzzle.fits(max_side)]
        reduced = reduce_puzzles(row_index, puzzles)
        notices.print(f"{len(reduced)} of {len(puzzles)} puzzles have a demonstration to hold out.")
        collections = (
            SampleCollection(
                row_index,
                reduced,
                one,
                work,
                recipe,
                device=device,
                compiled=compiled,
                num_threads=threads,
                tuned_folder=state_subfolder("tuned"),
                say=partial(notices.print, soft_wrap=True),
            )
            for one in ROADS
            if not road or one in road
        )
        with stop_on_signals() as should_stop:
            if not all(collection.collect(should_stop) for collection in collections):
                notices.print("Stopped. The same command continues from here.")
                raise typer.Exit(130)
    calibration = fit_calibration(read_samples(work), {"method": METHOD, **_describe(work)})
    if calibration.checkpoint_sha256 != row_index.checkpoint.sha256:
        raise InputError(f"the samples in {work} are of another checkpoint than {folder}")
    write_calibration(folder, calibration)
    _print(calibration)
    console.print(f"Written to {folder}.")


def _describe(work: Path) -> dict[str, Any]:
    """Describe the adaptations that a folder holds."""
    records = {road: read_adaptation(work / adapted_name(road)) for road in ROADS}
    return {
        "adaptations": {
            road: {
                "variants": record.variants,
                "steps": record.steps,
                "seconds": record.seconds,
                "held_out_share": record.held_out_share,
            }
            for road, record in records.items()
            if record is not None
        }
    }


def _print(calibration: Calibration) -> None:
    table = Table(title="Coefficients of standardised features", title_justify="left")
    for column in ("feature", "coefficient", "what it is"):
        table.add_column(column)
    for fitted, feature in zip(calibration.features, FEATURES, strict=True):
        table.add_row(feature.name, f"{fitted.coefficient:+.3f}", feature.meaning)
    console.print(table)
    for road, counts in calibration.roads.items():
        console.print(
            f"{road}: {counts.samples} attempts at {counts.puzzles} puzzles "
            f"({counts.known_puzzles} known), {counts.right} right"
        )
    checks = calibration.cross_validation
    for name, found in (("all", checks.attempts), ("first", checks.first_attempts)):
        console.print(
            f"By fits on other puzzles, {name} attempts ({found.samples}): expected calibration "
            f"error {found.calibration_error:.3f} (share of the votes: "
            f"{found.votes_calibration_error:.3f}), Brier score {found.brier:.3f} "
            f"({found.votes_brier:.3f})",
            soft_wrap=True,
        )
