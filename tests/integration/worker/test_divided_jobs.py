"""Large jobs that several workers share: the votes of one worker, and an end to all parts."""

import json
import shutil
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import redis
from voting_engine import VotingEngine, write_wide_folder

from augment import Puzzle
from hrm_core import open_checkpoint
from service.jobs import Claims, Job, JobState
from service.jobs.keys import DIVIDED, PREFIX, ready_key
from service.solving.enrolment import RowIndex
from service.solving.members import Member
from service.solving.solve import Solving, solve
from service.wire.options import SolveOptions

NUM_VARIANTS = 1024
# 32 shards of 32 variants with two test inputs each.
SHARD_ABOVE = 256
Engine = partial(VotingEngine, step_s=0.01, num_slots=16)
SlowEngine = partial(VotingEngine, step_s=0.2, num_slots=1)


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Puzzle]:
    """Return a checkpoint, and the puzzle that it has 1,024 rows for."""
    folder = tmp_path_factory.mktemp("checkpoints") / "wide"
    return folder, write_wide_folder(folder, NUM_VARIANTS)


@pytest.fixture
def start_all(
    start: Callable[..., Any], queue: Any, wide: tuple[Path, Puzzle], fresh_redis: redis.Redis
) -> Callable[..., list[Any]]:
    """Return what starts so many workers that divide jobs, and waits until each knows of all."""
    sha256 = open_checkpoint(wide[0]).sha256

    def make(num: int, make_engine: Any = Engine, **settings: Any) -> list[Any]:
        settings = {"checkpoints": (wide[0],), "shard_above": SHARD_ABOVE} | settings
        running = [start(make_engine, f"w{number}", **settings) for number in range(num)]
        deadline = time.monotonic() + 120
        # What each worker knows is as old as its last beat.
        while not all(one.worker._heartbeat.num_ready(sha256) == num for one in running):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert fresh_redis.ttl(ready_key(sha256)) > 0
        return running

    return make


def solved_whole(wide: tuple[Path, Puzzle], **options: Any) -> list[Any]:
    """Return what one engine answers to each test input, as JSON values."""
    checkpoint, puzzle = open_checkpoint(wide[0]), wide[1]
    member = Member.find(RowIndex(checkpoint), puzzle)
    solving = Solving(puzzle, [member], SolveOptions(**options))
    solve([VotingEngine(checkpoint)], [solving])
    tests: list[Any] = json.loads(solving.answer().to_json())["tests"]
    return tests


def answer_of(job: Job) -> dict[str, Any]:
    assert job.state is JobState.SUCCEEDED, job.failure
    answer: dict[str, Any] = json.loads(job.result or b"")
    return answer


def left_over(client: redis.Redis) -> set[str]:
    """Return the keys of shards and their votes."""
    kept = {key.decode().removeprefix(PREFIX) for key in client.keys("*")}
    return {key for key in kept if "." in key or key.startswith(("votes", "divided"))}


@pytest.mark.parametrize(("num_workers", "variants"), [(2, None), (3, 1000)])
def test_a_divided_job_gets_the_votes_of_one_worker(
    start_all: Callable[..., list[Any]],
    queue: Any,
    wide: tuple[Path, Puzzle],
    fresh_redis: redis.Redis,
    num_workers: int,
    variants: int | None,
) -> None:
    start_all(num_workers)
    options = {"stop_early": False, "seed": 3, "variants": variants}

    job = queue.wait_until_ended(queue.submit(wide[1], **options))

    answer = answer_of(job)
    assert answer["tests"] == solved_whole(wide, **options)
    assert (answer["workers"], job.attempts) == (num_workers, 1)
    timings = answer["timings_s"]
    assert timings["queue"] + timings["run"] <= timings["total"] + 1e-3
    assert left_over(fresh_redis) == set()


def test_a_vote_that_is_decided_leaves_the_other_shards_out(
    start_all: Callable[..., list[Any]], queue: Any, wide: tuple[Path, Puzzle]
) -> None:
    start_all(2)

    answer = answer_of(queue.wait_until_ended(queue.submit(wide[1], attempts=1)))

    whole = solved_whole(wide, attempts=1, stop_early=False)
    for test, complete in zip(answer["tests"], whole, strict=True):
        assert test["attempts"] == complete["attempts"]
        assert test["decided_early"]
        assert NUM_VARIANTS / 2 <= test["variants_used"] < NUM_VARIANTS


