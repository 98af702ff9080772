"""More slots than memory: a process with little address space, in which allocations really fail."""

import itertools
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from hrm_core import (
    Checkpoint,
    DeviceMemoryError,
    Engine,
    EngineConfig,
    Priority,
    Sample,
    open_checkpoint,
)
from hrm_core.engine.carry import SegmentOutput, SlotTensors
from hrm_core.engine.memory import count_fitting, guess_slots, is_out_of_memory
from hrm_core.model.config import ModelConfig
from hrm_core.model.network import Network

MakeCheckpoint = Callable[..., Path]
MIB = 1 << 20
CPU = torch.device("cpu")

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
    folder = make_checkpoint(canvas=30, hidden_size=64)  # the states of 512 take 225 MiB
    num_slots = int(run_in(48 * MIB, folder, folder, 512))
    assert num_slots in {512 >> halvings for halvings in range(2, 9)}


@pytest.mark.skipif(sys.platform != "linux", reason="limits of address space are Linux's here")
def test_a_device_too_small_for_one_slot_is_refused(make_checkpoint: MakeCheckpoint) -> None:
    small = make_checkpoint("small")
    wide = {"hidden_size": 64, "pos_encodings": "learned", "puzzle_emb_ndim": 0}
    large = make_checkpoint("large", canvas=250, **wide)  # one state takes 15 MiB
    # With less room, the code that oneDNN generates crashes the process.
    message = run_in(24 * MIB, small, large, num_slots=4)
    assert message.startswith("cpu has no memory left for even one slot")


def test_a_failed_allocation_is_recognised() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(1 << 50)
    assert is_out_of_memory(caught.value)
    assert is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"))
    with pytest.raises(RuntimeError) as caught:
        torch.zeros(2, 3) @ torch.zeros(2, 3)
    assert not is_out_of_memory(caught.value)
    for words in (
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
        "cuDNN error: CUDNN_STATUS_ALLOC_FAILED",
        "could not create a primitive",
        "cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED",
    ):
        assert is_out_of_memory(RuntimeError(words))


def test_a_guess_leaves_memory_free_and_gives_at_least_one_slot(
    tiny_config: Callable[..., ModelConfig],
) -> None:
    small = tiny_config()
    assert count_fitting(small, CPU, torch.float32) > 512
    assert 16 <= guess_slots(small, CPU, torch.float32, 1) < 512
    assert guess_slots(small, CPU, torch.float32, 64) == 512
    half = count_fitting(small, CPU, torch.bfloat16)
    assert half > 1.5 * count_fitting(small, CPU, torch.float32)
    arc = tiny_config(canvas=30, hidden_size=512, num_heads=8, puzzle_emb_ndim=512)
    assert 1 <= guess_slots(arc, CPU, torch.float32, 64) < 512
    vast = tiny_config(canvas=250, hidden_size=16_384)
    assert guess_slots(vast, CPU, torch.float32, 64) == 1


def samples(checkpoint: Checkpoint, num: int) -> list[Sample]:
    config = checkpoint.config
    rng = np.random.default_rng(0)
    return [
        Sample(
            index,
            rng.integers(0, config.vocab_size, config.seq_len).astype(np.int32),
            checkpoint.rows.gather([1 + index])[0],
        )
        for index in range(num)
    ]


def limit_slots(engine: Engine, most: int, from_call: int = 0) -> None:
    """Let the device's memory hold a step of so many slots and no more, from some step on."""
    run, calls = engine._run, itertools.count()

    def limited(network: Network, slots: SlotTensors) -> SegmentOutput:
        if len(slots.z_H) > most and next(calls) >= from_call:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return run(network, slots)

    engine._run = limited


@pytest.mark.usefixtures("one_thread")
def test_memory_that_runs_out_in_a_step_costs_slots_and_no_answer(
    make_checkpoint: MakeCheckpoint,
) -> None:
    checkpoint = open_checkpoint(make_checkpoint(num_rows=20, halt_max_steps=5))
    answers = []
    for most in (8, 2):
        engine = Engine(checkpoint, EngineConfig(CPU, num_slots=8))
        limit_slots(engine, most, from_call=3)
        for job, part in (("first", slice(0, 5)), ("second", slice(5, 12))):
            engine.add(samples(checkpoint, 12)[part], job=job, priority=Priority.BATCH)
        answers.append({o.sample_id: (o.tokens.tolist(), o.steps) for o in engine.drain()})
        assert engine.num_slots == most
        assert engine.is_idle
    assert answers[0] == answers[1]
    assert len(answers[0]) == 12


@pytest.mark.usefixtures("one_thread")
def test_without_memory_for_one_slot_a_step_says_so_and_its_samples_can_be_cancelled(
    make_checkpoint: MakeCheckpoint,
) -> None:
    checkpoint = open_checkpoint(make_checkpoint(num_rows=20))
    engine = Engine(checkpoint, EngineConfig(CPU, num_slots=2))
    limit_slots(engine, 0)
    engine.add(samples(checkpoint, 3), job="job")
    with pytest.raises(DeviceMemoryError, match="no memory left for even one slot"):
        list(engine.drain())
    assert engine.cancel("job") == 3
    assert engine.is_idle


def test_a_network_without_room_is_refused_as_short_of_memory(
    make_checkpoint: MakeCheckpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    monkeypatch.setattr(Checkpoint, "load_network", fail)
    with pytest.raises(DeviceMemoryError, match="no memory left for the network"):
        Engine(open_checkpoint(make_checkpoint()), EngineConfig(CPU, num_slots=2))
