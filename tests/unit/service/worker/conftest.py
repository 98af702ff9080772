"""What tests of the worker share: jobs for the demo's puzzles, and an engine thread to run them."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

import pytest

from augment import Puzzle, Task, task_document
from bench.fake_engine import FakeEngine
from service.jobs import Job, JobState
from service.puzzle_index import read_index
from service.worker.engine_thread import EngineThread
from service.worker.messages import Progressed, Stop
from service.worker.metrics import WorkerMetrics
from service.worker.residents import Residents

TIMEOUT_S = 60.0


@pytest.fixture(scope="session")
def probes(demo_folder: Path) -> tuple[Puzzle, ...]:
    """Return whole puzzles that the demo checkpoint knows."""
    index = read_index(demo_folder)
    assert index is not None
    return index.probes


@pytest.fixture(scope="session")
def job_of() -> Callable[..., Job]:
    """Return a maker of jobs: this puzzle, or these bytes, with these options."""

    def make(puzzle: Puzzle | bytes, job_id: str = "job", **options: Any) -> Job:
        if isinstance(puzzle, bytes):
            request = puzzle
        else:
            document = task_document(Task(puzzle, (None,) * len(puzzle.test)))
            request = json.dumps(document | {"options": options}).encode()
        return Job(
            id=job_id,
            owner="anonymous",
            name="puzzle",
            state=JobState.RUNNING,
            priority="interactive",
            request=request,
            created_at=1000.0,
            started_at=1000.25,
            finished_at=None,
            deadline_at=None,
            attempts=1,
            worker="w",
            cancel_requested=False,
            progress=None,
            result=None,
            failure=None,
            last_event="",
        )

    return make


class Engines:
    """An engine thread on fake engines, and what it has told so far."""

    def __init__(self, folders: dict[str, Path], make_engine: Any, **options: Any) -> None:
        self.told: SimpleQueue[Any] = SimpleQueue()
        self.metrics = WorkerMetrics()
        self.made: list[FakeEngine] = []

        def make(checkpoint: Any) -> Any:
            self.made.append(make_engine(checkpoint))
            return self.made[-1]

        self.thread = EngineThread(
            Residents(folders, make, options.pop("max_resident", 4)),
            self.told.put,
            self.metrics,
            worker_id="w",
            **({"allow_unverified": True} | options),
        )
        self.thread.start()

    def wait_until_ready(self) -> None:
        deadline = time.monotonic() + TIMEOUT_S
        while not self.thread.is_ready:
            assert not self.thread.has_ended, self.thread.error
            assert time.monotonic() < deadline
            time.sleep(0.01)

    def next(self) -> Any:
        """Give what is told next, ends and progress alike."""
        return self.told.get(timeout=TIMEOUT_S)

    def ends(self, num: int) -> dict[str, Any]:
        """Wait for so many ends; gives them by job."""
        found: dict[str, Any] = {}
        while len(found) < num:
            message = self.next()
            if not isinstance(message, Progressed):
                assert message.job_id not in found
                found[message.job_id] = message
        return found

    def has_told_nothing(self) -> bool:
        try:
            self.told.get_nowait()
        except Empty:
            return True
        return False


@pytest.fixture
def engines_of(demo_folder: Path) -> Iterator[Callable[..., Engines]]:
    """Return a maker of engine threads on the demo checkpoint; they end with the test."""
    made: list[Engines] = []

    def make(make_engine: Any = FakeEngine, is_awaited: bool = True, **options: Any) -> Engines:
        folders = options.pop("folders", {"demo": demo_folder})
        made.append(Engines(folders, make_engine, **options))
        if is_awaited:
            made[-1].wait_until_ready()
        return made[-1]

    yield make
    for engines in made:
        engines.thread.order(Stop())
        assert engines.thread.join(TIMEOUT_S)
