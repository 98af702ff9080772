"""How a worker ends: stopped, with a dead engine, or with nothing to serve."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from augment import Puzzle
from bench.fake_engine import FailingEngine, FakeEngine
from service.jobs import JobState
from service.runtime.settings import Settings
from service.wire.errors import SettingsError
from service.worker import run_worker

pytestmark = pytest.mark.usefixtures("fresh_redis", "one_thread")

# 64 variants, one a step: enough time to interfere.
SlowEngine = partial(FakeEngine, step_s=0.1, num_slots=1)

# The self-test of the fake engine: 24 samples, then 72, 16 at a time.
NUM_SELF_TEST_STEPS = 7


def test_a_stopped_worker_hands_back_uncharged_and_leaves(
    start: Callable[..., Any], queue: Any, probes: tuple[Puzzle, ...]
) -> None:
    running = start(SlowEngine, grace_s=0.0)
    job_id = queue.submit(probes[0])
    queue.wait_until_running(job_id)

    assert running.stop() == 0

    job = queue.get(job_id)
    assert (job.state, job.attempts) == (JobState.QUEUED, 0)
    assert queue.ask(lambda store: store.served.workers()) == ()


def test_a_stopping_worker_lets_its_jobs_end(
    start: Callable[..., Any], queue: Any, probes: tuple[Puzzle, ...]
) -> None:
    running = start(SlowEngine, grace_s=60.0)
    job_id = queue.submit(probes[0], variants=16, stop_early=False)
    # Running is said of a claimed job; progress, of one that the engine works on.
    queue.wait_until(job_id, lambda job: job.progress is not None)

    assert running.stop() == 0

    assert queue.get(job_id).state == JobState.SUCCEEDED


def test_a_second_stop_does_not_wait(
    start: Callable[..., Any], queue: Any, probes: tuple[Puzzle, ...]
) -> None:
    running = start(SlowEngine, grace_s=3600.0)
    job_id = queue.submit(probes[0], stop_early=False)
    queue.wait_until_running(job_id)

    running.worker.stop()
    assert running.stop() == 0

    assert queue.get(job_id).state == JobState.QUEUED


def test_a_dead_engine_ends_the_worker_and_charges_its_jobs(
    start: Callable[..., Any], queue: Any, probes: tuple[Puzzle, ...]
) -> None:
    running = start(partial(FailingEngine, 4, step_s=0.05))
    queue.wait_until_worker_is("ready")
    job_ids = [queue.submit(probes[0], stop_early=False) for _ in range(8)]

    assert running.wait() == 70

    jobs = [queue.get(job_id) for job_id in job_ids]
    assert {job.state for job in jobs} <= {JobState.QUEUED, JobState.SUCCEEDED}
    assert 1 in {job.attempts for job in jobs if job.state == JobState.QUEUED}
    assert queue.ask(lambda store: store.served.workers()) == ()


def test_a_job_that_kills_every_engine_ends_as_dead_with_the_reason(
    start: Callable[..., Any], queue: Any, probes: tuple[Puzzle, ...]
) -> None:
    job_id = queue.submit(probes[0])
    for _ in range(2):
        assert (
            start(partial(FailingEngine, NUM_SELF_TEST_STEPS, num_slots=16), max_attempts=2).wait()
            == 70
        )
    start(max_attempts=2)

    job = queue.wait_until_ended(job_id)

    assert job.failure is not None
    assert job.failure.code == "attempts_exhausted"
    assert "RuntimeError" in job.failure.detail
    assert "illegal memory access" not in job.failure.detail


def test_nothing_to_serve_is_bad_input(start: Callable[..., Any], arc1_folder: Path) -> None:
    # What fake engines answer is far from the self-test that is kept in this folder.
    assert start(checkpoints=(arc1_folder,), allow_unverified=False).wait() == 2


def test_a_worker_without_a_server_says_which_setting_is_missing(
    settings_of: Callable[..., Settings],
) -> None:
    with pytest.raises(SettingsError, match="HRM_ARC_REDIS_URL"):
        run_worker(settings_of(redis_url=None))
