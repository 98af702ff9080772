"""Jobs that an earlier version left behind are finished by this one."""

import base64
import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import redis
from structlog.testing import capture_logs

from service.jobs import BatchStore, JobState
from service.jobs.keys import WORKERS, batch_key
from service.wire.answer import Answer
from service.wire.options import SolveOptions

pytestmark = pytest.mark.usefixtures("one_thread")

RECORDED = json.loads(
    (Path(__file__).parents[2] / "data" / "upgrade" / "jobs.json").read_text(encoding="utf-8")
)
IDS: dict[str, str] = RECORDED["ids"]
ENDS = {
    "succeeded": JobState.SUCCEEDED,
    "running": JobState.SUCCEEDED,
    "asked to cancel": JobState.CANCELLED,
    "adapting": JobState.SUCCEEDED,
    "queued": JobState.SUCCEEDED,
    "with options": JobState.SUCCEEDED,
    "overdue": JobState.FAILED,
    "for a checkpoint": JobState.SUCCEEDED,
    "cancelled": JobState.CANCELLED,
}


@pytest.fixture
def left_behind(fresh_redis: redis.Redis) -> redis.Redis:
    """Return a server that holds what the earlier version left."""
    for key, (ttl_ms, dumped) in RECORDED["keys"].items():
        fresh_redis.restore(key, max(0, ttl_ms), base64.b64decode(dumped))
    return fresh_redis


@pytest.fixture
def demo_folder(small_folder: Path, tmp_path: Path) -> Path:
    """Return a checkpoint of the name that the jobs ask for, which knows their puzzles."""
    return Path(shutil.copytree(small_folder, tmp_path / "demo"))


@pytest.mark.usefixtures("left_behind")
def test_every_job_ends(
    start: Callable[..., Any], queue: Any, fresh_redis: redis.Redis, demo_folder: Path
) -> None:
    start(checkpoints=(demo_folder,), lease_s=1.0)
    ended = {label: queue.wait_until_ended(IDS[label]) for label in ENDS}

    assert {label: job.state for label, job in ended.items()} == ENDS
    assert ended["overdue"].failure.code == "deadline_exceeded"
    assert ended["running"].attempts == 2
    for label, job in ended.items():
        if job.state is JobState.SUCCEEDED:
            answer = Answer.model_validate_json(job.result)
            assert answer.tests[0].attempts, label

    job = ended["with options"]
    options = SolveOptions.read(job.options)
    assert (options.variants, options.seed, options.max_segments) == (8, 7, 4)
    answer = Answer.model_validate_json(job.result)
    assert (answer.seed, answer.ranking) == (7, "q_weighted")
    assert len(answer.tests[0].variants or ()) == 8

    for label, num_puzzles in {"ended batch": 2, "batch": 2}.items():
        batch = queue.ask(lambda store, label=label: BatchStore(store).get(IDS[label]))
        job_ids = [entry.job_id for entry in batch.entries if entry.job_id is not None]
        assert len(job_ids) == num_puzzles
        assert {queue.wait_until_ended(one).state for one in job_ids} == {JobState.SUCCEEDED}
        assert fresh_redis.ttl(batch_key(batch.id)) > 0
    depth = queue.ask(lambda store: store.depth())
    assert (sum(depth.waiting.values()), depth.running, depth.dead) == (0, 0, 0)


def test_its_worker_counts_as_none(left_behind: redis.Redis, queue: Any) -> None:
    (worker_id,) = left_behind.zrange(WORKERS, 0, -1)
    left_behind.zadd(WORKERS, {worker_id: time.time()})

    async def look_twice(store: Any) -> list[Any]:
        return [await store.served.workers(), await store.served.workers()]

    with capture_logs() as logs:
        assert queue.ask(look_twice) == [(), ()]
    assert [entry["worker"] for entry in logs] == [worker_id.decode()]
