"""The heartbeat hears of adapted checkpoints that are to be removed."""

import time
from collections.abc import Callable, Iterator

import pytest
import redis

from service.jobs import Claims, WorkerRecord
from service.jobs.keys import ADAPTED_REMOVED
from service.worker.heartbeat import Heartbeat
from service.worker.leases import Leases

TIMEOUT_S = 30.0
Removals = list[tuple[str, float]]


@pytest.fixture
def hear(valkey_url: str, fresh_redis: redis.Redis) -> Iterator[Callable[[], Removals]]:
    """Return what starts a heartbeat, and gives the list of what it hears."""
    claims = Claims(valkey_url, worker_id="w")
    started: list[Heartbeat] = []

    def start() -> Removals:
        heard: Removals = []
        started.append(
            Heartbeat(
                claims,
                Leases(),
                record=lambda: WorkerRecord("w", "host", "cpu", "ready", 0, 8, (), 0.0),
                is_stalled=lambda: False,
                on_cancel=lambda job_id: None,
                on_lost=lambda job_id: None,
                on_removed=lambda adapted_id, when: heard.append((adapted_id, when)),
                on_unpublished=lambda checkpoints: None,
            )
        )
        started[-1].start()
        return heard

    yield start
    for heartbeat in started:
        heartbeat.stop(TIMEOUT_S)
    claims.close()


def wait_for(heard: Removals, num: int) -> None:
    deadline = time.monotonic() + TIMEOUT_S
    while len(heard) < num:
        assert time.monotonic() < deadline, heard
        time.sleep(0.05)


def test_each_removal_is_heard_of_once(
    hear: Callable[[], Removals], fresh_redis: redis.Redis
) -> None:
    now = float(int(time.time()))
    fresh_redis.zadd(ADAPTED_REMOVED, {"before": now - 60})
    heard = hear()
    wait_for(heard, 1)
    fresh_redis.zadd(ADAPTED_REMOVED, {"now": now})
    wait_for(heard, 2)
    fresh_redis.zadd(ADAPTED_REMOVED, {"now": now + 1})  # made anew, and removed again
    wait_for(heard, 3)
    time.sleep(2.2)  # two more beats
    assert heard == [("before", now - 60), ("now", now), ("now", now + 1)]
    assert [entry for entry, _ in hear_anew(hear)] == ["before", "now"]


def hear_anew(hear: Callable[[], Removals]) -> Removals:
    """Give what a worker that starts now hears first."""
    heard = hear()
    wait_for(heard, 2)
    return heard
