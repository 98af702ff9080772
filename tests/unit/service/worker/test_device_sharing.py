"""Two workers that train one adaptation together: what they make, and how they part."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from helping_worker import HelpingWorker, helping_worker

from augment import Grid, Pair, Puzzle
from bench.fake_engine import FakeEngine
from hrm_core import open_checkpoint
from service.adaptation.cache import AdaptedCache
from service.jobs import Job
from service.worker.adaptation_turns import AdaptationTurns
from service.worker.engine_pool import EnginePool
from service.worker.job_table import SolveRequest, read_request
from service.worker.messages import Change

pytestmark = pytest.mark.usefixtures("one_thread")

NUM_STEPS = 12
MANY_TURNS = 1000


class Leader:
    """The adaptations of a worker, and what it reports of them."""

    def __init__(self, checkpoint: Path, cache: Path, max_devices: int) -> None:
        self.events: list[Any] = []
        self.cache = AdaptedCache(cache, max_bytes=10**9)
        self.turns = AdaptationTurns(
            EnginePool({"tiny": checkpoint}, FakeEngine, max_resident=1),
            self.cache,
            self.events.append,
            device="cpu",
            num_threads=1,
            snapshot_s=3600.0,
            max_devices=max_devices,
        )

    def enrol(self, request: SolveRequest, job_id: str = "job") -> None:
        assert self.turns.enrol(job_id, request, "tiny") is None

    def turn_until(self, holds: Callable[[], bool]) -> None:
        for _ in range(MANY_TURNS):
            if holds():
                return
            assert self.turns.turn() == {}
        raise AssertionError("it never holds")

    def train_with(self, helper: HelpingWorker) -> None:
        """Begin an adaptation, and train it with another worker."""
        self.turn_until(lambda: bool(list(self.cache.folder(".invitations").glob("*/*.json"))))
        helper.wait_until_accepted()
        self.turn_until(lambda: self.turns.wait_s > 0)

    def finish(self) -> None:
        self.turn_until(lambda: self.turns.num_waiting == 0)
        assert [one.job_id for one in self.events if getattr(one, "change", 0) is Change.RUNNING]

    @property
    def step(self) -> int:
        """The step of the adaptation that is trained now."""
        return 0 if self.turns._run is None else self.turns._run.adaptation.run.step

    @property
    def steps(self) -> int:
        """The steps of the only entry that were saved."""
        (entry,) = self.cache.entries()
        return entry.record.steps

    def weights(self) -> dict[str, torch.Tensor]:
        """Return the weights of the only entry, which is complete."""
        (entry,) = self.cache.entries()
        assert entry.record.complete
        assert not (entry.folder / ".training_state.pt").exists()
        checkpoint = open_checkpoint(entry.folder)
        return {**checkpoint.trunk, "rows": torch.from_numpy(checkpoint.rows.gather(range(3)))}


@pytest.fixture
def request_of(job_of: Callable[..., Job]) -> Callable[[], SolveRequest]:
    """Return a maker of requests for a puzzle that the tiny checkpoint has no rows for."""

    def make() -> SolveRequest:
        pair = Pair(Grid.from_rows([[7, 0]]), Grid.from_rows([[0, 7]]))
        puzzle = Puzzle("new", (pair,), (Grid.from_rows([[7, 7]]),))
        return read_request(job_of(puzzle, owner="anna", adapt="auto", adapt_steps=NUM_STEPS))

    return make


@pytest.fixture
def leader(tiny_folder: Path, tmp_path: Path, request_of: Callable[[], SolveRequest]) -> Leader:
    """Return a worker with an adaptation that two devices may train."""
    leader = Leader(tiny_folder, tmp_path / "adapted", max_devices=2)
    leader.enrol(request_of())
    return leader


@pytest.fixture
def helper(tiny_folder: Path, tmp_path: Path) -> Iterator[HelpingWorker]:
    """Return another worker."""
    with helping_worker(tiny_folder, tmp_path / "adapted") as worker:
        yield worker


@pytest.fixture
def trained_alone(
    tiny_folder: Path, tmp_path: Path, request_of: Callable[[], SolveRequest]
) -> dict[str, torch.Tensor]:
    """Return the weights of one worker, which takes each step in as many slices as two have."""
    alone = Leader(tiny_folder, tmp_path / "alone", max_devices=1)
    alone.enrol(request_of())
    alone.finish()
    return alone.weights()


def assert_same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> None:
    assert one.keys() == other.keys()
    for name, value in one.items():
        assert torch.equal(value, other[name]), name


def test_two_workers_make_what_one_does_and_part_when_one_has_work(
    leader: Leader, helper: HelpingWorker, trained_alone: dict[str, torch.Tensor]
) -> None:
    leader.train_with(helper)
    formed_at = leader.steps
    leader.turn_until(lambda: leader.step == formed_at + 3)
    helper.is_busy.set()
    leader.turn_until(lambda: leader.turns.wait_s == 0)
    parted_at = leader.steps
    helper.wait_until_idle()
    leader.finish()

    assert 0 < formed_at < parted_at < NUM_STEPS
    assert_same(leader.weights(), trained_alone)


def test_where_a_worker_dies_the_other_goes_on_from_the_snapshot(
    leader: Leader, helper: HelpingWorker, trained_alone: dict[str, torch.Tensor]
) -> None:
    leader.train_with(helper)
    helper.process.kill()
    helper.process.join()
    leader.finish()

    assert_same(leader.weights(), trained_alone)


def test_an_adaptation_that_no_job_waits_for_gives_the_devices_back(
    leader: Leader,
    helper: HelpingWorker,
    request_of: Callable[[], SolveRequest],
    trained_alone: dict[str, torch.Tensor],
) -> None:
    leader.train_with(helper)
    leader.turns.forget("job")
    helper.wait_until_idle()

    assert leader.turns.num_waiting == 0
    kept = leader.steps
    assert 0 < kept < NUM_STEPS
    assert not list(leader.cache.folder(".invitations").iterdir())

    leader.enrol(request_of(), "again")
    leader.train_with(helper)
    leader.finish()
    assert_same(leader.weights(), trained_alone)
