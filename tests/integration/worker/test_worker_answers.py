"""A worker answers the jobs of a real server, mostly on engines without a network."""

import json
import time
import urllib.request
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import redis

from augment import Puzzle, Task
from bench.fake_engine import FakeEngine
from hrm_core import Engine, EngineConfig, open_checkpoint, pick_device
from service.jobs import JobState
from service.jobs.keys import puzzle_index_keys
from service.solving.enrolment import RowIndex
from service.solving.members import Member
from service.solving.solve import SolveOptions, Solving, solve

pytestmark = pytest.mark.usefixtures("fresh_redis", "one_thread")

TIMEOUT_S = 120.0
# 64 variants, one a step: enough time to interfere.
SlowEngine = partial(FakeEngine, step_s=0.1, num_slots=1)


def test_a_job_is_answered_by_a_ready_worker(
    start: Callable[..., Any], queue: Any, probes: tuple[Puzzle, ...]
) -> None:
    start(partial(FakeEngine, num_slots=16))
    record = queue.wait_until_worker_is("ready")
    assert [checkpoint.name for checkpoint in record.checkpoints] == ["small"]
    checkpoint = record.checkpoints[0]
    known = queue.ask(
        lambda store: store.served.find_puzzle(checkpoint, probes[0].demonstrations_hash)
    )
    assert (known.name, known.variants) == (probes[0].name, 64)

    job = queue.wait_until_ended(queue.submit(probes[0], attempts=1))

    assert (job.state, job.attempts) == (JobState.SUCCEEDED, 1)
    result = json.loads(job.result or b"")
    assert result["worker"] == "w"
    assert result["tests"][0]["decided_early"]


@pytest.mark.parametrize("pattern", ["{hrm-arc}:puzzle*", "*"])
def test_puzzles_that_are_gone_from_redis_are_published_again(
    start: Callable[..., Any], queue: Any, fresh_redis: redis.Redis, pattern: str
) -> None:
    start()
    (checkpoint,) = queue.wait_until_worker_is("ready").checkpoints
    index = puzzle_index_keys(checkpoint.sha256)
    before = [fresh_redis.hgetall(index[0]), fresh_redis.zrange(index[1], 0, -1)]
    fresh_redis.delete(*fresh_redis.scan_iter(pattern))

    deadline = time.monotonic() + TIMEOUT_S
    while fresh_redis.exists(*index) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.05)

    assert [fresh_redis.hgetall(index[0]), fresh_redis.zrange(index[1], 0, -1)] == before


def test_answers_are_those_of_solve_whatever_the_slots(
    start: Callable[..., Any],
    queue: Any,
    probes: tuple[Puzzle, ...],
    small_folder: Path,
) -> None:
    puzzles = probes[:3]
    device = pick_device("cpu")
    checkpoint = open_checkpoint(small_folder)
    engine = Engine(checkpoint, EngineConfig(device, num_slots=16))
    options = SolveOptions(variants=12, seed=5)
    row_index = RowIndex(checkpoint)
    solvings = [Solving(puzzle, [Member.find(row_index, puzzle)], options) for puzzle in puzzles]
    solve([engine], solvings)
    expected = [
        [[grid.to_rows() for grid in test.attempts] for test in solving.answer().tests]
        for solving in solvings
    ]

    start(lambda opened: Engine(opened, EngineConfig(device, num_slots=7)), allow_unverified=False)
    job_ids = [queue.submit(puzzle, variants=12, seed=5) for puzzle in puzzles]

    for job_id, attempts in zip(job_ids, expected, strict=True):
        result = json.loads(queue.wait_until_ended(job_id).result or b"")
        assert [test["attempts"] for test in result["tests"]] == attempts
        assert result["verified"]


def test_an_ensemble_answers_as_its_checkpoints_do_together(
    start: Callable[..., Any],
    queue: Any,
    trained_folders: tuple[Path, Path],
    constant_tasks: tuple[Task, ...],
) -> None:
    puzzle, device = constant_tasks[0].puzzle, pick_device("cpu")
    checkpoints = [open_checkpoint(folder) for folder in trained_folders]
    members = [Member.find(RowIndex(checkpoint), puzzle) for checkpoint in checkpoints]
    solving = Solving(puzzle, members, SolveOptions(stop_early=False))
    config = EngineConfig(device, num_slots=16)
    solve([Engine(checkpoint, config) for checkpoint in checkpoints], [solving])
    expected = solving.answer().document["tests"]

    # They take turns on the device.
    start(lambda opened: Engine(opened, config), checkpoints=trained_folders, max_resident=1)
    main, other = (folder.name for folder in trained_folders)
    job_id = queue.submit(puzzle, checkpoint=main, ensemble=[other], stop_early=False)

    result = json.loads(queue.wait_until_ended(job_id).result or b"")
    assert [member["checkpoint"] for member in result["members"]] == [main, other]
    assert result["tests"] == expected


def test_a_running_job_is_cancelled_at_once(
    start: Callable[..., Any], queue: Any, probes: tuple[Puzzle, ...]
) -> None:
    start(SlowEngine)
    job_id = queue.submit(probes[0])
    queue.wait_until(job_id, lambda job: job.progress is not None)

    queue.ask(lambda store: store.cancel(job_id))

    assert queue.wait_until_ended(job_id).state == JobState.CANCELLED


def test_a_deadline_ends_a_running_job(
    start: Callable[..., Any], queue: Any, probes: tuple[Puzzle, ...]
) -> None:
    start(SlowEngine)
    queue.wait_until_worker_is("ready")

    job = queue.wait_until_ended(queue.submit(probes[0], deadline_s=4.0, stop_early=False))

    assert job.failure is not None
    assert (job.failure.code, job.attempts) == ("deadline_exceeded", 1)


def test_what_cannot_be_solved_fails_with_its_code(
    start: Callable[..., Any], queue: Any, probes: tuple[Puzzle, ...]
) -> None:
    start()

    job = queue.wait_until_ended(queue.submit(probes[0], checkpoint="nowhere"))

    assert job.failure is not None
    assert job.failure.code == "unknown_checkpoint"


def test_metrics_are_served_over_http(
    start: Callable[..., Any], queue: Any, probes: tuple[Puzzle, ...]
) -> None:
    running = start()
    queue.wait_until_ended(queue.submit(probes[0]))
    worker = running.worker
    server = worker.metrics.serve("127.0.0.1", 0, lambda: worker.state == "ready")
    url = f"http://127.0.0.1:{server.server_port}"

    with urllib.request.urlopen(f"{url}/metrics") as reply:
        text = reply.read().decode()
    with urllib.request.urlopen(f"{url}/health/ready") as reply:
        assert reply.status == 200
    running.stop()
    with pytest.raises(urllib.error.HTTPError, match="503"):
        urllib.request.urlopen(f"{url}/health/ready")
    server.shutdown()

    assert 'hrm_arc_jobs_ended_total{end="succeeded"} 1.0' in text
    for name in ("engine_step_seconds", "slot_occupancy_ratio", "halting_steps", "vote_share"):
        assert f"hrm_arc_{name}" in text
