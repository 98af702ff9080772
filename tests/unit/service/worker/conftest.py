"""What tests of the worker share: jobs for the demo's puzzles, and an engine thread to run them."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

import pytest
import torch

from augment import Puzzle, Task, task_document
from bench.fake_engine import FakeEngine
from hrm_core import ARC_VOCAB_SIZE, parse_arch, synthetic_checkpoint, write_checkpoint
from service.jobs import Job, JobState
from service.solving.puzzle_index import PUZZLES_NAME, index_document, read_index
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
    """Return a maker of untrained folders, on a canvas of 3, that know this puzzle alone."""

    def make(name: str, puzzle: Puzzle) -> Path:
        arch = {
            "name": "hrm.hrm_act_v1@HierarchicalReasoningModel_ACTV1",
            "hidden_size": 8,
            "num_heads": 1,
            "H_layers": 1,
            "L_layers": 1,
            "H_cycles": 1,
            "L_cycles": 1,
            "expansion": 1,
            "halt_max_steps": 2,
            "puzzle_emb_ndim": 8,
            "pos_encodings": "rope",
            "forward_dtype": "float32",
        }
        config = parse_arch({"arch": arch}).configure(
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
