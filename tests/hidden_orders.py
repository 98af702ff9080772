"""Checkpoints trained with names in the order of HRM's builder, for an order of files of choice."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch

from augment import (
    IDENTITY,
    BuilderReplay,
    BuilderTask,
    Dialect,
    Task,
    TaskFolder,
    Variant,
    parse_task,
    task_document,
)
from hrm_core import (
    ARC_VOCAB_SIZE,
    Pretraining,
    TrainSettings,
    open_checkpoint,
    parse_arch,
    start_from,
)
from service.adaptation import dataset as datasets

INPUTS = ([[1, 2, 3], [4, 5, 6], [7, 8, 9]], [[0, 1, 1], [2, 0, 3], [4, 4, 0]])
# One output for each task, whatever the input: only the row determines the answer.
OUTPUTS = {
    "a": [[1, 1], [1, 1]],
    "b": [[3, 3, 3]],
    "c": [[5, 0], [6, 5]],
    "d": [[2], [7], [2]],
    "e": [[9, 8, 7], [8, 9, 8]],
    "f": [[0, 4, 0], [4, 0, 4], [0, 4, 0]],
}
NUM_VARIANTS = 5
TINY_ARCH = {
    "name": "hrm.hrm_act_v1@HierarchicalReasoningModel_ACTV1",
    "hidden_size": 32,
    "num_heads": 2,
    "H_layers": 1,
    "L_layers": 1,
    "H_cycles": 1,
    "L_cycles": 1,
    "expansion": 2,
    "halt_max_steps": 3,
    "halt_exploration_prob": 0.5,
    "puzzle_emb_ndim": 32,
    "pos_encodings": "rope",
    "forward_dtype": "float32",
}
TINY_SETTINGS = TrainSettings(num_steps=250, batch_size=48, lr=2e-3, warmup_steps=10)


@dataclass(frozen=True, slots=True)
class HiddenOrder:
    """A checkpoint without names, the data behind it in the hidden order, and the names."""

    checkpoint: Path
    data: Path
    names: list[str]
    folders: Sequence[TaskFolder]

    def rename_files(self, data: Path) -> None:
        """Write the data with names of files of which the hidden order is the reverse one."""
        for folder in self.folders:
            (data / folder.name).mkdir(parents=True)
            for position, one in enumerate(reversed(folder.tasks)):
                _write(data / folder.name / f"{position}.json", one.task)


def folder_of(name: str, tasks: Sequence[Task]) -> TaskFolder:
    """Return a folder of tasks in the order given."""
    return TaskFolder(name, tuple(BuilderTask(task.puzzle.name, task) for task in tasks))


def constant_task(name: str) -> Task:
    """Return one of the tasks with a constant output."""
    pairs = [{"input": rows, "output": OUTPUTS[name]} for rows in INPUTS]
    return parse_task({"train": pairs, "test": pairs[:1]}, name)


def train_constant(path: Path) -> HiddenOrder:
    """Train on the constant tasks, in an order that is neither sorted nor reversed."""
    folders = [
        folder_of("training", [constant_task(name) for name in "bdac"]),
        folder_of("evaluation", [constant_task(name) for name in "ef"]),
    ]
    return train_in_order(path, folders, NUM_VARIANTS, TINY_ARCH, 3, TINY_SETTINGS)


def train_in_order(
    path: Path,
    folders: Sequence[TaskFolder],
    num_variants: int,
    arch: dict[str, Any],
    canvas: int,
    settings: TrainSettings,
    base: Path | None = None,
) -> HiddenOrder:
    """Train a checkpoint on the variants that the builder draws, from `base` where it is given."""
    builder = BuilderReplay(num_variants)
    tasks = [folder.tasks for folder in folders]
    names = builder.names(tasks, Dialect.HRM)
    variants: dict[str, list[Variant]] = {}
    for name in names[1:]:
        puzzle, variant = Dialect.HRM.parse(name)
        variants.setdefault(puzzle, []).append(variant)
    assert all(group[0] == IDENTITY for group in variants.values())
    puzzles = {one.task.puzzle.name: one.task.puzzle for folder in tasks for one in folder}
    with patch.object(datasets, "draw_variants", lambda puzzle, num, seed: variants[puzzle.name]):
        dataset = datasets.build_dataset([puzzles[name] for name in variants], canvas, 0, 0)
    assert list(dataset.identifiers) == names
    run = Pretraining(
        path / "checkpoint",
        parse_arch({"arch": arch}).configure(
            vocab_size=ARC_VOCAB_SIZE, seq_len=canvas**2, num_rows=len(names)
        ),
        dataset.arrays,
        settings,
        {},
        device=torch.device("cpu"),
        compile_step=False,
        num_threads=1,
        start=None if base is None else start_from(open_checkpoint(base), names),
    )
    run.train(lambda progress: None)
    for folder in folders:
        (path / "data" / folder.name).mkdir(parents=True)
        for one in folder.tasks:
            _write(path / "data" / folder.name / f"{one.stem}.json", one.task)
    return HiddenOrder(path / "checkpoint", path / "data", names, folders)


def _write(path: Path, task: Task) -> None:
    path.write_text(json.dumps(task_document(task)), encoding="utf-8")
