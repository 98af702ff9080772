"""The table of jobs: which may start, and the order within a stage."""

import time
from collections.abc import Callable

import pytest

from augment import Puzzle
from service.jobs import Job
from service.wire.errors import InputError
from service.worker.job_table import ActiveJob, JobTable, Stage

Add = Callable[..., ActiveJob]


@pytest.fixture
def table() -> JobTable:
    return JobTable()


@pytest.fixture
def add(table: JobTable, job_of: Callable[..., Job]) -> Add:
    """Return what adds a job to the table."""

    def add(job_id: str, *, is_isolated: bool = False, deadline: float | None = None) -> ActiveJob:
        job = ActiveJob(job_of(b"{}", job_id), deadline, is_isolated)
        table.add(job)
        return job

    return add


def start_all(table: JobTable) -> list[str]:
    """Start what may start, and return the ids."""
    started = []
    while (job := table.next_to_start()) is not None:
        table.move(job, Stage.ENROLLING)
        started.append(job.id)
    return started


def test_jobs_start_in_the_order_of_their_arrival(table: JobTable, add: Add) -> None:
    for job_id in ("a", "b", "c"):
        add(job_id)
    assert start_all(table) == ["a", "b", "c"]
    assert len(table) == 3
    assert start_all(table) == []


def test_an_isolated_job_waits_until_no_other_has_started(table: JobTable, add: Add) -> None:
    add("a")
    add("isolated", is_isolated=True)
    add("b")
    assert start_all(table) == ["a", "b"]
    table.remove("a")
    assert start_all(table) == []
    table.remove("b")
    assert start_all(table) == ["isolated"]


def test_no_job_starts_beside_an_isolated_one(table: JobTable, add: Add) -> None:
    add("isolated", is_isolated=True)
    add("a")
    add("another", is_isolated=True)
    assert start_all(table) == ["isolated"]
    table.remove("isolated")
    assert start_all(table) == ["a"]


def test_a_job_that_is_moved_goes_behind_those_of_the_stage(table: JobTable, add: Add) -> None:
    slow, fast = add("slow"), add("fast")
    start_all(table)
    for job in (fast, slow):
        table.move(job, Stage.ENROLLING)
    assert table.in_stage(Stage.ENROLLING) == (fast, slow)
    assert table.in_stage(Stage.WAITING) == ()


def test_jobs_can_be_removed_while_they_are_iterated_over(table: JobTable, add: Add) -> None:
    for job_id in ("a", "b"):
        add(job_id)
    for job in table:
        table.remove(job.id)
        assert job.id not in table
    table.remove("never there")
    assert len(table) == 0


def test_jobs_in_the_engines_need_the_device_and_an_isolated_one_too(
    table: JobTable, add: Add
) -> None:
    one, isolated = add("one"), add("isolated", is_isolated=True)
    assert table.ids == {"one", "isolated"}
    assert table.needs_device
    table.remove(isolated.id)
    table.move(one, Stage.ENROLLING)
    assert not table.needs_device
    table.move(one, Stage.SOLVING)
    assert table.needs_device


def test_a_job_is_overdue_after_its_deadline(add: Add) -> None:
    now = time.monotonic()
    deadlines = {"none": None, "past": now - 1, "future": now + 60}
    overdue = {
        job_id: add(job_id, deadline=deadline).is_overdue for job_id, deadline in deadlines.items()
    }
    assert overdue == {"none": False, "past": True, "future": False}


def test_the_main_checkpoint_is_the_one_named_or_else_the_one_chosen(
    job_of: Callable[..., Job], probes: tuple[Puzzle, ...]
) -> None:
    named, other = (
        ActiveJob(job_of(probes[0], **options), None, is_isolated=False)
        for options in ({"checkpoint": "a", "ensemble": ["b", "c"]}, {})
    )
    for job in (named, other):
        job.resolve_request(lambda _: "chosen")
    assert named.checkpoints == ("a", "b", "c")
    assert (other.checkpoints, other.next_checkpoint) == (("chosen",), "chosen")


def test_a_checkpoint_has_one_vote(job_of: Callable[..., Job], probes: tuple[Puzzle, ...]) -> None:
    job = ActiveJob(job_of(probes[0], ensemble=["a"]), None, is_isolated=False)
    with pytest.raises(InputError, match="'a' is to vote twice"):
        job.resolve_request(lambda _: "a")
