"""Workers killed, paused and stopped under load: every job ends, none twice, none is lost."""

import signal
import sys
import time
from collections import Counter
from collections.abc import Callable

import pytest
from fault_support import (
    FAKE,
    REAL,
    Queue,
    WorkerProcess,
    attempts_of,
    check_all_succeeded_once,
    random_moments,
)

from augment import Puzzle
from service.jobs import JobState

Start = Callable[..., WorkerProcess]
# 64 variants of a test input take four steps of 16 slots.
LOAD = ("--step-s", "0.05", "--slots", "16")
SLOW = ("--step-s", "0.5", "--slots", "8")
TAKEOVER_S = 20.0


@pytest.mark.parametrize("num_kills", [5, pytest.param(30, marks=pytest.mark.full)])
def test_workers_killed_at_random_moments_lose_no_job(
    queue: Queue, worker: Start, probes: tuple[Puzzle, ...], num_kills: int
) -> None:
    names = ("a", "b")
    processes = [worker(name, *LOAD, lease_s=3, max_jobs=8) for name in names]
    queue.wait_until_ready(*names)
    job_ids = queue.submit((probes[n % len(probes)] for n in range(50 * num_kills)), seed=1)

    for turn, moment_s in enumerate(random_moments(num_kills, num_kills, 0.1, 2.0)):
        time.sleep(moment_s)
        process = processes[turn % len(processes)]
        process.kill()
        process.start()
        # Each has to get to work again before the next one dies, or no job would ever end.
        queue.wait_until_ready(process.name)

    check_all_succeeded_once(queue, job_ids)


@pytest.mark.skipif(sys.platform != "linux", reason="known on Linux only")
def test_the_worker_of_a_killed_service_hands_its_jobs_back_at_once(
    queue: Queue, worker: Start, probes: tuple[Puzzle, ...]
) -> None:
    tethered = (
        "import sys; from service.runtime.tether import start_tethered;"
        "start_tethered([sys.executable, *sys.argv[1:]]).wait()"
    )
    service = worker(
        *("orphan", *SLOW),
        program=("-c", tethered, *FAKE),
        allow_unverified=True,
        grace_s=3600,
        lease_s=3600,
    )
    queue.wait_until_ready("orphan")
    job_ids = queue.submit(probes[:1], stop_early=False)
    queue.wait_until(job_ids, lambda job: job.state == JobState.RUNNING)

    service.kill()

    (job,) = queue.wait_until(job_ids, lambda job: job.state != JobState.RUNNING)
    assert (job.state, job.attempts) == (JobState.QUEUED, 0)


def test_a_killed_workers_jobs_are_taken_over_in_time(
    queue: Queue, worker: Start, probes: tuple[Puzzle, ...]
) -> None:
    victim, job_ids, submitted = run_on_two(queue, worker, probes)

    victim.kill()
    killed_at = time.monotonic()
    queue.wait_until(job_ids, lambda job: job.attempts == 2, timeout_s=60)

    assert time.monotonic() - killed_at < TAKEOVER_S
    check_all_succeeded_once(queue, submitted)


def test_a_paused_workers_jobs_are_taken_over_and_answered_once(
    queue: Queue, worker: Start, probes: tuple[Puzzle, ...]
) -> None:
    victim, job_ids, submitted = run_on_two(queue, worker, probes, lease_s=3)

    victim.signal(signal.SIGSTOP)
    queue.wait_until(job_ids, lambda job: job.attempts == 2, timeout_s=60)
    victim.signal(signal.SIGCONT)

    check_all_succeeded_once(queue, submitted)
    assert victim.log.count("lease lost") == len(job_ids)


def test_pauses_of_a_worker_cost_its_jobs_no_attempt(
    queue: Queue, worker: Start, probes: tuple[Puzzle, ...]
) -> None:
    # With one attempt, a single one that is charged fails a job.
    paused = worker("paused", *SLOW, lease_s=1, max_attempts=1)
    queue.wait_until_ready("paused")
    job_ids = queue.submit(probes[:4], stop_early=False)
    queue.wait_until(job_ids, lambda job: job.state == JobState.RUNNING)

    for _ in range(5):
        paused.signal(signal.SIGSTOP)
        time.sleep(1.3)  # longer than a lease
        paused.signal(signal.SIGCONT)
        time.sleep(0.3)  # until either thread has met Redis again

    jobs = check_all_succeeded_once(queue, job_ids)
    assert {job.attempts for job in jobs} == {1}


