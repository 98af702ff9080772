"""Neither training nor adaptation sees a test output: whatever they are, the same is written."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from service.cli import main

# Smaller, larger, and larger than the canvas, which must not make --fitting leave the puzzle out.
POISONS = ([[9]], [[8, 8, 8], [8, 8, 8]], [[7] * 11 for _ in range(12)])
CANVAS = {False: ("--canvas", 4), True: ("--canvas", 11, "--crop")}
OPTIONS = (
    *("--fitting", "--variants", 3, "--steps", 4, "--batch-size", 8),
    *("--hidden-size", 16, "--heads", 1, "--layers", 1, "--h-cycles", 1, "--l-cycles", 1),
    *("--max-segments", 2, "--precision", "float32", "--warmup", 2, "--ema", 0.9),
    *("--device", "cpu", "--no-compile"),
)
ADAPT_OPTIONS = (
    *("--fitting", "--variants", 3, "--steps", 4, "--batch-size", 8),
    *("--device", "cpu", "--no-compile"),
)
FILES = ("step_4", "identifiers.json", "puzzles.json", "dataset.json", "all_config.yaml")

Change = Callable[[dict[str, Any]], object]
MadeFiles = Callable[[str, Change], dict[str, object]]


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
def run_hrm_arc(monkeypatch: pytest.MonkeyPatch, one_thread: None) -> Callable[..., None]:
    """Return what runs the program to its good end."""

    def run(*command: object) -> None:
        monkeypatch.setattr(sys, "argv", ["hrm-arc", *map(str, command)])
        with pytest.raises(SystemExit) as stopped:
            main()
        assert not stopped.value.code

    return run


@pytest.fixture(params=["train", "adapt", "train with crop", "adapt with crop"])
def made_files(
    request: pytest.FixtureRequest,
    task_folder: Path,
    tmp_path: Path,
    run_hrm_arc: Callable[..., None],
) -> MadeFiles:
    """Return what trains on changed task files, or adapts to them, and gives what it wrote."""
    base = tmp_path / "base"
    command, *crop = request.param.split(" with ")
    options = (*OPTIONS, *CANVAS[bool(crop)])
    if command == "adapt":
        run_hrm_arc("train", base, "--tasks", task_folder / "steps.json", *options)

    def make(name: str, change: Change) -> dict[str, object]:
        tasks, folder = tmp_path / f"{name}-tasks", tmp_path / name
        tasks.mkdir()
        for source in task_folder.glob("*.json"):
            document = json.loads(source.read_text(encoding="utf-8"))
            change(document)
            (tasks / source.name).write_text(json.dumps(document), encoding="utf-8")
        if command == "train":
            run_hrm_arc("train", folder, "--tasks", tasks, *options)
            return {file: (folder / file).read_bytes() for file in FILES}
        run_hrm_arc("adapt", base, "--tasks", tasks, "--out", folder, *ADAPT_OPTIONS)
        record = json.loads((folder / "adaptation.json").read_text(encoding="utf-8"))
        del record["seconds"]
        files: dict[str, object] = {file: (folder / file).read_bytes() for file in FILES}
        return files | {"adaptation.json": record}

    return make


@pytest.mark.parametrize("change", [poison_test_outputs, remove_test_outputs])
def test_other_test_outputs_change_no_byte_of_the_checkpoint(
    made_files: MadeFiles, change: Change
) -> None:
    clean = made_files("clean", leave)
    poisoned = made_files("poisoned", change)

    assert [name for name in clean if clean[name] != poisoned[name]] == []


def test_one_other_demonstration_changes_the_weights(made_files: MadeFiles) -> None:
    clean = made_files("clean", leave)
    changed = made_files("changed", poison_one_demonstration)

    assert clean["step_4"] != changed["step_4"]
    assert clean["puzzles.json"] != changed["puzzles.json"]
