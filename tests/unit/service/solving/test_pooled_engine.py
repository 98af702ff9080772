"""A pooled engine: samples go to several processes, and each comes back once."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from pool_engines import FIRST_SLOTS, POISON, make_fake, make_on_first

from hrm_core import Checkpoint, EngineError, Outcome, Sample, open_checkpoint
from service.runtime.devices import EngineOptions
from service.solving.pooled_engine import PooledEngine

DEADLINE_S = 120.0
# Starts a pool, says which processes it has, and waits.
PARENT = """
import sys
from pathlib import Path
from pool_engines import make_fake
from hrm_core import open_checkpoint
from service.runtime.devices import EngineOptions
from service.solving.pooled_engine import PooledEngine
pool = PooledEngine(
    open_checkpoint(Path(sys.argv[1])), ["cpu:0", "cpu:1"], EngineOptions(), make_fake,
    say=lambda sentence: None, warn=lambda sentence: None,
)
print(*pool.process_ids, flush=True)
sys.stdin.read()
"""


@pytest.fixture(scope="module", autouse=True)
def _importable() -> Iterator[None]:
    """Let processes import the engines of these tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join(path for path in sys.path if path))
        yield


@pytest.fixture(scope="module")
def checkpoint(tiny_folder: Path) -> Checkpoint:
    return open_checkpoint(tiny_folder)


def start(
    checkpoint: Checkpoint, num: int, warnings: list[str], make_engine: Any = make_fake
) -> PooledEngine:
    devices = [f"cpu:{index}" for index in range(num)]
    return PooledEngine(
        checkpoint,
        devices,
        EngineOptions(),
        make_engine,
        say=lambda sentence: None,
        warn=warnings.append,
    )


@pytest.fixture(scope="module")
def pool(checkpoint: Checkpoint) -> PooledEngine:
    """Return a pool of two processes that nobody ends."""
    return start(checkpoint, 2, [])


def samples(checkpoint: Checkpoint, num: int, token: int = 1) -> list[Sample]:
    config = checkpoint.config
    row = np.zeros(config.puzzle_emb_ndim, dtype=np.float32)
    tokens = np.full(config.seq_len, token, dtype=np.int32)
    return [Sample(("sample", index), tokens + index % 3, row) for index in range(num)]


def drain(pool: PooledEngine) -> list[Outcome]:
    outcomes: list[Outcome] = []
    deadline = time.monotonic() + DEADLINE_S
    while not pool.is_idle:
        assert time.monotonic() < deadline
        outcomes += pool.step()
    return outcomes


def has_ended(process_id: int) -> bool:
    try:
        return psutil.Process(process_id).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def wait_for_end(*process_ids: int) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not all(map(has_ended, process_ids)):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_every_sample_comes_back_once_to_its_job(
    pool: PooledEngine, checkpoint: Checkpoint
) -> None:
    jobs = {job: samples(checkpoint, 40) for job in ("one", "other")}
    for job, mine in jobs.items():
        pool.add(mine, job=job)
    assert pool.num_seated > 0
    assert pool.num_waiting > 0

    outcomes = drain(pool)

    expected = {(job, sample.sample_id): sample for job in jobs for sample in jobs[job]}
    assert Counter((one.job, one.sample_id) for one in outcomes) == Counter(expected.keys())
    for one in outcomes:
        assert one.tokens.tolist() == expected[one.job, one.sample_id].tokens.tolist()
    assert {int(one.q_continue_logit) for one in outcomes} == set(pool.process_ids)


def test_few_samples_are_shared_out_evenly(pool: PooledEngine, checkpoint: Checkpoint) -> None:
    pool.add(samples(checkpoint, 4), job="few")

    used = Counter(int(one.q_continue_logit) for one in drain(pool))

    assert used == dict.fromkeys(pool.process_ids, 2)


def test_what_is_cancelled_does_not_come_back(pool: PooledEngine, checkpoint: Checkpoint) -> None:
    pool.add(samples(checkpoint, 60), job="kept")
    pool.add(samples(checkpoint, 60), job="dropped")

    assert pool.cancel("dropped") == 60
    assert pool.cancel("kept", lambda sample_id: sample_id[1] >= 20) == 40

    assert Counter(one.job for one in drain(pool)) == {"kept": 20}


def test_what_the_first_engine_chooses_holds_for_all(pool: PooledEngine) -> None:
    assert [process.num_slots for process in pool._processes] == [FIRST_SLOTS] * 2
    assert (pool.num_slots, pool.num_threads, pool.precision) == (FIRST_SLOTS, 1, "float32")
    assert (str(pool.device), pool.attention.name) == ("cpu:0, cpu:1", "sdpa")


def test_likelihoods_need_one_device(pool: PooledEngine) -> None:
    with pytest.raises(EngineError, match="name one with --device"):
        pool.log_likelihoods(None, None, None)


def test_a_process_that_ends_hands_its_samples_to_the_others(checkpoint: Checkpoint) -> None:
    warnings: list[str] = []
    pool = start(checkpoint, 3, warnings)
    killed, *others = pool.process_ids
    pool.add(samples(checkpoint, 100), job="all")
    os.kill(killed, signal.SIGKILL)
    wait_for_end(killed)

    outcomes = drain(pool)

    assert Counter(one.sample_id[1] for one in outcomes) == Counter(range(100))
    assert pool.process_ids == tuple(others)
    (warning,) = warnings
    assert "cpu:0 is left out (its process ended by signal 9)" in warning

    # What no device can compute ends the processes one after another.
    pool.add(samples(checkpoint, 1, POISON), job="poison")
    with pytest.raises(EngineError, match=r"no device is left, .* illegal memory access"):
        drain(pool)
    assert len(warnings) == 2
    assert "illegal memory access" in warnings[1]
    wait_for_end(*others)


def test_an_engine_that_cannot_be_made_is_named(checkpoint: Checkpoint) -> None:
    before = {child.pid for child in psutil.Process().children(recursive=True)}

    with pytest.raises(EngineError, match="no engine on cpu:1: device is not present"):
        start(checkpoint, 2, [], make_on_first)

    started = {child.pid for child in psutil.Process().children(recursive=True)} - before
    wait_for_end(*started)


def test_processes_end_with_the_pool(checkpoint: Checkpoint) -> None:
    pool = start(checkpoint, 1, [])
    process_ids = pool.process_ids
    del pool

    wait_for_end(*process_ids)


def test_processes_end_with_a_parent_that_is_killed(tiny_folder: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tiny_folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as parent:
        assert parent.stdout is not None
        process_ids = [int(word) for word in parent.stdout.readline().split()]
        assert not any(map(has_ended, process_ids))
        parent.kill()

    assert len(process_ids) == 2
    wait_for_end(*process_ids)
