"""`hrm-arc adapt`: rows for puzzles that a checkpoint was not trained on."""

from dataclasses import fields, replace
from pathlib import Path
from typing import Annotated, Any

import typer

from hrm_core import Adaptation, AdaptProgress, Ending, open_checkpoint
from service.adaptation.prepare import AdaptOptions, prepare_adaptation
from service.adaptation.recipes import find_recipe
from service.cli import options
from service.cli.engine import finish_training, may_compile_training
from service.cli.output import console, progress_line, stop_on_signals, time_left
from service.cli.ranks import join_or_start
from service.cli.task_sources import read_tasks
from service.runtime.devices import EngineOptions
from service.runtime.folders import state_subfolder

DEFAULT_MINUTES = 10.0
RECIPE = AdaptOptions()
AS_BASE = "Default: the recipe's, else as the base."
# The parameters that are called otherwise in AdaptOptions.
_FIELDS = {
    "variants": "num_variants",
    "warmup": "warmup_steps",
    "ema": "ema_decay",
    "frozen_share": "rows_only_share",
    "held_out": "holds_out",
    "taper": "tapers",
}
_EARLY = {
    Ending.BUDGET: "",
    Ending.LEARNED: ", stopped early: it stays right",
    Ending.STALLED: ", stopped early: no further progress",
}


def adapt_command(
    ctx: typer.Context,
    base: Annotated[Path, typer.Argument(help="The pretrained checkpoint folder; only read.")],
    tasks: options.TasksOption,
    out: Annotated[Path, typer.Option(help="The adapted checkpoint folder to make.")],
    recipe: options.RecipeOption = None,
    steps: Annotated[
        int | None, typer.Option(help="Budget: optimiser steps; one is one segment of a batch.")
    ] = None,
    minutes: Annotated[
        float | None,
        typer.Option(
            help="Budget: minutes of training; default without --steps: the recipe's, else "
            f"{DEFAULT_MINUTES:g}."
        ),
    ] = None,
    variants: Annotated[
        int, typer.Option(min=1, help="Variants (rows) of each puzzle, which can vote.")
    ] = 64,
    fitting: options.FittingOption = False,
    rows_only: Annotated[
        bool, typer.Option("--rows-only", help="Leave the trunk as it is.")
    ] = False,
    frozen_share: Annotated[
        float,
        typer.Option(min=0, max=1, help="Share of the budget before the trunk learns too."),
    ] = RECIPE.rows_only_share,
    held_out: Annotated[
        bool,
        typer.Option(
            "--held-out/--no-held-out",
            help="Hold out a demonstration of each puzzle with three or more until the last phase, "
            "to measure progress and to stop when it ends.",
        ),
    ] = True,
    taper: Annotated[
        bool,
        typer.Option(
            "--taper/--no-taper",
            help="Let the rates fall in a last phase, which begins early once what is checked "
            "stays right.",
        ),
    ] = True,
    crop: Annotated[
        bool,
        typer.Option(
            "--crop",
            help="Limit the sequence to the puzzle's part of the canvas, though the base was "
            "trained on all of it; the default for a base with crop.",
        ),
    ] = False,
    batch_size: Annotated[int, typer.Option(min=1)] = RECIPE.batch_size,
    batch_tokens: options.BatchTokensOption = RECIPE.batch_tokens,
    slice_size: options.SliceSizeOption = None,
    lr: Annotated[float, typer.Option(help="Rate of the trunk.")] = RECIPE.lr,
    row_lr: Annotated[float, typer.Option(help="Rate of the rows.")] = RECIPE.row_lr,
    warmup: Annotated[
        int, typer.Option(min=1, help="Steps of linear warm-up.")
    ] = RECIPE.warmup_steps,
    ema: Annotated[
        float, typer.Option(min=0, max=1, help="Decay of the average; 0: none.")
    ] = RECIPE.ema_decay,
    h_cycles: Annotated[int | None, typer.Option(min=1, help=AS_BASE)] = None,
    l_cycles: Annotated[int | None, typer.Option(min=1, help=AS_BASE)] = None,
    halt_max_steps: Annotated[
        int | None, typer.Option("--max-segments", min=1, help=f"halt_max_steps. {AS_BASE}")
    ] = None,
    translate: options.TranslateOption = False,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    device: options.DeviceOption = "auto",
    devices: options.RanksOption = None,
    compiled: Annotated[
        bool | None,
        typer.Option(
            "--compile/--no-compile",
            help="Default: for budgets of five minutes, or 300 steps, for each size of puzzles.",
        ),
    ] = None,
    threads: options.ThreadsOption = None,
    canvas: options.CanvasOption = None,
    snapshot_s: options.SnapshotOption = RECIPE.snapshot_s,
) -> None:
    """Adapt a pretrained checkpoint to new puzzles (test-time training), all of them together.

    Only demonstrations are learned from. The result is another checkpoint folder, for
    `hrm-arc solve --checkpoint`. Ctrl-C stops; the same command continues.
    """
    ranks, device = join_or_start(devices, device, out)
    checkpoint = open_checkpoint(base, canvas)
    puzzles = [task.puzzle for task in read_tasks(tasks)]
    if fitting:
        puzzles = [puzzle for puzzle in puzzles if puzzle.fits(checkpoint.config.canvas)]
    given = _given_fields(ctx)
    if minutes is not None:
        given["seconds"] = 60.0 * minutes
    chosen = AdaptOptions(**find_recipe(recipe).options(puzzles, given))
    if chosen.steps is None and chosen.seconds is None:
        chosen = replace(chosen, seconds=60 * DEFAULT_MINUTES)
    adaptation = prepare_adaptation(
        checkpoint,
        replace(checkpoint.config, crop=crop or checkpoint.config.crop),
        puzzles,
        out,
        chosen,
        device=device,
        compile_step=None if compiled is None else may_compile_training(device, compiled),
        num_threads=threads,
        tuned_folder=state_subfolder("tuned"),
        ranks=ranks,
    )
    run = adaptation.run
    continuing = f"; continuing at step {run.step}" if run.step else ""
    console.print(
        f"{len(puzzles)} puzzle(s), {run.config.num_rows - 1} rows, "
        f"{run.lanes.num_examples} examples, on {run.device}{continuing}"
    )
    console.print(str(adaptation.record["held_out_note"]))
    is_complete = _adapt(adaptation)
    ranks.leave()
    if not ranks.is_first:
        return
    finish_training(out, EngineOptions(device, num_threads=threads), is_complete, run.step)
    early = _EARLY[adaptation.ending] if adaptation.ending and adaptation.stopped_early else ""
    share = adaptation.held_out_share
    checked = "" if share is None else f", held-out demonstrations {share:.1%} right"
    console.print(f"Done in {run.step} steps, {run.seconds:.0f} s{checked}{early}: {out}")
    console.print(f"Next: hrm-arc solve TASK --checkpoint {out}")


