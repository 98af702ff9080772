"""A worker's adaptations: in turns with the engines, shared by jobs, kept when disk space ends."""

import json
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from augment import Grid, Pair, Puzzle
from hrm_core import Adaptation, Checkpoint, open_checkpoint
from service.adaptation.cache import AdaptedCache
from service.adaptation.prepare import AdaptOptions, prepare_adaptation
from service.jobs import Job
from service.wire.errors import AdaptationError
from service.worker import adapting
from service.worker.adapting import Adaptations
from service.worker.messages import Adapts, Runs
from service.worker.request import SolveRequest, read_request

pytestmark = pytest.mark.usefixtures("one_thread")

RECIPE = AdaptOptions(num_variants=2, batch_size=4, slice_size=2)
MANY_TURNS = 1000

Make = Callable[[], Adaptations]


@contextmanager
def files_of_at_most(num_bytes: int) -> Iterator[None]:
    """Let no file grow beyond a size: as on a disk without room, writing then fails.

    What is logged meanwhile goes nowhere: standard output may be such a file.
    """
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, before[1]))
    try:
        with capture_logs():
            yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.fixture(scope="module")
def base(tiny_folder: Path) -> Checkpoint:
    return open_checkpoint(tiny_folder)


@pytest.fixture
def told() -> list[Any]:
    """Return what the adaptations told so far."""
    return []


@pytest.fixture
def make(tmp_path: Path, told: list[Any]) -> Make:
    """Return a maker of a worker's adaptations, all in the same folder."""
    return lambda: Adaptations(
        AdaptedCache(tmp_path / "adapted", max_bytes=10**9),
        told.append,
        device="cpu",
        snapshot_s=3600.0,
        recipe=RECIPE,
    )


@pytest.fixture
def request_of(job_of: Callable[..., Job]) -> Callable[..., SolveRequest]:
    """Return a maker of requests for a puzzle that the tiny checkpoint has no rows for."""

    def make(steps: int, colour: int = 7, owner: str = "anna") -> SolveRequest:
        pair = Pair(Grid.from_rows([[colour, 0]]), Grid.from_rows([[0, colour]]))
        puzzle = Puzzle("new", (pair,), (Grid.from_rows([[colour, colour]]),))
        return read_request(job_of(puzzle, owner=owner, adapt="auto", adapt_steps=steps))

    return make


def run_to_the_end(adaptations: Adaptations) -> dict[str, Exception]:
    """Take turns until nothing is left to do; gives the jobs that came to nothing."""
    failed: dict[str, Exception] = {}
    for _ in range(MANY_TURNS):
        if not adaptations.num_waiting:
            return failed
        failed |= adaptations.turn()
    raise AssertionError("the adaptation never ends")


def take_turns(adaptations: Adaptations, num: int) -> None:
    for _ in range(num):
        assert adaptations.turn() == {}


def kinds(told: list[Any], kind: type) -> list[str]:
    return [message.job_id for message in told if isinstance(message, kind)]


def test_jobs_of_a_puzzle_wait_for_one_adaptation_and_a_later_job_reuses_it(
    make: Make, base: Checkpoint, told: list[Any], request_of: Callable[..., SolveRequest]
) -> None:
    adaptations, request = make(), request_of(3)
    assert adaptations.find("a", base, "tiny", request) is None
    assert adaptations.find("b", base, "tiny", request) is None
    assert adaptations.num_waiting == 1
    assert run_to_the_end(adaptations) == {}
    assert kinds(told, Adapts) == kinds(told, Runs) == ["a", "b"]

    entries, reused = [], []
    for job_id in ("a", "b", "late"):
        found = adaptations.find(job_id, base, "tiny", request)
        assert found is not None
        entries.append(found[0].id)
        reused.append(found[1])
    assert len(set(entries)) == 1
    assert reused == [False, False, True]


def test_each_owner_s_jobs_adapt_and_reuse_by_themselves(
    make: Make, base: Checkpoint, request_of: Callable[..., SolveRequest]
) -> None:
    adaptations = make()
    anna, ben = request_of(3), request_of(3, owner="ben")
    assert adaptations.find("a", base, "tiny", anna) is None
    assert run_to_the_end(adaptations) == {}
    assert adaptations.find("b", base, "tiny", ben) is None
    assert adaptations.num_waiting == 1
    assert run_to_the_end(adaptations) == {}
    found = {
        job_id: adaptations.find(job_id, base, "tiny", request)
        for job_id, request in (("b", ben), ("anna's next", anna), ("ben's next", ben))
    }
    reused = {job_id: one and (one[0].record.owner, one[1]) for job_id, one in found.items()}
    assert reused == {
        "b": ("ben", False),
        "anna's next": ("anna", True),
        "ben's next": ("ben", True),
    }
    assert [entry.record.owner for entry in adaptations.cache.entries()].count("ben") == 1


def test_what_nobody_waits_for_any_longer_is_not_made(
    make: Make, base: Checkpoint, told: list[Any], request_of: Callable[..., SolveRequest]
) -> None:
    adaptations, request = make(), request_of(50)
    adaptations.find("a", base, "tiny", request)
    take_turns(adaptations, 5)
    adaptations.forget("a")
    assert adaptations.num_waiting == 0
    assert not kinds(told, Runs)
    assert not adaptations.is_due(None)


