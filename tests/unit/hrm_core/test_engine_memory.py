"""More slots than memory: a process with little address space, in which allocations really fail."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from hrm_core.config import ModelConfig
from hrm_core.memory import count_fitting, guess_slots, is_out_of_memory

MakeCheckpoint = Callable[..., Path]
MIB = 1 << 20

# Threads and libraries take their address space before the limit is set.
PROGRAM = """
import resource, sys
from pathlib import Path
import torch
torch.set_num_threads(1)
from hrm_core import DeviceMemoryError, Engine, EngineConfig, open_checkpoint
small, folder, room, num_slots = Path(sys.argv[1]), Path(sys.argv[2]), *map(int, sys.argv[3:])
cpu = torch.device("cpu")
Engine(open_checkpoint(small), EngineConfig(cpu, num_slots=2))
checkpoint = open_checkpoint(folder)
num_pages = int(Path("/proc/self/statm").read_text().split()[0])
limit = num_pages * resource.getpagesize() + room
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
try:
    print(Engine(checkpoint, EngineConfig(cpu, num_slots=num_slots)).num_slots)
except DeviceMemoryError as error:
    print(error)
"""


def run_in(room: int, small: Path, folder: Path, num_slots: int) -> str:
    command = [sys.executable, "-c", PROGRAM, str(small), str(folder), str(room), str(num_slots)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=500, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.skipif(sys.platform != "linux", reason="limits of address space are Linux's here")
def test_slots_are_halved_until_they_fit(make_checkpoint: MakeCheckpoint) -> None:
    folder = make_checkpoint()
    asked = 1 << 17  # their states alone take 272 MiB
    num_slots = int(run_in(48 * MIB, folder, folder, asked))
    assert num_slots in {asked >> halvings for halvings in range(2, 9)}


@pytest.mark.skipif(sys.platform != "linux", reason="limits of address space are Linux's here")
def test_a_device_too_small_for_one_slot_is_refused(make_checkpoint: MakeCheckpoint) -> None:
    small = make_checkpoint("small")
    wide = {"hidden_size": 64, "pos_encodings": "learned", "puzzle_emb_ndim": 0}
    large = make_checkpoint("large", canvas=250, **wide)  # one state takes 15 MiB
    message = run_in(8 * MIB, small, large, num_slots=4)
    assert message.startswith("cpu has no memory left for even one slot")


def test_a_failed_allocation_is_told_from_other_errors() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(1 << 50)
    assert is_out_of_memory(caught.value)
    assert is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"))
    with pytest.raises(RuntimeError) as caught:
        torch.zeros(2, 3) @ torch.zeros(2, 3)
    assert not is_out_of_memory(caught.value)


def test_a_guess_leaves_memory_free_and_gives_at_least_one_slot(
    tiny_config: Callable[..., ModelConfig],
) -> None:
    cpu = torch.device("cpu")
    small = tiny_config()
    assert count_fitting(small, cpu, torch.float32) > 512
    assert guess_slots(small, cpu, torch.float32) == 512
    half = count_fitting(small, cpu, torch.bfloat16)
    assert half > 1.5 * count_fitting(small, cpu, torch.float32)
    arc = tiny_config(canvas=30, hidden_size=512, num_heads=8, puzzle_emb_ndim=512)
    assert 1 <= guess_slots(arc, cpu, torch.float32) < 512
    vast = tiny_config(canvas=250, hidden_size=16_384)
    assert guess_slots(vast, cpu, torch.float32) == 1
