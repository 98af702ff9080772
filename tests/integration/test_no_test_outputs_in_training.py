"""Training never sees a test output: whatever they are, the same bytes are written."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from service.cli import main

# Smaller, larger, and larger than the canvas, which must not make --fitting leave the puzzle out.
POISONS = ([[9]], [[8, 8, 8], [8, 8, 8]], [[7] * 11 for _ in range(12)])
OPTIONS = (
    *("--fitting", "--canvas", 4, "--variants", 3, "--steps", 4, "--batch-size", 8),
    *("--hidden-size", 16, "--heads", 1, "--layers", 1, "--h-cycles", 1, "--l-cycles", 1),
    *("--max-segments", 2, "--precision", "float32", "--warmup", 2, "--ema", 0.9),
    *("--device", "cpu", "--no-compile"),
)

Change = Callable[[dict[str, Any]], object]


def leave(task: dict[str, Any]) -> None:
    """Change nothing."""


def poison_test_outputs(task: dict[str, Any]) -> None:
    for place, entry in enumerate(task["test"]):
        entry["output"] = POISONS[(len(task["name"]) + place) % len(POISONS)]


def remove_test_outputs(task: dict[str, Any]) -> None:
    for entry in task["test"]:
        del entry["output"]


def poison_one_demonstration(task: dict[str, Any]) -> None:
    if task["name"] == "bar":
        task["train"][1]["output"] = [[3, 3, 4]]


@pytest.fixture
def trained_bytes(
    task_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, one_thread: None
) -> Callable[[str, Change], dict[str, bytes]]:
    """Return what trains on changed task files, and gives the files of the checkpoint."""

    def train(name: str, change: Change) -> dict[str, bytes]:
        tasks, folder = tmp_path / f"{name}-tasks", tmp_path / name
        tasks.mkdir()
        for source in task_folder.glob("*.json"):
            document = json.loads(source.read_text(encoding="utf-8"))
            change(document)
            (tasks / source.name).write_text(json.dumps(document), encoding="utf-8")
        command = ["hrm-arc", "train", folder, "--tasks", tasks, *OPTIONS]
        monkeypatch.setattr(sys, "argv", list(map(str, command)))
        with pytest.raises(SystemExit) as stopped:
            main()
        assert not stopped.value.code
        names = ("step_4", "identifiers.json", "puzzles.json", "dataset.json", "all_config.yaml")
        return {name: (folder / name).read_bytes() for name in names}

    return train


@pytest.mark.parametrize("change", [poison_test_outputs, remove_test_outputs])
def test_other_test_outputs_change_no_byte_of_the_checkpoint(
    trained_bytes: Callable[[str, Change], dict[str, bytes]], change: Change
) -> None:
    clean = trained_bytes("clean", leave)
    poisoned = trained_bytes("poisoned", change)

    assert [name for name in clean if clean[name] != poisoned[name]] == []


def test_one_other_demonstration_changes_the_weights(
    trained_bytes: Callable[[str, Change], dict[str, bytes]],
) -> None:
    clean = trained_bytes("clean", leave)
    changed = trained_bytes("changed", poison_one_demonstration)

    assert clean["step_4"] != changed["step_4"]
    assert clean["puzzles.json"] != changed["puzzles.json"]
