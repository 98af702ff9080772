"""`hrm-arc train`: from tasks to a checkpoint folder."""

from pathlib import Path
from typing import Annotated

import typer

from hrm_core import (
    ARC_CANVAS,
    ARC_VOCAB_SIZE,
    Pretraining,
    TrainProgress,
    TrainSettings,
    can_compile,
    open_checkpoint,
    parse_arch,
    pick_device,
    start_from,
)
from service.adaptation.dataset import build_dataset
from service.cli import engine_options as options
from service.cli.engine import leave_self_test
from service.cli.engine_options import ThreadsOption
from service.cli.output import console, progress_bar
from service.cli.stopping import stop_on_signals
from service.cli.task_sources import TASKS_HELP, read_tasks
from service.runtime.state_folder import current_state_folder, tuned_folder
from service.solving.puzzle_index import PUZZLES_NAME, index_document

RECIPE = TrainSettings(num_steps=None)
BatchTokensOption = Annotated[
    int, typer.Option(min=1, help="With crop: positions in a batch; larger puzzles come in fewer.")
]
CLASS_PATHS = {
    "hrm": "hrm.hrm_act_v1@HierarchicalReasoningModel_ACTV1",
    "trm": "recursive_reasoning.trm@TinyRecursiveReasoningModel_ACTV1",
}


