"""The soak in short: a mixed load, parts killed at random, and an audit that finds nothing."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from fault_support import ROOT


@pytest.mark.skipif(sys.platform != "linux", reason="limits the files of another process")
@pytest.mark.parametrize("minutes", [0.5, pytest.param(2, marks=pytest.mark.full)])
def test_a_short_soak_passes_its_audit(minutes: float, tmp_path: Path) -> None:
    paths = os.pathsep.join((str(ROOT / "tests"), str(ROOT)))
    options = ("--minutes", str(minutes), "--blows", "18", "--rate", "2", "--seed", "3")

    done = subprocess.run(
        [sys.executable, "-m", "soak", *options, "--folder", str(tmp_path)],
        env={**os.environ, "PYTHONPATH": paths},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
