"""Adaptations: in turns with the engines, shared by jobs, kept when the disk is full."""

import json
import resource
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from augment import Grid, Pair, Puzzle
from bench.fake_engine import FakeEngine
from hrm_core import Adaptation
from service.adaptation.cache import AdaptedCache
from service.adaptation.prepare import prepare_adaptation
from service.jobs import Job
from service.wire.errors import AdaptationError, UnknownPuzzle
from service.worker import training_device
from service.worker.adaptation_turns import AdaptationTurns
from service.worker.engine_pool import EnginePool
from service.worker.job_table import SolveRequest, read_request
from service.worker.messages import Change

pytestmark = pytest.mark.usefixtures("one_thread")

MANY_TURNS = 1000

Make = Callable[..., AdaptationTurns]
RequestOf = Callable[..., SolveRequest]


@contextmanager
def files_of_at_most(num_bytes: int) -> Iterator[None]:
    """Let no file grow beyond a size, so that writing fails as on a full disk.

    Logs are captured meanwhile, since standard output may be such a file.
    """
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, before[1]))
    try:
        with capture_logs():
            yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.fixture
def events() -> list[Any]:
    """Return the events that the adaptations have delivered."""
    return []


@pytest.fixture
def make(tmp_path: Path, tiny_folder: Path, events: list[Any]) -> Make:
    """Return a maker of a worker's adaptations, all in the same folder."""

    def make(**options: Any) -> AdaptationTurns:
        return AdaptationTurns(
            EnginePool({"tiny": tiny_folder}, FakeEngine, max_resident=1),
            AdaptedCache(tmp_path / "adapted", max_bytes=10**9),
            events.append,
            **{"device": "cpu", "snapshot_s": 3600.0} | options,
        )

    return make


@pytest.fixture
def request_of(job_of: Callable[..., Job]) -> Callable[..., SolveRequest]:
    """Return a maker of requests for a puzzle that the tiny checkpoint has no rows for."""

    def make(steps: int, colour: int = 7, owner: str = "anna") -> SolveRequest:
        pair = Pair(Grid.from_rows([[colour, 0]]), Grid.from_rows([[0, colour]]))
        puzzle = Puzzle("new", (pair,), (Grid.from_rows([[colour, colour]]),))
        return read_request(job_of(puzzle, owner=owner, adapt="auto", adapt_steps=steps))

    return make


def run_to_the_end(adaptations: AdaptationTurns) -> dict[str, Exception]:
    """Take turns until nothing is left to do; return the jobs that failed."""
    failed: dict[str, Exception] = {}
    for _ in range(MANY_TURNS):
        if not adaptations.num_waiting:
            return failed
        failed |= adaptations.turn()
    raise AssertionError("the adaptation never ends")


def take_turns(adaptations: AdaptationTurns, num: int) -> None:
    for _ in range(num):
        assert adaptations.turn() == {}


def jobs_with(events: list[Any], change: Change) -> list[str]:
    return [event.job_id for event in events if getattr(event, "change", None) is change]


def test_jobs_of_a_puzzle_wait_for_one_adaptation_and_a_later_job_reuses_it(
    make: Make, events: list[Any], request_of: RequestOf, tiny_folder: Path
) -> None:
    adaptations, request = make(), request_of(3)
    assert adaptations.enrol("a", request, "tiny") is None
    assert adaptations.enrol("b", request, "tiny") is None
    assert adaptations.num_waiting == 1
    assert run_to_the_end(adaptations) == {}
    assert jobs_with(events, Change.ADAPTING) == jobs_with(events, Change.RUNNING) == ["a", "b"]

    members = [adaptations.enrol(job_id, request, "tiny") for job_id in ("a", "b", "late")]
    summaries = [member.adaptation for member in members if member and member.adaptation]
    assert len({member.name for member in members if member}) == 1
    assert [summary.reused for summary in summaries] == [False, False, True]
    assert {summary.base for summary in summaries} == {tiny_folder.name}


def test_an_adaptation_is_shared_by_jobs_of_one_owner_only(
    make: Make, request_of: RequestOf
) -> None:
    adaptations = make()
    anna, ben = request_of(3), request_of(3, owner="ben")
    assert adaptations.enrol("a", anna, "tiny") is None
    assert run_to_the_end(adaptations) == {}
    assert adaptations.enrol("b", ben, "tiny") is None
    assert adaptations.num_waiting == 1
    assert run_to_the_end(adaptations) == {}
    members = {
        job_id: adaptations.enrol(job_id, request, "tiny")
        for job_id, request in (("b", ben), ("anna's next", anna), ("ben's next", ben))
    }
    reused = {
        job_id: member.adaptation.reused
        for job_id, member in members.items()
        if member and member.adaptation
    }
    assert reused == {"b": False, "anna's next": True, "ben's next": True}
    names = {job_id: member.name for job_id, member in members.items() if member}
    assert names["b"] == names["ben's next"] != names["anna's next"]


def test_an_adaptation_that_no_job_waits_for_stops(
    make: Make, events: list[Any], request_of: RequestOf
) -> None:
    adaptations, request = make(), request_of(50)
    adaptations.enrol("a", request, "tiny")
    take_turns(adaptations, 5)
    adaptations.forget("a")
    assert adaptations.num_waiting == 0
    assert not jobs_with(events, Change.RUNNING)
    assert not adaptations.is_due(None)