def _given_fields(ctx: typer.Context) -> dict[str, Any]:
    """Return the fields of `AdaptOptions` that the command line gives: they precede a recipe's."""
    names = {field.name for field in fields(AdaptOptions)}
    given = {
        _FIELDS.get(name, name): value
        for name, value in ctx.params.items()
        if (source := ctx.get_parameter_source(name)) and source.name == "COMMANDLINE"
    }
    if "warmup_steps" in given:
        given["warmup_share"] = None
    return {name: value for name, value in given.items() if name in names}


def _adapt(adaptation: Adaptation) -> bool:
    """Adapt with a display of progress, until SIGINT or SIGTERM stops it between two steps."""
    with stop_on_signals() as should_stop, progress_line("adapting", total=1000) as line:

        def show(progress: AdaptProgress) -> None:
            parts = [progress.phase.value, f"step {progress.step}"]
            if progress.train is not None:
                parts.append(f"loss {progress.train.lm_loss:.3f}")
                parts.append(f"right {progress.train.right_share:.1%}")
            if progress.held_out_share is not None:
                parts.append(f"held out {progress.held_out_share:.1%}")
            if left := time_left(progress.remaining_s, progress.expected_s):
                parts.append(left)
            line.update(
                ", ".join(parts),
                completed=int(1000 * progress.used_share),
                line=f"{progress.used_share:.0%} of the budget: {', '.join(parts)}",
            )

        return adaptation.adapt(show, should_stop)
