"""A worker in a process that a test starts, which trains other workers' adaptations along."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import get_context
from multiprocessing.synchronize import Event
from pathlib import Path

import torch

from bench.fake_engine import FakeEngine
from service.adaptation.cache import AdaptedCache
from service.worker.adaptation_turns import AdaptationTurns
from service.worker.engine_pool import EnginePool
from service.worker.heartbeat import Watchdog
from service.worker.messages import WorkerEvent

TIMEOUT_S = 120.0


class HelpingWorker:
    """The process, and what the test says to it."""

    def __init__(self, checkpoint: Path, cache: Path) -> None:
        spawn = get_context("spawn")
        self.is_busy, self.is_stopping = spawn.Event(), spawn.Event()
        self.is_helping = spawn.Event()
        self._cache = cache
        self.process = spawn.Process(
            target=_work,
            args=(checkpoint, cache, self.is_busy, self.is_stopping, self.is_helping),
            daemon=True,
        )

    def wait_until_accepted(self) -> None:
        """Wait until it has accepted an invitation."""
        deadline = time.monotonic() + TIMEOUT_S
        while not list(self._cache.glob(".invitations/*/*.accepted")):
            assert time.monotonic() < deadline
            time.sleep(0.01)

    def wait_until_idle(self) -> None:
        """Wait until it trains no longer."""
        deadline = time.monotonic() + TIMEOUT_S
        while self.is_helping.is_set():
            assert time.monotonic() < deadline
            time.sleep(0.01)


@contextmanager
def helping_worker(checkpoint: Path, cache: Path) -> Iterator[HelpingWorker]:
    """Start a worker that serves a checkpoint, and end it with the block."""
    worker = HelpingWorker(checkpoint, cache)
    worker.process.start()
    try:
        yield worker
    finally:
        worker.is_stopping.set()
        worker.process.join(10.0)
        worker.process.kill()
        worker.process.join()


def _work(
    checkpoint: Path, cache: Path, is_busy: Event, is_stopping: Event, is_helping: Event
) -> None:
    torch.set_num_threads(1)
    adaptations = AdaptationTurns(
        EnginePool({"tiny": checkpoint}, FakeEngine, max_resident=1),
        AdaptedCache(cache, max_bytes=10**9),
        _ignore,
        device="cpu",
        num_threads=1,
        max_devices=None,
    )
    while not is_stopping.is_set():
        adaptations.share_device((), Watchdog(), is_busy=is_busy.is_set())
        if adaptations.sharing.is_helping:
            is_helping.set()
        else:
            is_helping.clear()
            time.sleep(0.005)
    adaptations.end()


def _ignore(event: WorkerEvent) -> None:
    pass
