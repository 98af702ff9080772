"""`hrm-arc train`: from tasks to a checkpoint folder."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
import yaml

from augment import ARC, BLANK_NAME, MAZE, SUDOKU, Kind, read_rule_file
from hrm_core import (
    ARC_CANVAS,
    CLASS_PATHS,
    Pretraining,
    TrainingArrays,
    TrainProgress,
    TrainSettings,
    open_checkpoint,
    parse_arch,
    pick_device,
    start_from,
)
from service.adaptation.dataset import build_dataset
from service.adaptation.rule_dataset import build_rule_arrays
from service.cli import options
from service.cli.engine import finish_training, may_compile_training
from service.cli.output import console, progress_line, stop_on_signals
from service.cli.ranks import join_or_start
from service.cli.task_sources import read_tasks
from service.runtime.devices import EngineOptions
from service.runtime.folders import state_subfolder
from service.solving.records import PUZZLES_NAME, index_document

RECIPE = TrainSettings(num_steps=None)


def train_command(
    folder: Annotated[Path, typer.Argument(help="The checkpoint folder to make or to continue.")],
    steps: Annotated[
        int, typer.Option(min=1, help="Optimiser steps; one is one segment of a batch.")
    ],
    tasks: options.OptionalTasksOption = None,
    sudoku: options.SudokuOption = None,
    maze: options.MazeOption = None,
    canvas: Annotated[int, typer.Option(min=1, max=ARC_CANVAS, help="Side of the canvas.")] = 30,
    crop: Annotated[
        bool, typer.Option("--crop", help="Limit the sequence to the puzzle's part of the canvas.")
    ] = False,
    max_crop: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="With --crop: train only the puzzles with a part of at most this side. All get "
            "their rows, and the run can be continued with a larger value.",
        ),
    ] = None,
    fitting: options.FittingOption = False,
    variants: Annotated[int, typer.Option(min=1, help="Variants (rows) of each puzzle.")] = 1000,
    arch: Annotated[str, typer.Option(help="hrm or trm.")] = "hrm",
    hidden_size: Annotated[int, typer.Option(min=2)] = 512,
    heads: Annotated[int, typer.Option(min=1)] = 8,
    layers: Annotated[int, typer.Option(min=1, help="Blocks of each level.")] = 4,
    h_cycles: Annotated[int, typer.Option(min=1)] = 2,
    l_cycles: Annotated[int, typer.Option(min=1)] = 2,
    max_segments: Annotated[int, typer.Option(min=1, help="halt_max_steps.")] = 16,
    mlp_t: Annotated[
        bool,
        typer.Option("--mlp-t", help="Mix positions by an MLP in place of attention, as TRM does."),
    ] = False,
    exploration: Annotated[float, typer.Option(min=0, max=1)] = 0.1,
    precision: Annotated[str, typer.Option(help="bfloat16 or float32.")] = "bfloat16",
    batch_size: Annotated[int, typer.Option(min=1)] = RECIPE.batch_size,
    batch_tokens: options.BatchTokensOption = RECIPE.batch_tokens,
    slice_size: options.SliceSizeOption = None,
    lr: Annotated[float, typer.Option(help="Rate of the trunk (Adam-atan2).")] = 1e-4,
    row_lr: Annotated[float, typer.Option(help="Rate of the rows (sign-SGD).")] = 1e-2,
    lr_min_ratio: Annotated[float, typer.Option(help="Where the cosine ends; 1: constant.")] = 1.0,
    warmup: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Steps of linear warm-up; default: a tenth of --steps, at most "
            f"{RECIPE.warmup_steps}, or as the run began.",
        ),
    ] = None,
    weight_decay: Annotated[float, typer.Option()] = 0.1,
    row_weight_decay: Annotated[float, typer.Option()] = 0.1,
    ema: Annotated[float, typer.Option(min=0, max=1, help="Decay of the average; 0: none.")] = 0.0,
    translate: options.TranslateOption = True,
    q_continue: Annotated[
        bool,
        typer.Option(
            "--q-continue/--no-q-continue",
            help="Learn q_continue, which only the halting rule of training reads; without it a "
            "step takes two thirds of the time, and training halts by q_halt only, as TRM's does.",
        ),
    ] = True,
    start: Annotated[
        Path | None,
        typer.Option(
            help="A checkpoint of the same shape, to start from its trunk, and from its rows for "
            "the variants that it knows under the same names."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    device: options.DeviceOption = "auto",
    devices: options.RanksOption = None,
    compile_step: Annotated[
        bool, typer.Option("--compile/--no-compile", help="Compile the step.")
    ] = True,
    threads: options.ThreadsOption = None,
    snapshot_s: options.SnapshotOption = 300.0,
) -> None:
    """Train a model on the demonstrations of tasks; Ctrl-C stops, the same command continues.

    Only demonstration pairs are learned from, or with --sudoku and --maze the puzzles and answers
    of a file, in symmetries drawn as they are trained. The folder is a checkpoint from the first
    snapshot on.
    """
    if max_crop is not None and not crop:
        raise typer.BadParameter("--max-crop has no effect without --crop: give it too")
    ranks, device = join_or_start(devices, device, folder)
    data = _read_data(
        tasks, sudoku, maze, canvas, variants, seed, crop=crop, max_crop=max_crop, fitting=fitting
    )
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
                "pos_encodings": "none" if mlp_t else "rope",
                "mlp_t": mlp_t,
                "forward_dtype": precision,
                "crop": crop,
            }
        }
    )
    config = settings.configure(
        vocab_size=data.kind.vocabulary, seq_len=data.canvas**2, num_rows=data.num_rows
    )
    where = pick_device(device)
    compile_step = may_compile_training(device, compile_step)
    folder.mkdir(parents=True, exist_ok=True)  # an error here comes before the training, not after
    run = Pretraining(
        folder,
        config,
        data.arrays,
        TrainSettings(
            num_steps=steps,
            batch_size=batch_size,
            batch_tokens=batch_tokens,
            max_crop=max_crop,
            slice_size=slice_size,
            lr=lr,
            row_lr=row_lr,
            lr_min_ratio=lr_min_ratio,
            warmup_steps=warmup or default_warmup(folder, steps),
            weight_decay=weight_decay,
            row_weight_decay=row_weight_decay,
            ema_decay=ema,
            translate=translate,
            learns_continue=q_continue,
            seed=seed,
            snapshot_s=snapshot_s,
        ),
        data.documents,
        device=where,
        compile_step=compile_step,
        num_threads=threads,
        tuned_folder=state_subfolder("tuned"),
        start=None if start is None else start_from(open_checkpoint(start), data.identifiers),
        ranks=ranks,
    )
    console.print(
        f"{data.num_puzzles} puzzles, {data.num_rows - 1} rows, "
        f"{run.lanes.num_examples} examples, {run.num_parameters} parameters, on {where}"
        + (f"; continuing at step {run.step}" if run.step else "")
    )
    is_complete = _train(run, steps)
    ranks.leave()
    if not ranks.is_first:
        return
    finish_training(folder, EngineOptions(device, num_threads=threads), is_complete, run.step)
    console.print(f"Done: {folder}")


@dataclass(frozen=True, slots=True)
class _Data:
    """What is trained on, and the documents that describe its rows."""

    kind: Kind
    canvas: int
    arrays: Sequence[TrainingArrays]
    num_puzzles: int
    identifiers: Sequence[str]
    documents: Mapping[str, object]

    @property
    def num_rows(self) -> int:
        """Rows of the table, with the blank one."""
        return len(self.identifiers)


def _read_data(
    tasks: Sequence[str] | None,
    sudoku: Path | None,
    maze: Path | None,
    canvas: int,
    variants: int,
    seed: int,
    *,
    crop: bool,
    max_crop: int | None,
    fitting: bool,
) -> _Data:
    if sum(map(bool, (tasks, sudoku, maze))) != 1:
        raise typer.BadParameter("give one of --tasks, --sudoku and --maze")
    path = sudoku or maze
    if path is not None:
        kind = SUDOKU if sudoku else MAZE
        examples = read_rule_file(path, kind)
        side = max(max(example.puzzle.size) for example in examples) if sudoku else canvas
        return _Data(
            kind,
            side,
            (build_rule_arrays(examples, kind, side),),
            len(examples),
            (BLANK_NAME,),
            {"identifiers.json": [BLANK_NAME]},
        )
    puzzles = [task.puzzle for task in read_tasks(list(tasks or ()))]
    if fitting:
        puzzles = [puzzle for puzzle in puzzles if puzzle.fits(canvas)]
    dataset = build_dataset(puzzles, canvas, variants, seed, crop=crop)
    documents = {
        "identifiers.json": list(dataset.identifiers),
        # Larger ones have rows, but no training: they are unknown, and can be adapted to.
        PUZZLES_NAME: index_document(dataset.puzzles_within(max_crop)),
    }
    return _Data(ARC, canvas, dataset.arrays, len(puzzles), dataset.identifiers, documents)


def default_warmup(folder: Path, num_steps: int) -> int:
    """Return the steps of warm-up: those of the run in the folder, or at most a tenth of all."""
    try:
        document = yaml.safe_load((folder / "all_config.yaml").read_text(encoding="utf-8"))
        return int(document["training"]["warmup_steps"])
    except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError):
        return min(RECIPE.warmup_steps, max(1, num_steps // 10))


def _train(run: Pretraining, num_steps: int) -> bool:
    """Train with a display of progress, until SIGINT or SIGTERM stops it between two steps."""
    with stop_on_signals() as should_stop, progress_line("training", total=num_steps) as line:

        def show(progress: TrainProgress) -> None:
            text = (
                f"loss {progress.lm_loss:.3f}, right {progress.right_share:.1%}, "
                f"{progress.steps_per_s:.2f} steps/s"
            )
            step = progress.step
            line.update(text, completed=step, line=f"step {step} of {num_steps}: {text}")

        return run.train(show, should_stop)
