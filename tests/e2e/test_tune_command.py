"""`python -m bench tune` from end to end, on the CPU."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from hrm_core import Engine, EngineConfig, open_checkpoint
from service.runtime.folders import state_subfolder

ROOT = Path(__file__).parents[2]


@pytest.mark.full
def test_a_sitting_on_the_cpu_measures_all_stages_and_engines_go_by_it(
    tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = [sys.executable, "-m", "bench", "tune", "--device", "cpu", "--checkpoint"]
    where = ["--state-folder", str(tmp_path), "--out", str(tmp_path / "rec")]
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # the record is of a number of threads
    done = subprocess.run(
        [*command, str(tiny_folder), *where],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=2400,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    lines = [json.loads(line) for line in (tmp_path / "rec.jsonl").read_text().splitlines()]
    ended = {line["stage"]: line["ended"] for line in lines if "ended" in line}
    assert set(ended.values()) == {"done"}, ended
    assert all(line["passed"] for line in lines if "passed" in line)
    assert "% of peak" in done.stdout

    checkpoint = open_checkpoint(tiny_folder)
    folder = state_subfolder("tuned", tmp_path)
    (record,) = folder.glob("*.json")
    wanted = json.loads(record.read_text())["tuned"]["num_slots"]
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    engine = Engine(checkpoint, EngineConfig(torch.device("cpu"), tuned_folder=folder))
    torch.set_num_threads(before)
    assert engine.num_slots == wanted


def test_a_checkpoint_that_is_not_there_is_bad_input(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "bench", "tune", "--checkpoint", str(tmp_path / "none")]
    done = subprocess.run(
        [*command, "--state-folder", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 2
    assert "no such folder" in done.stderr
