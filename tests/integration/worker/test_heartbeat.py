"""The heartbeat forwards removals of adapted checkpoints and reloads to the engine loop."""

import time
from collections.abc import Callable, Iterator

import pytest
import redis

from service.jobs import Claims, WorkerRecord
from service.jobs.keys import ADAPTED_REMOVED, RELOAD
from service.worker.heartbeat import Heartbeat
from service.worker.intake import Leases
from service.worker.messages import EngineCommand, ReloadCheckpoints, RemoveAdapted

TIMEOUT_S = 30.0
Commands = list[EngineCommand]
RECORD = WorkerRecord(
    id="w",
    host="host",
    device="cpu",
    state="ready",
    num_running=0,
    num_slots=8,
    checkpoints=(),
    started_at=0.0,
)


@pytest.fixture
def beat(valkey_url: str, fresh_redis: redis.Redis) -> Iterator[Callable[[], Commands]]:
    """Return what starts a heartbeat, and returns the list of the commands that it sends."""
    claims = Claims(valkey_url, worker_id="w")
    started: list[Heartbeat] = []

    def start() -> Commands:
        commands: Commands = []
        started.append(
            Heartbeat(
                claims,
                Leases(),
                record=lambda: RECORD,
                is_stalled=lambda: False,
                send=commands.append,
                on_lost=lambda job_id: None,
                on_gone=lambda job_id: None,
                on_unpublished=lambda checkpoints: None,
            )
        )
        started[-1].start()
        return commands

    yield start
    for heartbeat in started:
        heartbeat.stop(TIMEOUT_S)
    claims.close()


def wait_for(commands: Commands, num: int) -> None:
    deadline = time.monotonic() + TIMEOUT_S
    while len(commands) < num:
        assert time.monotonic() < deadline, commands
        time.sleep(0.05)


def test_each_removal_is_sent_once_and_again_by_a_worker_that_starts_later(
    beat: Callable[[], Commands], fresh_redis: redis.Redis
) -> None:
    now = float(int(time.time()))
    fresh_redis.zadd(ADAPTED_REMOVED, {"before": now - 60})
    commands = beat()
    wait_for(commands, 1)
    fresh_redis.zadd(ADAPTED_REMOVED, {"now": now})
    wait_for(commands, 2)
    fresh_redis.zadd(ADAPTED_REMOVED, {"now": now + 1})  # made again, and removed again
    wait_for(commands, 3)
    time.sleep(2.2)  # two more beats
    sent = [("before", now - 60), ("now", now), ("now", now + 1)]
    assert commands == [RemoveAdapted(entry_id, when) for entry_id, when in sent]

    later = beat()
    wait_for(later, 2)
    assert later == [RemoveAdapted("before", now - 60), RemoveAdapted("now", now + 1)]


def test_each_request_to_reload_is_sent_once(
    beat: Callable[[], Commands], fresh_redis: redis.Redis
) -> None:
    commands = beat()
    for requested_at in (5.25, 6.0):
        fresh_redis.set(RELOAD, repr(requested_at))
        wait_for(commands, 1)
        fresh_redis.zadd(ADAPTED_REMOVED, {"later": time.time()})
        wait_for(commands, 2)  # of a later beat, in which the request is not sent again
        assert commands[0] == ReloadCheckpoints(requested_at)
        commands.clear()
