"""Which jobs a worker claims, how many, and beside which others."""

import json
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import redis

from augment import Puzzle
from bench.fake_engine import FakeEngine
from service.jobs import Claims, JobState
from service.jobs.keys import job_key

pytestmark = pytest.mark.usefixtures("fresh_redis", "one_thread")

TIMEOUT_S = 120.0
# 64 variants, one a step: enough time to interfere.
SlowEngine = partial(FakeEngine, step_s=0.1, num_slots=1)


def spend_attempts(url: str, job_id: str, num: int) -> None:
    """Let so many workers claim the only waiting job and hand it back as failed."""
    claims = Claims(url, worker_id="spender")
    for _ in range(num):
        deadline = time.monotonic() + TIMEOUT_S
        while not (claimed := claims.claim(1, 0.2)):
            assert time.monotonic() < deadline
        assert [claim.id for claim in claimed] == [job_id]
        assert claims.hand_back(job_id, charge=True, reason="a crash")
    claims.close()


def test_a_third_attempt_runs_isolated(
    start: Callable[..., Any], queue: Any, valkey_url: str, probes: tuple[Puzzle, ...]
) -> None:
    suspect = queue.submit(probes[0], variants=8, stop_early=False)
    spend_attempts(valkey_url, suspect, 2)
    others = [queue.submit(probes[1], variants=8, stop_early=False) for _ in range(2)]
    start(SlowEngine)

    jobs = [queue.wait_until_ended(job_id) for job_id in (suspect, *others)]

    assert [job.attempts for job in jobs] == [3, 1, 1]
    began = [
        (job.finished_at or 0.0) - json.loads(job.result or b"")["timings_s"]["run"] for job in jobs
    ]
    # Claimed together, they run one after the other: first the harmless ones.
    # Beside each other they would overlap by their 0.8 s; a result may be written a little late.
    assert began[0] >= max(job.finished_at or 0.0 for job in jobs[1:]) - 0.5


def test_only_one_job_to_be_isolated_is_held(
    start: Callable[..., Any], queue: Any, valkey_url: str, probes: tuple[Puzzle, ...]
) -> None:
    suspects = []
    for _ in range(3):
        suspects.append(queue.submit(probes[0], variants=8, stop_early=False))
        if len(suspects) == 1:
            spend_attempts(valkey_url, suspects[0], 2)
    claims = Claims(valkey_url, worker_id="spender")
    for _ in range(2):
        for claim in claims.claim(3, 0.2):
            claims.hand_back(claim.id, charge=claim.id != suspects[0])
    claims.close()
    running = start(SlowEngine)

    jobs = [queue.wait_until_ended(job_id) for job_id in suspects]

    # The first claim found all three; afterwards they were claimed one by one.
    value = running.worker.metrics.registry.get_sample_value("hrm_arc_jobs_handed_back_total")
    assert value == 2
    assert {(job.state, job.attempts) for job in jobs} == {(JobState.SUCCEEDED, 3)}


def test_an_orphaned_job_is_taken_over(
    start: Callable[..., Any], queue: Any, valkey_url: str, probes: tuple[Puzzle, ...]
) -> None:
    job_id = queue.submit(probes[0])
    gone = Claims(valkey_url, worker_id="gone")
    while not gone.claim(1, 0.2):
        continue
    gone.close()
    running = start(lease_s=1.0)

    job = queue.wait_until_ended(job_id)

    assert (job.state, job.attempts, job.worker) == (JobState.SUCCEEDED, 2, "w")
    value = running.worker.metrics.registry.get_sample_value("hrm_arc_jobs_reclaimed_total")
    assert value == 1


@pytest.mark.parametrize(("is_taken", "num_lost"), [(True, 1), (False, 0)])
def test_a_job_is_dropped_and_counts_as_lost_where_another_worker_has_it(
    start: Callable[..., Any],
    queue: Any,
    probes: tuple[Puzzle, ...],
    fresh_redis: redis.Redis,
    is_taken: bool,
    num_lost: int,
) -> None:
    running = start(SlowEngine)
    job_id = queue.submit(probes[0], stop_early=False)
    queue.wait_until_running(job_id)

    if is_taken:
        fresh_redis.hset(job_key(job_id), "worker", "another")
    else:
        fresh_redis.delete(job_key(job_id))

    read = running.worker.metrics.registry.get_sample_value
    deadline = time.monotonic() + TIMEOUT_S
    while read("hrm_arc_requests_running"):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert read("hrm_arc_jobs_lost_total") == num_lost


def test_a_waiting_job_past_its_deadline_ends_while_the_worker_has_no_room(
    start: Callable[..., Any], queue: Any, probes: tuple[Puzzle, ...]
) -> None:
    engines: list[FakeEngine] = []

    def make(checkpoint: Any) -> FakeEngine:
        engines.append(SlowEngine(checkpoint))
        return engines[-1]

    running = queue.submit(probes[0], stop_early=False)
    start(make, max_jobs=1)
    queue.wait_until_running(running)
    engines[0].step_s = 0.5

    late = queue.wait_until_ended(queue.submit(probes[0], deadline_s=0.05))

    assert late.failure is not None
    assert late.failure.code == "deadline_exceeded"
    assert queue.get(running).state == JobState.RUNNING


def test_no_more_jobs_are_held_than_the_setting_says(
    start: Callable[..., Any], queue: Any, probes: tuple[Puzzle, ...]
) -> None:
    job_ids = [queue.submit(probes[0], variants=8) for _ in range(6)]
    start(SlowEngine, max_jobs=2)

    max_running = 0
    while not all(job.state.is_final for job in map(queue.get, job_ids)):
        max_running = max(max_running, queue.ask(lambda store: store.depth()).running)

    assert 1 <= max_running <= 2


def test_a_steady_stream_of_interactive_jobs_does_not_starve_batch(
    start: Callable[..., Any], queue: Any, probes: tuple[Puzzle, ...]
) -> None:
    interactive = [queue.submit(probes[0], variants=1) for _ in range(20)]
    batch = queue.submit(probes[0], variants=1, priority="batch")
    start(max_jobs=1)

    ended = queue.wait_until_ended(batch)
    last = [queue.wait_until_ended(job_id).finished_at or 0.0 for job_id in interactive]

    num_before = sum(moment < (ended.finished_at or 0.0) for moment in last)
    assert 1 <= num_before < 20
