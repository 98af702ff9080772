"""Training on crops against training on the whole canvas: same puzzles, same time, same recipe."""

import shutil
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from matplotlib.figure import Figure

from augment import Task
from bench.model import ARCH as FULL_SIZE
from bench.report import Cell, Section
from bench.voting import Say, evaluate_whole, label_axes
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
from service.solving.records import PUZZLES_NAME, index_document

COLUMNS = (
    "network",
    "minutes",
    "steps",
    "samples",
    "samples/s",
    "single variants right %",
    "solved first",
    "solved in two",
    "test inputs",
)
# The shape and the rates of checkpoints/demo.
ARCH = FULL_SIZE | {
    "hidden_size": 128,
    "num_heads": 4,
    "H_layers": 2,
    "L_layers": 2,
    "halt_max_steps": 8,
    "puzzle_emb_ndim": 128,
}
BATCH_SIZE = 192
# Steps of a size are stopped here, so that both networks are slowed alike when the host is busy.
TURN_S = 5.0


@dataclass(slots=True)
class Arm:
    """A training run, on the whole canvas or on crops of it."""

    name: str
    run: Pretraining
    num_samples: int = 0

    def train(self, seconds: float) -> None:
        """Train for so many seconds more, to the end of a step."""
        stop_at = self.run.seconds + seconds
        turns = self.run.turns()
        while self.run.seconds < stop_at:
            batch_size = self.run.lanes.next().batch_size
            while not next(turns).is_between_steps:
                continue
            self.num_samples += batch_size


def measure_crop(
    plot: Path | None,
    tasks: Sequence[Task],
    canvas: int,
    variants: int,
    minutes: Sequence[float],
    *,
    seed: int,
    device: str,
    compiled: bool,
    say: Say,
) -> Section:
    """Train both networks on tasks in turn, a few seconds each, and solve them at each budget.

    Time counts what training takes, compiling too; solving does not count.
    """
    rows: list[tuple[Cell, ...]] = []
    with tempfile.TemporaryDirectory(prefix="hrm-arc-bench-") as name:
        arms = [
            Arm(
                title,
                _prepare(
                    tasks, Path(name) / title, canvas, is_crop, variants, seed, device, compiled
                ),
            )
            for title, is_crop in (("canvas", False), ("crop", True))
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
    canvas: int,
    is_crop: bool,
    variants: int,
    seed: int,
    device: str,
    compiled: bool,
) -> Pretraining:
    side = ARC_CANVAS if is_crop else canvas
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
    found = evaluate_whole(checkpoint, tasks, device).counts
    shutil.rmtree(folder)
    return (
        *(arm.name, minutes, arm.run.step, arm.num_samples, arm.num_samples / arm.run.seconds),
        100 * found.single_variant_share,
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
        label_axes(axes, "minutes of training", label)
    figure.savefig(path, dpi=120)