def run_on_two(
    queue: Queue, worker: Start, probes: tuple[Puzzle, ...], **settings: float
) -> tuple[WorkerProcess, list[str], list[str]]:
    """Let two workers run long jobs; gives one of them, the jobs it has, and all jobs."""
    processes = {name: worker(name, *SLOW, **settings) for name in ("one", "other")}
    queue.wait_until_ready(*processes)
    submitted = queue.submit(probes[:4], stop_early=False)
    jobs = queue.wait_until(submitted, lambda job: job.state == JobState.RUNNING)
    holders = [str(job.worker) for job in jobs]
    job_ids = [job.id for job in jobs if job.worker == holders[0]]
    return processes[holders[0].rpartition("-")[0]], job_ids, submitted


def test_two_workers_never_run_the_same_job(
    queue: Queue, worker: Start, probes: tuple[Puzzle, ...]
) -> None:
    for name in ("one", "other"):
        worker(name, *LOAD)
    queue.wait_until_ready("one", "other")

    jobs = []
    for _ in range(30):  # one job at a time, for which both wait
        job_ids = queue.submit(probes[:1], variants=1)
        jobs += queue.wait_until_ended(job_ids)

    assert Counter((job.state, job.attempts) for job in jobs) == {(JobState.SUCCEEDED, 1): 30}
    assert set(queue.num_ends_written().values()) == {1}


def test_a_stopped_worker_finishes_what_it_runs(
    queue: Queue, worker: Start, probes: tuple[Puzzle, ...]
) -> None:
    stopped = worker("stopped", *LOAD, max_jobs=4)
    queue.wait_until_ready("stopped")
    job_ids = queue.submit(probes)
    queue.wait_until(job_ids[1:2], lambda job: job.state != JobState.QUEUED)

    stopped.signal(signal.SIGTERM)

    assert stopped.wait() == 0
    jobs = [queue.get(job_id) for job_id in job_ids]
    states = Counter(job.state for job in jobs)
    assert set(states) == {JobState.QUEUED, JobState.SUCCEEDED}
    assert {job.attempts for job in jobs if job.state == JobState.QUEUED} == {0}
    worker("next", *LOAD)
    check_all_succeeded_once(queue, job_ids)


def test_a_stopped_worker_hands_back_what_takes_too_long(
    queue: Queue, worker: Start, probes: tuple[Puzzle, ...]
) -> None:
    stopped = worker("stopped", *SLOW, grace_s=0.5)
    queue.wait_until_ready("stopped")
    job_ids = queue.submit(probes[:4])
    queue.wait_until(job_ids, lambda job: job.state == JobState.RUNNING)

    stopped.signal(signal.SIGTERM)

    assert stopped.wait() == 0
    jobs = [queue.get(job_id) for job_id in job_ids]
    assert {(job.state, job.attempts) for job in jobs} == {(JobState.QUEUED, 0)}
    worker("next", *LOAD)
    check_all_succeeded_once(queue, job_ids)


def test_a_worker_whose_engine_fails_ends_and_its_jobs_go_on_elsewhere(
    queue: Queue, worker: Start, probes: tuple[Puzzle, ...]
) -> None:
    # The self-test takes two steps, so the engine fails on its first jobs.
    failing = worker("failing", "--fail-after", "3", "--step-s", "0.05")
    queue.wait_until_ready("failing")
    job_ids = queue.submit(probes[:8], stop_early=False)

    assert failing.wait() == 70

    jobs = [queue.get(job_id) for job_id in job_ids]
    assert {job.state for job in jobs} <= {JobState.QUEUED, JobState.SUCCEEDED}
    assert {job.attempts for job in jobs if job.state == JobState.QUEUED} <= {0, 1}
    assert "illegal memory access" in failing.log  # for the operator
    worker("sound", *LOAD)
    check_all_succeeded_once(queue, job_ids)


def test_a_real_worker_survives_a_kill_with_the_answers_of_the_command_line(
    queue: Queue,
    worker: Start,
    probes: tuple[Puzzle, ...],
    solved_by_command_line: Callable[[tuple[Puzzle, ...]], list[object]],
) -> None:
    puzzles = probes[:6]
    process = worker("real", program=REAL, lease_s=3)
    queue.wait_until_ready("real")
    job_ids = queue.submit(puzzles, seed=7, variants=16)
    queue.wait_until(job_ids[:1], lambda job: job.state != JobState.QUEUED)

    process.kill()
    process.start()

    jobs = check_all_succeeded_once(queue, job_ids)
    assert [attempts_of(job) for job in jobs] == solved_by_command_line(puzzles)