def train_command(
    folder: Annotated[Path, typer.Argument(help="The checkpoint folder to make or to go on with.")],
    tasks: Annotated[list[str], typer.Option("--tasks", help=TASKS_HELP)],
    steps: Annotated[
        int, typer.Option(min=1, help="Optimiser steps; one is one segment of a batch.")
    ],
    canvas: Annotated[int, typer.Option(min=1, max=ARC_CANVAS, help="Side of the canvas.")] = 30,
    crop: Annotated[
        bool,
        typer.Option(
            "--crop",
            help="Let the sequence follow the puzzle: its part of the canvas instead of all of it.",
        ),
    ] = False,
    max_crop: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="With --crop: train only puzzles whose part is at most so long a side. All get "
            "their rows, and the same run may go on with a larger one.",
        ),
    ] = None,
    fitting: Annotated[
        bool, typer.Option("--fitting", help="Leave out the puzzles that do not fit the canvas.")
    ] = False,
    variants: Annotated[int, typer.Option(min=1, help="Variants (rows) of each puzzle.")] = 1000,
    arch: Annotated[str, typer.Option(help="hrm or trm.")] = "hrm",
    hidden_size: Annotated[int, typer.Option(min=2)] = 512,
    heads: Annotated[int, typer.Option(min=1)] = 8,
    layers: Annotated[int, typer.Option(min=1, help="Blocks of each level.")] = 4,
    h_cycles: Annotated[int, typer.Option(min=1)] = 2,
    l_cycles: Annotated[int, typer.Option(min=1)] = 2,
    max_segments: Annotated[int, typer.Option(min=1, help="halt_max_steps.")] = 16,
    exploration: Annotated[float, typer.Option(min=0, max=1)] = 0.1,
    precision: Annotated[str, typer.Option(help="bfloat16 or float32.")] = "bfloat16",
    batch_size: Annotated[int, typer.Option(min=1)] = RECIPE.batch_size,
    batch_tokens: BatchTokensOption = RECIPE.batch_tokens,
    slice_size: options.SliceSizeOption = None,
    lr: Annotated[float, typer.Option(help="Rate of the trunk (Adam-atan2).")] = 1e-4,
    row_lr: Annotated[float, typer.Option(help="Rate of the rows (sign-SGD).")] = 1e-2,
    lr_min_ratio: Annotated[float, typer.Option(help="Where the cosine ends; 1: constant.")] = 1.0,
    warmup: Annotated[int, typer.Option(min=1, help="Steps of linear warm-up.")] = 2000,
    weight_decay: Annotated[float, typer.Option()] = 0.1,
    row_weight_decay: Annotated[float, typer.Option()] = 0.1,
    ema: Annotated[float, typer.Option(min=0, max=1, help="Decay of the average; 0: none.")] = 0.0,
    translate: Annotated[
        bool, typer.Option("--translate/--no-translate", help="Move grids about on the canvas.")
    ] = True,
    q_continue: Annotated[
        bool,
        typer.Option(
            "--q-continue/--no-q-continue",
            help="Learn q_continue, which only training's own halting rule reads; without, a step "
            "takes two thirds of the time and training halts by q_halt alone, as TRM's does.",
        ),
    ] = True,
    start: Annotated[
        Path | None,
        typer.Option(help="A checkpoint of the same shape whose trunk to start from."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    compile_step: Annotated[
        bool, typer.Option("--compile/--no-compile", help="Compile the step.")
    ] = True,
    threads: ThreadsOption = None,
    snapshot_s: Annotated[float, typer.Option(help="Seconds between snapshots.")] = 300.0,
) -> None:
    """Train a model on the demonstrations of tasks; Ctrl-C stops, the same command goes on.

    Only demonstration pairs are learned from. The folder is a checkpoint from the first snapshot
    on.
    """
    if max_crop is not None and not crop:
        raise typer.BadParameter("--max-crop: without --crop no puzzle has one, so give it too")
    puzzles = [task.puzzle for task in read_tasks(tasks)]
    if fitting:
        puzzles = [puzzle for puzzle in puzzles if puzzle.fits(canvas)]
    dataset = build_dataset(puzzles, canvas, variants, seed, crop=crop)
    settings = parse_arch(
        {
            "arch": {
                "name": CLASS_PATHS.get(arch, arch),
                "hidden_size": hidden_size,
                "num_heads": heads,
                "H_layers": layers,
                "L_layers": layers,
                "H_cycles": h_cycles,
                "L_cycles": l_cycles,
                "expansion": 4,
                "halt_max_steps": max_segments,
                "halt_exploration_prob": exploration,
                "puzzle_emb_ndim": hidden_size,
                "pos_encodings": "rope",
                "forward_dtype": precision,
                "crop": crop,
            }
        }
    )
    config = settings.configure(
        vocab_size=ARC_VOCAB_SIZE, seq_len=canvas**2, num_rows=len(dataset.identifiers)
    )
    where = pick_device(device)
    if compile_step and not can_compile(where):
        console.print("No compiler at hand: training runs uncompiled, and slower.")
        compile_step = False
    folder.mkdir(parents=True, exist_ok=True)  # better refused now than after an hour
    run = Pretraining(
        folder,
        config,
        dataset.arrays,
        TrainSettings(
            num_steps=steps,
            batch_size=batch_size,
            batch_tokens=batch_tokens,
            max_crop=max_crop,
            slice_size=slice_size,
            lr=lr,
            row_lr=row_lr,
            lr_min_ratio=lr_min_ratio,
            warmup_steps=warmup,
            weight_decay=weight_decay,
            row_weight_decay=row_weight_decay,
            ema_decay=ema,
            translate=translate,
            learns_continue=q_continue,
            seed=seed,
            snapshot_s=snapshot_s,
        ),
        {
            "identifiers.json": list(dataset.identifiers),
            PUZZLES_NAME: index_document(dataset.puzzles),
        },
        device=where,
        compile_step=compile_step,
        num_threads=threads,
        tuned_folder=tuned_folder(current_state_folder()),
        start=None if start is None else start_from(open_checkpoint(start)),
    )
    console.print(
        f"{len(puzzles)} puzzles, {len(dataset.identifiers) - 1} rows, "
        f"{run.lanes.num_examples} examples, {run.num_parameters} parameters, on {where}"
        + (f"; going on at step {run.step}" if run.step else ""),
        markup=False,
    )
    if not _train_with_bar(run, steps):
        console.print(f"Stopped at step {run.step}. The same command goes on from here.")
        raise typer.Exit(130)
    leave_self_test(folder, device, threads)
    console.print(f"Done: {folder}", markup=False)


def _train_with_bar(run: Pretraining, num_steps: int) -> bool:
    """Train under a progress bar, stopping between two steps on SIGINT or SIGTERM."""
    with stop_on_signals() as should_stop, progress_bar() as bar:
        job = bar.add_task("training", total=num_steps, completed=run.step)

        def show(progress: TrainProgress) -> None:
            bar.update(
                job,
                completed=progress.step,
                description=f"loss {progress.lm_loss:.3f}, right {progress.right_share:.1%}, "
                f"{progress.steps_per_s:.2f} steps/s",
            )

        return run.train(show, should_stop)
