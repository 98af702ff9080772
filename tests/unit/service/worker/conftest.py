"""Fixtures of the worker's tests: jobs for known puzzles, and an engine loop to run them."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pytest
import torch
from voting_engine import ARCH

from augment import Puzzle, Task, task_document
from bench.fake_engine import FakeEngine
from bench.model import synthetic_checkpoint
from hrm_core import ARC_VOCAB_SIZE, parse_arch, write_checkpoint
from service.adaptation.cache import AdaptedCache
from service.adaptation.prepare import AdaptOptions
from service.jobs import Job, JobState
from service.solving.records import PUZZLES_NAME, index_document, read_index
from service.worker import adaptation_turns
from service.worker.adaptation_turns import AdaptationTurns
from service.worker.engine_loop import EngineLoop
from service.worker.engine_pool import EnginePool
from service.worker.messages import Control, Progressed
from service.worker.metrics import WorkerMetrics
from service.worker.served_set import ServedSet
from service.worker.shards import Divider

TIMEOUT_S = 60.0


@pytest.fixture(scope="session")
def probes(small_folder: Path) -> tuple[Puzzle, ...]:
    """Return whole puzzles that the small checkpoint knows."""
    index = read_index(small_folder)
    assert index is not None
    return index.probes


@pytest.fixture(scope="session")
def job_of() -> Callable[..., Job]:
    """Return a maker of jobs: this puzzle, or these bytes, with these options."""

    def make(
        puzzle: Puzzle | bytes, job_id: str = "job", owner: str = "anonymous", **options: Any
    ) -> Job:
        if isinstance(puzzle, bytes):
            task = puzzle
        else:
            document = task_document(Task(puzzle, (None,) * len(puzzle.test)))
            task = json.dumps(document).encode()
        return Job(
            id=job_id,
            owner=owner,
            name="puzzle",
            state=JobState.RUNNING,
            priority="interactive",
            task=task,
            options=json.dumps(options).encode(),
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


@pytest.fixture
def checkpoint_folder_of(tmp_path: Path) -> Callable[..., Path]:
    """Return a maker of untrained folders, on a canvas of 3, that know only this puzzle."""

    def make(name: str, puzzle: Puzzle) -> Path:
        config = parse_arch({"arch": ARCH}).configure(
            vocab_size=ARC_VOCAB_SIZE, seq_len=9, num_rows=2
        )
        documents = {
            "identifiers.json": ["<blank>", puzzle.name],
            PUZZLES_NAME: index_document([puzzle]),
        }
        trunk = synthetic_checkpoint(config, seed=0).trunk
        write_checkpoint(tmp_path / name, config, trunk, torch.zeros(2, 8), 1, {}, documents)
        return tmp_path / name

    return make


class Engines:
    """An engine loop on fake engines, and the events that it has delivered."""

    def __init__(
        self,
        folders: dict[str, Path],
        make_engine: Any,
        cache_folder: Path,
        *,
        max_resident: int = 4,
        adapts: bool = False,
        divider: Divider | None = None,
        **options: Any,
    ) -> None:
        self.events: SimpleQueue[Any] = SimpleQueue()
        self.metrics = WorkerMetrics()
        self.made: list[FakeEngine] = []

        def make(checkpoint: Any) -> Any:
            self.made.append(make_engine(checkpoint))
            return self.made[-1]

        self.folders = folders
        self.pool = pool = EnginePool({}, make, max_resident)
        self.adaptations = AdaptationTurns(
            pool,
            AdaptedCache(cache_folder, max_bytes=10**9),
            self.events.put,
            device="cpu",
            is_enabled=adapts,
        )
        self.loop = EngineLoop(
            pool,
            ServedSet(
                pool,
                lambda: self.folders,
                adapts=adapts,
                **({"default_checkpoint": None, "allow_unverified": True} | options),
            ),
            self.adaptations,
            self.events.put,
            self.metrics,
            worker_id="w",
            divider=divider,
        )
        self.send = self.loop.send
        self.loop.start()

    def wait_until_ready(self) -> None:
        deadline = time.monotonic() + TIMEOUT_S
        while not self.loop.ready.wait(0.01):
            assert not self.loop.ended.is_set(), self.loop.error
            assert time.monotonic() < deadline

    def next(self) -> Any:
        """Return the next event, of whatever kind."""
        return self.events.get(timeout=TIMEOUT_S)

    def ends(self, num: int) -> dict[str, Any]:
        """Wait for the ends of so many jobs, which have no other events but progress."""
        found: dict[str, Any] = {}
        while len(found) < num:
            event = self.next()
            if not isinstance(event, Progressed):
                assert event.job_id not in found
                found[event.job_id] = event
        return found

    def wait_until_ended(self) -> None:
        assert self.loop.ended.wait(TIMEOUT_S)


@pytest.fixture(autouse=True)
def small_recipe(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let adaptations take steps of a few samples."""
    recipe = AdaptOptions(num_variants=2, batch_size=4, slice_size=2)
    monkeypatch.setattr(adaptation_turns, "RECIPE", recipe)


@pytest.fixture
def engines_of(small_folder: Path, tmp_path: Path) -> Iterator[Callable[..., Engines]]:
    """Return a maker of engine loops on the small checkpoint; they end with the test."""
    made: list[Engines] = []

    def make(make_engine: Any = FakeEngine, is_awaited: bool = True, **options: Any) -> Engines:
        folders = options.pop("folders", {"small": small_folder})
        made.append(Engines(folders, make_engine, tmp_path / "adapted", **options))
        if is_awaited:
            made[-1].wait_until_ready()
        return made[-1]

    yield make
    for engines in made:
        engines.send(Control.STOP)
        engines.wait_until_ended()
