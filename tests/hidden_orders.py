"""Checkpoints trained with names in the order of HRM's builder, for an order of files of choice."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch

from augment import IDENTITY, BuilderReplay, BuilderTask, Task, TaskFolder, Variant, task_document
from hrm_core import ARC_VOCAB_SIZE, Pretraining, TrainSettings, open_checkpoint, parse_arch
from hrm_core.training.start import Start, start_from
from service.adaptation import dataset as datasets


def write_folders(path: Path, folders: Sequence[tuple[str, Sequence[Task]]]) -> None:
    """Write folders of task files as HRM's builder reads them."""
    for name, tasks in folders:
        (path / name).mkdir(parents=True)
        for task in tasks:
            document = json.dumps(task_document(task))
            (path / name / f"{task.puzzle.name}.json").write_text(document, encoding="utf-8")


def train_in_order(
    folder: Path,
    folders: Sequence[TaskFolder],
    num_variants: int,
    arch: dict[str, Any],
    canvas: int,
    settings: TrainSettings,
    base: Path | None = None,
) -> list[str]:
    """Train a checkpoint on the variants that the builder draws; return its names, which it lacks.

    `base` is a checkpoint to start from.
    """
    builder = BuilderReplay(num_variants)
    place = 0
    variants: dict[str, tuple[Variant, ...]] = {}
    met: list[BuilderTask] = []
    for one in folders:
        order, place = builder.shuffle(place, len(one.tasks))
        for index in order:
            group = builder.draw(one.tasks[index], place)
            place = group.end
            met.append(one.tasks[index])
            drawn = (group.variant(number) for number in range(len(group.dihedrals)))
            variants[met[-1].task.puzzle.name] = (IDENTITY, *drawn)
    with patch.object(datasets, "draw_variants", lambda puzzle, num, seed: variants[puzzle.name]):
        dataset = datasets.build_dataset([task.task.puzzle for task in met], canvas, 0, 0)
    config = parse_arch({"arch": arch}).configure(
        vocab_size=ARC_VOCAB_SIZE, seq_len=canvas**2, num_rows=len(dataset.identifiers)
    )
    start: Start | None = None
    if base is not None:
        start = start_from(open_checkpoint(base), dataset.identifiers)
    run = Pretraining(
        folder,
        config,
        dataset.arrays,
        settings,
        {},
        device=torch.device("cpu"),
        compile_step=False,
        num_threads=1,
        start=start,
    )
    run.train(lambda progress: None)
    return list(dataset.identifiers)