def test_after_a_slice_the_engines_get_more_time_than_it_took_and_all_when_idle_ends(
    make: Make, base: Checkpoint, request_of: Callable[..., SolveRequest]
) -> None:
    adaptations = make()
    adaptations.find("a", base, "tiny", request_of(50))
    assert adaptations.is_due(0.0)
    take_turns(adaptations, 2)
    assert not adaptations.is_due(0.0)
    assert adaptations.is_due(3600.0)
    take_turns(adaptations, 1)
    assert adaptations.is_due(None), "the engines have no work: nothing is owed"


def test_only_one_of_two_workers_adapts_and_the_other_takes_over(
    make: Make, base: Checkpoint, told: list[Any], request_of: Callable[..., SolveRequest]
) -> None:
    first, second, request = make(), make(), request_of(6)
    first.find("a", base, "tiny", request)
    second.find("b", base, "tiny", request)
    take_turns(first, 3)
    take_turns(second, 1)
    assert kinds(told, Runs) == []
    assert first.suspend() == ("a",)
    assert run_to_the_end(second) == {}
    assert kinds(told, Runs) == ["b"]
    found = second.find("b", base, "tiny", request)
    assert found is not None
    assert found[0].record.num_steps == 6


def test_suspending_keeps_what_was_done(
    make: Make, base: Checkpoint, told: list[Any], request_of: Callable[..., SolveRequest]
) -> None:
    request = request_of(40)
    before = make()
    before.find("a", base, "tiny", request)
    take_turns(before, 30)
    assert before.suspend() == ("a",)
    assert before.num_waiting == 0

    after = make()
    after.find("a", base, "tiny", request)
    told.clear()
    take_turns(after, 1)
    (progress,) = [json.loads(message.data) for message in told]
    assert 0 < progress["adaptation"]["steps"] < 40


def test_a_disk_without_room_does_not_keep_a_worker_from_stopping(
    make: Make, base: Checkpoint, request_of: Callable[..., SolveRequest]
) -> None:
    adaptations = make()
    adaptations.find("a", base, "tiny", request_of(40))
    take_turns(adaptations, 30)
    with files_of_at_most(100):
        assert adaptations.suspend() == ("a",)
    assert run_to_the_end(adaptations) == {}


def test_a_disk_without_room_ends_the_jobs_that_wait_and_names_the_folder(
    make: Make, base: Checkpoint, told: list[Any], request_of: Callable[..., SolveRequest]
) -> None:
    adaptations = make()
    adaptations.find("a", base, "tiny", request_of(5))
    adaptations.find("b", base, "tiny", request_of(5))
    adaptations.find("other", base, "tiny", request_of(5, colour=8))
    with files_of_at_most(100):
        failed: dict[str, Exception] = {}
        for _ in range(MANY_TURNS):
            failed |= adaptations.turn()
            if failed:
                break
    assert set(failed) == {"a", "b"}
    assert all(isinstance(error, AdaptationError) for error in failed.values())
    assert "state folder needs room" in str(failed["a"])
    assert run_to_the_end(adaptations) == {}
    assert kinds(told, Runs) == ["other"]


@pytest.mark.parametrize(
    ("compiles", "steps", "expected"), [(True, 300, True), (True, 299, False), (False, 300, False)]
)
def test_a_long_adaptation_is_compiled_where_the_worker_compiles(
    tmp_path: Path,
    told: list[Any],
    base: Checkpoint,
    request_of: Callable[..., SolveRequest],
    monkeypatch: pytest.MonkeyPatch,
    compiles: bool,
    steps: int,
    expected: bool,
) -> None:
    asked: list[bool] = []

    def prepare(*arguments: Any, compile_step: bool, **options: Any) -> Adaptation:
        asked.append(compile_step)
        return prepare_adaptation(*arguments, **options)

    monkeypatch.setattr(adapting, "prepare_adaptation", prepare)
    monkeypatch.setattr(adapting, "can_compile", lambda device: True)
    adaptations = Adaptations(
        AdaptedCache(tmp_path / "adapted", max_bytes=10**9),
        told.append,
        device="cpu",
        snapshot_s=3600.0,
        recipe=RECIPE,
        compiles=compiles,
    )
    adaptations.find("job", base, "tiny", request_of(steps))
    assert adaptations.may_compile is compiles
    take_turns(adaptations, 3)
    assert asked == [expected]
    assert not adaptations.may_compile  # a whole step of two slices was taken


def test_a_phase_that_was_not_stepped_in_yet_may_be_compiled(
    make: Make, base: Checkpoint, request_of: Callable[..., SolveRequest]
) -> None:
    adaptations = make()
    adaptations._compiles = True
    adaptations.find("job", base, "tiny", request_of(8))
    seen = []
    while adaptations.num_waiting:
        seen.append(adaptations.may_compile)
        assert adaptations.turn() == {}
    assert seen[0]
    assert 3 <= sum(seen) <= 3 * 3  # three phases, up to two slices and the turn's end in each
    assert not all(seen)
