"""Fixtures of the worker's tests: a worker in a thread of this process, and the job layer."""

import asyncio
import json
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from augment import Puzzle, Task, task_document
from bench.fake_engine import FakeEngine
from service.jobs import Claims, Job, JobState, JobStore, NewJob
from service.runtime.settings import Settings
from service.solving.records import read_index
from service.worker import Worker

TIMEOUT_S = 120.0


@pytest.fixture(scope="module")
def probes(small_folder: Path) -> tuple[Puzzle, ...]:
    """Return whole puzzles that the small checkpoint knows."""
    index = read_index(small_folder)
    assert index is not None
    return index.probes


class RunningWorker:
    """A worker in a thread."""

    def __init__(
        self, url: str, settings: Settings, make_engine: Any, name: str, tracer: Any = None
    ) -> None:
        self.url = url
        self.claims = Claims(
            url, worker_id=name, lease_s=settings.lease_s, max_attempts=settings.max_attempts
        )
        self.worker = Worker(settings, self.claims, make_engine, tracer)
        self.code: int | None = None
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def stop(self) -> int | None:
        self.worker.stop()
        return self.wait()

    def wait(self) -> int | None:
        self._thread.join(TIMEOUT_S)
        assert not self._thread.is_alive()
        return self.code

    def _run(self) -> None:
        self.code = self.worker.run()


class Queue:
    """The job layer as callers see it."""

    def __init__(self, url: str) -> None:
        self.url = url

    def ask(self, question: Callable[[JobStore], Awaitable[Any]]) -> Any:
        async def asked() -> Any:
            store = JobStore.connect(self.url)
            try:
                return await question(store)
            finally:
                await store.close()

        return asyncio.run(asked())

    def submit(
        self, puzzle: Puzzle, deadline_s: float | None = None, traceparent: str = "", **options: Any
    ) -> str:
        document = task_document(Task(puzzle, (None,) * len(puzzle.test)))
        new = NewJob(
            owner="anonymous",
            name=puzzle.name,
            priority=options.get("priority", "interactive"),
            task=json.dumps(document).encode(),
            options=json.dumps(options).encode(),
            fingerprint="",
            deadline_s=deadline_s,
            traceparent=traceparent,
        )
        submitted = self.ask(lambda store: store.submit(new))
        return str(submitted.job.id)

    def get(self, job_id: str) -> Job:
        job: Job = self.ask(lambda store: store.get(job_id))
        return job

    def wait_until(self, job_id: str, holds: Callable[[Job], bool]) -> Job:
        deadline = time.monotonic() + TIMEOUT_S
        while not holds(job := self.get(job_id)):
            assert time.monotonic() < deadline, job
            time.sleep(0.05)
        return job

    def wait_until_ended(self, job_id: str) -> Job:
        return self.wait_until(job_id, lambda job: job.state.is_final)

    def wait_until_running(self, job_id: str) -> Job:
        return self.wait_until(job_id, lambda job: job.state == JobState.RUNNING)

    def wait_until_worker_is(self, state: str) -> Any:
        deadline = time.monotonic() + TIMEOUT_S
        while not (
            found := [w for w in self.ask(lambda store: store.served.workers()) if w.state == state]
        ):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        return found[0]


@pytest.fixture
def queue(valkey_url: str) -> Queue:
    """Return the job layer as callers see it."""
    return Queue(valkey_url)


@pytest.fixture
def settings_of(valkey_url: str, small_folder: Path, tmp_path: Path) -> Callable[..., Settings]:
    """Return a maker of settings for a worker on the small checkpoint."""

    def make(**changes: Any) -> Settings:
        defaults: dict[str, Any] = {
            "redis_url": valkey_url,
            "state_folder": tmp_path,
            "checkpoints": (small_folder,),
            "allow_unverified": True,
            "device": "cpu",
        }
        return Settings(**(defaults | changes))

    return make


@pytest.fixture
def start(
    valkey_url: str, settings_of: Callable[..., Settings]
) -> Iterator[Callable[..., RunningWorker]]:
    """Return what starts workers; they are stopped with the test."""
    started: list[RunningWorker] = []

    def make(
        make_engine: Any = FakeEngine, name: str = "w", tracer: Any = None, **settings: Any
    ) -> RunningWorker:
        chosen = settings_of(**settings)
        started.append(RunningWorker(valkey_url, chosen, make_engine, name, tracer))
        return started[-1]

    yield make
    for running in started:
        running.worker.stop()
        running.stop()
