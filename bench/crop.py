"""Training on crops against training on the whole canvas: same puzzles, same time, same recipe."""

import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from augment import Task
from bench.adapt import Say, evaluate_whole, solved_cells
from bench.model import ARCH as FULL_SIZE
from bench.report import Line, Row, Section, draw_lines
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

# The shape of checkpoints/arc1, and the rates of its training.
ARCH = FULL_SIZE | {
    "hidden_size": 128,
    "num_heads": 4,
    "H_layers": 2,
    "L_layers": 2,
    "halt_max_steps": 8,
    "puzzle_emb_ndim": 128,
}
SETTINGS = TrainSettings(
    num_steps=None,
    max_seconds=1e9,
    batch_size=192,
    lr=1e-3,
    row_lr=1e-2,
    warmup_steps=200,
    ema_decay=0.998,
    translate=False,
    learns_continue=False,
    snapshot_s=1e9,
)
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
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="hrm-arc-bench-") as name:
        arms = []
        for title, is_crop in (("canvas", False), ("crop", True)):
            run = _prepare(
                tasks, Path(name) / title, canvas, is_crop, variants, seed, device, compiled
            )
            arms.append(Arm(title, run))
        for budget in sorted(minutes):
            while any(arm.run.seconds < 60 * budget for arm in arms):
                for arm in arms:
                    arm.train(min(TURN_S, 60 * budget - arm.run.seconds))
            for arm in arms:
                started = time.monotonic()
                arm.run.save()
                found = evaluate_whole(open_checkpoint(arm.run.folder), tasks, device)
                row: Row = {
                    "network": arm.name,
                    "minutes": budget,
                    "steps": arm.run.step,
                    "samples": arm.num_samples,
                    "samples/s": arm.num_samples / arm.run.seconds,
                    **solved_cells(found.counts),
                }
                rows.append(row)
                took_s = time.monotonic() - started
                say(" ".join(map(str, row.values())) + f", solved in {took_s:.0f} s")
    if plot is not None:
        _draw(rows, plot)
    return Section(
        f"Training on {len(tasks)} puzzles: a canvas of {canvas} x {canvas}, or crops of "
        f"{ARC_CANVAS} x {ARC_CANVAS}, on {device}",
        rows,
        (
            f"{variants} variants, {SETTINGS.batch_size} samples a step on the canvas and as many "
            f"positions on crops, {'compiled' if compiled else 'uncompiled'}, seed {seed}.",
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
    settings = replace(SETTINGS, seed=seed)
    if is_crop:
        num_tokens = settings.batch_size * (config.puzzle_emb_len + canvas**2)
        settings = replace(settings, batch_size=4 * settings.batch_size, batch_tokens=num_tokens)
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


def _draw(rows: Sequence[Row], path: Path) -> None:
    """Draw what was solved and learned against the minutes."""
    panels: dict[str, list[Line]] = {}
    for column, label in (
        ("solved in two", "test inputs solved in two attempts"),
        ("single variants right %", "single variants right (%)"),
    ):
        panels[label] = [
            (
                name,
                [(row["minutes"], row[column]) for row in rows if row["network"] == name],
                {"marker": "o", "color": colour},
            )
            for name, colour in (("canvas", "tab:orange"), ("crop", "tab:blue"))
        ]
    draw_lines(path, "minutes of training", panels)