def test_engines_with_work_get_more_time_than_a_slice_took(
    make: Make, request_of: RequestOf
) -> None:
    adaptations = make()
    adaptations.enrol("a", request_of(50), "tiny")
    assert adaptations.is_due(0.0)
    take_turns(adaptations, 2)
    assert not adaptations.is_due(0.0)
    assert adaptations.is_due(3600.0)
    take_turns(adaptations, 1)
    assert adaptations.is_due(None)  # the engines have no work, so they are owed no time


def test_only_one_of_two_workers_adapts_and_the_other_takes_over(
    make: Make, events: list[Any], request_of: RequestOf
) -> None:
    first, second, request = make(), make(), request_of(6)
    first.enrol("a", request, "tiny")
    second.enrol("b", request, "tiny")
    take_turns(first, 3)
    take_turns(second, 1)
    assert jobs_with(events, Change.RUNNING) == []
    assert first.suspend() == ("a",)
    assert run_to_the_end(second) == {}
    assert jobs_with(events, Change.RUNNING) == ["b"]
    member = second.enrol("b", request, "tiny")
    assert member is not None
    assert member.adaptation is not None
    assert member.adaptation.steps == 6


def test_suspending_saves_what_was_done(
    make: Make, events: list[Any], request_of: RequestOf
) -> None:
    request = request_of(40)
    before = make()
    before.enrol("a", request, "tiny")
    take_turns(before, 30)
    assert before.suspend() == ("a",)
    assert before.num_waiting == 0

    after = make()
    after.enrol("a", request, "tiny")
    events.clear()
    take_turns(after, 1)
    (progress,) = [json.loads(event.data) for event in events]
    assert 0 < progress["adaptation"]["steps"] < 40


def test_a_full_disk_does_not_keep_a_worker_from_stopping(
    make: Make, request_of: RequestOf
) -> None:
    adaptations = make()
    adaptations.enrol("a", request_of(40), "tiny")
    take_turns(adaptations, 30)
    with files_of_at_most(100):
        assert adaptations.suspend() == ("a",)
    assert run_to_the_end(adaptations) == {}


def test_a_full_disk_fails_the_jobs_that_wait_and_names_the_folder(
    make: Make, events: list[Any], request_of: RequestOf
) -> None:
    adaptations = make()
    adaptations.enrol("a", request_of(5), "tiny")
    adaptations.enrol("b", request_of(5), "tiny")
    adaptations.enrol("other", request_of(5, colour=8), "tiny")
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
    assert jobs_with(events, Change.RUNNING) == ["other"]


@pytest.mark.parametrize(("compiles", "expected"), [(True, None), (False, False)])
def test_an_adaptation_may_be_compiled_where_the_worker_compiles(
    make: Make,
    request_of: RequestOf,
    monkeypatch: pytest.MonkeyPatch,
    compiles: bool,
    expected: bool | None,
) -> None:
    asked: list[bool | None] = []

    def prepare(*arguments: Any, compile_step: bool | None, **options: Any) -> Adaptation:
        asked.append(compile_step)
        return prepare_adaptation(*arguments, compile_step=False, **options)

    monkeypatch.setattr(training_device, "prepare_adaptation", prepare)
    monkeypatch.setattr(training_device, "can_compile", lambda device: True)
    adaptations = make(compiles=compiles)
    adaptations.enrol("job", request_of(300), "tiny")
    assert adaptations.may_compile is compiles
    take_turns(adaptations, 3)
    assert asked == [expected]
    assert not adaptations.may_compile  # a whole step of two slices was taken


def test_each_phase_may_be_compiled_at_its_first_step(
    make: Make, request_of: RequestOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training_device, "can_compile", lambda device: True)
    monkeypatch.setattr(
        "service.adaptation.prepare.is_worth_compiling", lambda options, num_sizes: False
    )
    adaptations = make(compiles=True)
    adaptations.enrol("job", request_of(8), "tiny")
    seen = []
    while adaptations.num_waiting:
        seen.append(adaptations.may_compile)
        assert adaptations.turn() == {}
    assert seen[0]
    assert 3 <= sum(seen) <= 3 * 3  # three phases, up to two slices and the turn's end in each
    assert not all(seen)


def test_nothing_is_adapted_once_suspended_or_where_that_is_disabled(
    make: Make, request_of: RequestOf, events: list[Any]
) -> None:
    suspended, disabled = make(), make(is_enabled=False)
    suspended.suspend()
    assert suspended.enrol("a", request_of(3), "tiny") is None
    with pytest.raises(UnknownPuzzle):
        disabled.enrol("a", request_of(3), "tiny")
    assert suspended.num_waiting == disabled.num_waiting == 0
    assert events == []


def test_a_removed_adaptation_is_made_again_unless_it_is_newer_than_the_request(
    make: Make, request_of: RequestOf
) -> None:
    adaptations, request = make(), request_of(3)
    adaptations.enrol("a", request, "tiny")
    assert run_to_the_end(adaptations) == {}
    member = adaptations.enrol("a", request, "tiny")
    assert member is not None

    adaptations.remove(member.name, 1000.0)
    assert adaptations.enrol("b", request, "tiny") is not None

    adaptations.remove(member.name, time.time() + 60)
    assert adaptations.enrol("c", request, "tiny") is None
    assert adaptations.num_waiting == 1
