"""Spans of a worker's jobs, recorded in memory."""

import json
import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
import redis
from recorded_spans import SPAN_ID, TRACE_ID, TRACEPARENT, RecordingTracer

from augment import Puzzle
from bench.fake_engine import FakeEngine
from service.jobs import Claims, NewJob
from service.jobs.keys import job_key

PHASES = ["enrol", "engine", "encode", "seat", "segments", "vote", "deliver"]
Solve = Callable[..., None]


@pytest.fixture
def tracer() -> RecordingTracer:
    return RecordingTracer("worker")


@pytest.fixture
def solve(
    queue: Any, start: Callable[..., Any], tracer: RecordingTracer, fresh_redis: redis.Redis
) -> Solve:
    """Return what lets a traced worker solve a job, and ends the worker."""

    def run(job_id: str, make_engine: Any = FakeEngine) -> None:
        running = start(make_engine, tracer=tracer, lease_s=1.0)
        queue.wait_until_ended(job_id)
        running.stop()

    return run


@pytest.mark.parametrize("make_engine", [FakeEngine, None], ids=["fake", "real"])
def test_a_job_has_a_span_for_its_wait_and_one_for_each_of_its_phases(
    queue: Any,
    solve: Solve,
    tracer: RecordingTracer,
    probes: tuple[Puzzle, ...],
    make_engine: Any,
    one_thread: None,
) -> None:
    job_id = queue.submit(probes[0], traceparent=TRACEPARENT, variants=8, stop_early=False)
    solve(job_id, make_engine)

    spans, num_samples = tracer.spans, 8 * len(probes[0].test)
    waited, job = spans.named("queue"), spans.named("solve")
    assert {(one.trace_id, one.parent_id) for one in (waited, job)} == {(TRACE_ID, SPAN_ID)}
    assert (job["job_id"], job["attempt"], job["end"]) == (job_id, 1, "succeeded")
    assert spans.under(job) == PHASES
    segments = spans.named("segments")
    assert segments["samples"] == num_samples
    # The fake engine lets a sample halt after one segment, the real one after several.
    assert (segments["segments"] == num_samples) == (make_engine is FakeEngine)
    phases = [spans.named(name) for name in PHASES]
    assert job.start_ns <= phases[0].start_ns
    assert phases[-1].end_ns <= job.end_ns
    assert all(one.end_ns <= two.start_ns for one, two in pairwise(phases))
    assert not any(one.is_error for one in spans)


def test_a_job_that_fails_marks_its_phase_and_itself_with_the_code(
    queue: Any, solve: Solve, tracer: RecordingTracer
) -> None:
    broken = NewJob(
        **{"owner": "anna", "name": "broken", "priority": "interactive", "fingerprint": ""},
        **{"task": b"no JSON", "options": b"{}", "traceparent": TRACEPARENT},
    )
    solve(queue.ask(lambda store: store.submit(broken)).job.id)

    job, phase = tracer.spans.named("solve"), tracer.spans.named("enrol")
    for one in (job, phase):
        assert (one.is_error, one["code"]) == (True, "unsolvable")
    assert job["end"] == "failed"
    assert tracer.spans.under(job) == ["enrol", "deliver"]


def test_a_job_that_is_delivered_again_goes_on_in_its_trace(
    queue: Any, solve: Solve, tracer: RecordingTracer, probes: tuple[Puzzle, ...]
) -> None:
    job_id = queue.submit(probes[0], traceparent=TRACEPARENT, variants=1)
    dead = Claims(queue.url, worker_id="dead", lease_s=1.0)
    assert len(dead.claim(1, 0)) == 1
    time.sleep(1.0)
    solve(job_id)
    dead.close()

    waited, job = tracer.spans.named("queue"), tracer.spans.named("solve")
    assert (waited["attempt"], job["attempt"]) == (2, 2)
    assert (job.trace_id, job.parent_id) == (TRACE_ID, SPAN_ID)


def test_a_job_without_a_trace_begins_one(
    queue: Any, solve: Solve, tracer: RecordingTracer, probes: tuple[Puzzle, ...]
) -> None:
    job_id = queue.submit(probes[0], variants=1)
    solve(job_id)

    assert tracer.spans.named("solve").parent_id == ""
    assert tracer.spans.under(tracer.spans.named("solve")) == PHASES


def test_a_broken_trace_harms_no_job(
    queue: Any, solve: Solve, tracer: RecordingTracer, probes: tuple[Puzzle, ...]
) -> None:
    job_id = queue.submit(probes[0], traceparent="no trace", variants=1)
    solve(job_id)

    assert queue.get(job_id).result is not None
    assert tracer.spans.named("solve").parent_id == ""


def test_shards_of_a_divided_job_are_in_its_trace(
    queue: Any, fresh_redis: redis.Redis, probes: tuple[Puzzle, ...]
) -> None:
    job_id = queue.submit(probes[0], traceparent=TRACEPARENT)
    claims = Claims(queue.url, worker_id="w")
    claims.serve(["c" * 64])
    claims.claim(1, 0)
    progress = json.dumps({"outcomes": 0}).encode()
    assert claims.shards.split(job_id, "c" * 64, [range(4), range(4, 8)], 8, progress)
    shards = claims.claim(2, 1.0, most_shards=2) + claims.claim(1, 0, most_shards=2)
    claims.close()

    assert fresh_redis.hget(job_key(job_id), "traceparent") == TRACEPARENT.encode()
    assert [one.traceparent for one in shards] == [TRACEPARENT] * len(shards)
    assert len(shards) == 2