def test_progress_is_that_of_all_shards(
    start_all: Callable[..., list[Any]], queue: Any, wide: tuple[Path, Puzzle]
) -> None:
    start_all(2, SlowEngine, shard_above=16)
    job_id = queue.submit(wide[1], stop_early=False, variants=32)

    def documents(job: Job) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(job.progress or b"{}")
        return found

    started = queue.wait_until(job_id, lambda job: documents(job).get("outcomes", 0) > 0)
    assert (documents(started)["asked"], documents(started)["test_inputs"]) == (64, 2)
    counted = queue.wait_until(job_id, lambda job: documents(job).get("tests"))
    votes = [test["votes"] + test["abstained"] for test in documents(counted)["tests"]]
    assert 0 < sum(votes) <= documents(counted)["outcomes"] <= 64
    assert counted.state is JobState.RUNNING


@pytest.mark.parametrize("end", ["cancel", "deadline"])
def test_the_end_of_a_divided_job_stops_its_shards(
    start_all: Callable[..., list[Any]],
    queue: Any,
    wide: tuple[Path, Puzzle],
    fresh_redis: redis.Redis,
    end: str,
) -> None:
    running = start_all(2, SlowEngine)
    deadline_s = 4.0 if end == "deadline" else None
    job_id = queue.submit(wide[1], deadline_s, stop_early=False)
    queue.wait_until(job_id, lambda job: job.progress is not None)
    if end == "cancel":
        assert queue.ask(lambda store: store.cancel(job_id)).state is JobState.CANCELLED

    job = queue.wait_until_ended(job_id)

    assert end == "cancel" or job.failure.code == "deadline_exceeded"
    for one in running:
        assert one.worker._leases.wait_until_empty(60)
    assert left_over(fresh_redis) == set()


def test_a_stopped_worker_hands_its_shards_back(
    start_all: Callable[..., list[Any]], queue: Any, wide: tuple[Path, Puzzle]
) -> None:
    stopped, _ = start_all(2, grace_s=0, max_attempts=1)
    job_id = queue.submit(wide[1], stop_early=False)
    queue.wait_until(job_id, lambda job: job.progress is not None)

    stopped.stop()

    answer = answer_of(queue.wait_until_ended(job_id))
    assert answer["tests"] == solved_whole(wide, stop_early=False)


def test_a_shard_that_uses_up_its_attempts_fails_its_job_which_can_be_queued_again(
    start_all: Callable[..., list[Any]],
    queue: Any,
    wide: tuple[Path, Puzzle],
    fresh_redis: redis.Redis,
    valkey_url: str,
) -> None:
    running = start_all(2, SlowEngine, max_attempts=1)
    job_id = queue.submit(wide[1], stop_early=False)
    queue.wait_until(job_id, lambda job: job.progress is not None)
    thief = Claims(valkey_url, worker_id="thief", lease_s=0.0, max_attempts=1)
    thief.serve([open_checkpoint(wide[0]).sha256])

    assert thief.reclaim(100, most_shards=100) == []  # as if the worker of a shard had died
    thief.close()

    job = queue.get(job_id)
    assert job.failure is not None
    assert job.failure.code == "attempts_exhausted"
    assert "at a shard of it" in job.failure.detail
    assert [dead.id for dead in queue.ask(lambda store: store.dead())] == [job_id]
    assert left_over(fresh_redis) == set()
    for one in running:
        one.stop()
    start_all(2)
    queue.ask(lambda store: store.requeue(job_id))
    answer = answer_of(queue.wait_until_ended(job_id))
    assert answer["tests"] == solved_whole(wide, stop_early=False)


def test_divided_jobs_of_a_dropped_checkpoint_end_as_whole_ones_do(
    start_all: Callable[..., list[Any]],
    queue: Any,
    wide: tuple[Path, Puzzle],
    fresh_redis: redis.Redis,
    tmp_path: Path,
) -> None:
    folder = tmp_path / "served"
    shutil.copytree(wide[0], folder / "first")
    write_wide_folder(folder / "second", 32)
    engine = partial(VotingEngine, step_s=0.05, num_slots=1)
    running = start_all(2, engine, checkpoints=(folder,))
    named = queue.submit(wide[1], stop_early=False, checkpoint="first")
    unnamed = queue.submit(wide[1], stop_early=False)
    for job_id in (named, unnamed):
        queue.wait_until(job_id, lambda job: job.progress is not None)
    assert fresh_redis.scard(DIVIDED) == 2

    shutil.rmtree(folder / "first")
    for one in running:
        one.worker.reload()

    failed = queue.wait_until_ended(named)
    assert failed.failure is not None
    assert failed.failure.code == "unknown_checkpoint"
    answer = answer_of(queue.wait_until_ended(unnamed))
    assert (answer["checkpoint"], answer["workers"]) == ("second", 1)
    assert left_over(fresh_redis) == set()
    assert {one.code for one in running} == {None}  # both go on
