"""Stages, each in a process of its own and for a limited time: `python -m bench.tune.running`."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from bench.tune.plan import Plan

ROOT = Path(__file__).parents[2]
Row = dict[str, Any]


def run_stage(name: str, plan: Plan, out: Path, limit_s: float) -> tuple[list[Row], str]:
    """Run a stage in a process; return its measurements, as far as it got, and how it ended.

    A stage's effects on the device end with its process. Measurements are appended to `out`.

    Units: limit_s in seconds.
    """
    out.touch()
    start = out.stat().st_size
    began = time.monotonic()
    command = [sys.executable, "-m", "bench.tune.running", name, plan.text(), str(out.absolute())]
    with out.with_suffix(".log").open("ab") as log:
        process = subprocess.Popen(
            command, cwd=ROOT, stdout=log, stderr=log, start_new_session=True
        )
        try:
            code = process.wait(limit_s)
            ended = "done" if code == 0 else f"failed (exit code {code}, see {log.name})"
        except subprocess.TimeoutExpired:
            ended = f"exceeded its {limit_s:.0f} s"
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
    content = out.read_bytes()[start:]
    with out.open("ab") as file:
        if content and not content.endswith(b"\n"):
            file.write(b"\n")  # the kill has torn the last line
        took = round(time.monotonic() - began, 1)
        file.write(json.dumps({"stage": name, "ended": ended, "seconds": took}).encode() + b"\n")
    return list(_rows(content.split(b"\n"))), ended


def _rows(lines: Iterable[bytes]) -> Iterable[Row]:
    for line in lines:
        try:
            row = json.loads(line)
        except ValueError:
            continue
        yield {name: value for name, value in row.items() if name != "stage"}


def measure_stage(name: str, plan: str, out: str) -> None:
    """Measure a stage in this process, appending each measurement to a file of JSON lines."""
    from bench.tune.stages import STAGES

    stage, _ = STAGES[name]
    with Path(out).open("a", encoding="utf-8") as file:
        for row in stage(Plan.from_text(plan)):
            file.write(json.dumps({"stage": name} | row) + "\n")
            file.flush()


if __name__ == "__main__":
    measure_stage(*sys.argv[1:])
