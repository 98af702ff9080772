"""`hrm-arc train` and `adapt` on several devices: files like those of one, and ranks that die."""

import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch

from hrm_core import snapshot_step

pytestmark = pytest.mark.full

START_LIMIT_S = 300  # a busy machine takes its time to import torch
BATCH_SIZE = 32
TRAIN = (
    *("--canvas", 3, "--hidden-size", 32, "--heads", 2, "--layers", 1, "--variants", 2),
    *("--h-cycles", 1, "--l-cycles", 1, "--max-segments", 2, "--precision", "float32"),
    *("--batch-size", BATCH_SIZE, "--lr", 4e-3, "--warmup", 10, "--ema", 0.9),
    *("--device", "cpu", "--no-compile", "--snapshot-s", 0.05, "--steps", 1500),
)
ADAPT = (
    *("--variants", 4, "--batch-size", BATCH_SIZE, "--device", "cpu", "--no-compile"),
    *("--steps", 30, "--lr", 4e-3),
)
IN_SLICES = ("--slice-size", BATCH_SIZE // 2)


def weights_in(folder: Path) -> dict[str, torch.Tensor]:
    (path,) = folder.glob("step_*")
    weights: dict[str, torch.Tensor] = torch.load(path, weights_only=True)
    return weights


def assert_same_weights(one: Path, other: Path) -> None:
    expected = weights_in(other)
    assert weights_in(one).keys() == expected.keys()
    for name, value in weights_in(one).items():
        assert torch.equal(value, expected[name]), name


def find_rank(parent: int, rank: int) -> psutil.Process:
    """Wait for the process of a rank."""
    deadline = time.monotonic() + START_LIMIT_S
    while time.monotonic() < deadline:
        for child in psutil.Process(parent).children(recursive=True):
            if child.environ().get("RANK") == str(rank):
                return child
        time.sleep(0.05)
    raise AssertionError(f"no rank {rank}")


def test_a_training_with_killed_ranks_ends_as_one_process_in_slices(
    hrm_arc: Any,
    start_hrm_arc: Callable[..., subprocess.Popen[str]],
    monkeypatch: pytest.MonkeyPatch,
    task_folder: Path,
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    folder = tmp_path / "ranks"
    command = ("train", folder, "--tasks", task_folder, *TRAIN, "--devices", 2)
    chance = random.Random(5)
    for rank in (1, 0, 0, 1, 1):
        before = snapshot_step(folder)
        process = start_hrm_arc(*command)
        victim = find_rank(process.pid, rank)
        deadline = time.monotonic() + START_LIMIT_S
        while snapshot_step(folder) == before and process.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        time.sleep(chance.uniform(0.0, 0.5))
        victim.kill()
        out, err = process.communicate(timeout=START_LIMIT_S)

        assert process.returncode == 1, out + err
        said = f"rank {rank} of 2 ended by signal 9 (SIGKILL); the same command continues from step"
        found = re.search(re.escape(said) + r" (\d+)\.", " ".join(err.split()))
        assert found, err
        assert int(found[1]) == snapshot_step(folder)

    process = start_hrm_arc(*command)
    out, err = process.communicate(timeout=START_LIMIT_S)
    assert process.returncode == 0, err
    assert out.count("continuing at step") == out.count("Done:") == 1

    assert hrm_arc("train", tmp_path / "one", "--tasks", task_folder, *TRAIN, *IN_SLICES).code == 0
    assert_same_weights(folder, tmp_path / "one")


def test_ctrl_c_stops_all_ranks_and_one_process_continues(
    hrm_arc: Any,
    start_hrm_arc: Callable[..., subprocess.Popen[str]],
    task_folder: Path,
    tmp_path: Path,
) -> None:
    folder = tmp_path / "ranks"
    command = ("train", folder, "--tasks", task_folder, *TRAIN)
    process = start_hrm_arc(*command, "--devices", 2)
    deadline = time.monotonic() + START_LIMIT_S
    while snapshot_step(folder) is None and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=START_LIMIT_S)

    assert process.returncode == 130, err
    step = snapshot_step(folder)
    assert f"Stopped at step {step}. The same command continues from here." in out
    again = hrm_arc(*command)
    assert again.code == 0
    assert f"continuing at step {step}" in again.out


def test_torchrun_adapts_as_one_process_in_slices(
    hrm_arc: Any, tiny_folder: Path, task_folder: Path, tmp_path: Path
) -> None:
    tasks = ("--tasks", task_folder / "bar.json")

    def command(out: str) -> tuple[str, ...]:
        return tuple(map(str, ("adapt", tiny_folder, *tasks, "--out", tmp_path / out, *ADAPT)))

    launcher = ("torch.distributed.run", "--standalone", "--nproc-per-node", "2")
    done = subprocess.run(
        [sys.executable, "-m", *launcher, "-m", "service.cli", *command("ranks")],
        capture_output=True,
        text=True,
        timeout=START_LIMIT_S,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("Done in") == 1
    assert hrm_arc(*command("one"), *IN_SLICES).code == 0
    assert_same_weights(tmp_path / "ranks", tmp_path / "one")


def test_what_is_refused_is_said_once(
    hrm_arc: Any,
    start_hrm_arc: Callable[..., subprocess.Popen[str]],
    task_folder: Path,
    tmp_path: Path,
) -> None:
    command = ("train", tmp_path / "run", "--tasks", task_folder, *TRAIN)
    refused = hrm_arc(*command, "--devices", "some")
    assert refused.code == 2
    assert "--devices some: give all, or a number of devices" in refused.said

    process = start_hrm_arc(*command, "--devices", 3)
    _, err = process.communicate(timeout=START_LIMIT_S)
    assert process.returncode == 2
    assert " ".join(err.split()).count("batches of 32 cannot be divided among 3 devices") == 1
