"""What a worker compiles: once in its life, and nothing when it starts again."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from hrm_core import can_compile

pytestmark = [
    pytest.mark.full,
    pytest.mark.skipif(not can_compile(torch.device("cpu")), reason="no C++ compiler"),
]

# A worker's engine, made as a worker makes it, and 50 puzzles of its own through it.
PROGRAM = """
import json, sys
from pathlib import Path
import torch
from augment import read_task
from hrm_core import keep_compiled, open_checkpoint
from service.solving.engines import make_engine
from service.solving.enrolment import RowIndex
from service.solving.members import Member
from service.solving.solve import Solving, solve
from service.wire.options import SolveOptions
from service.runtime.devices import EngineOptions
from service.runtime.folders import state_subfolder
from service.worker import run_worker  # all that a worker has loaded when it says where

folder, task, state = map(Path, sys.argv[1:])
torch.set_num_threads(1)
keep_compiled(state / "compiled")
from torch._dynamo.utils import counters
checkpoint = open_checkpoint(folder)
puzzle = read_task(task).puzzle

def make():
    return make_engine(
        checkpoint, EngineOptions("cpu", slots=4, compiled=True), say=sys.exit,
        tuned_folder=state_subfolder("tuned", state),
    )

engine = make()
for seed in range(50):
    if seed == 25:
        engine = make()  # it had to leave for another checkpoint, and is back
    options = SolveOptions(variants=1 + seed % 6, seed=seed)
    member = Member.find(RowIndex(checkpoint), puzzle)
    solve([engine], [Solving(puzzle, [member], options)])
print(json.dumps({
    "graphs": counters["stats"]["unique_graphs"],
    "compiled": counters["inductor"]["fxgraph_cache_miss"],
    "found": counters["inductor"]["fxgraph_cache_hit"],
}))
"""


def test_fifty_jobs_compile_once_and_the_next_start_compiles_nothing(
    tiny_folder: Path, task_folder: Path, tmp_path: Path
) -> None:
    command = [sys.executable, "-c", PROGRAM, tiny_folder, task_folder / "bar.json", tmp_path]
    environment = {
        name: value for name, value in os.environ.items() if name != "TORCHINDUCTOR_CACHE_DIR"
    }
    starts = []
    for _ in range(2):
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, check=False, timeout=1200
        )
        assert done.returncode == 0, done.stderr
        starts.append(json.loads(done.stdout.splitlines()[-1]))
    assert starts == [
        {"graphs": 1, "compiled": 1, "found": 0},
        {"graphs": 1, "compiled": 0, "found": 1},
    ]
    assert any((tmp_path / "compiled").iterdir())
