"""What evicted keys, dead workers, a wrong clock and a full memory leave behind is put right."""

import time
from collections.abc import Iterator

import pytest
import redis
from job_desk import Desk, job

from service.jobs import BatchStore, Claims, JobState, NewBatch, WorkerRecord
from service.jobs.keys import (
    CLOCK,
    DEAD,
    GROUP,
    WAITING,
    WORKERS,
    job_key,
    queue_key,
    shard_priority,
)
from service.jobs.upkeep import reconcile
from service.wire.errors import BatchNotFound, JobNotFound, QueueFull, QueueUnavailable
from service.wire.options import PRIORITIES

QUEUE = queue_key("interactive")


@pytest.fixture
def url(valkey_url: str, fresh_redis: redis.Redis) -> str:
    """Return the address of a server that holds nothing yet."""
    return valkey_url


@pytest.fixture
def desk(url: str) -> Desk:
    return Desk(url)


@pytest.fixture
def worker(url: str) -> Iterator[Claims]:
    claims = Claims(url, worker_id="one", lease_s=0.2, max_attempts=3, max_ended=3)
    yield claims
    claims.close()


def put_right(claims: Claims, *priorities: str) -> None:
    reconcile(claims._run, priorities or PRIORITIES, result_ttl_s=60)


def register(claims: Claims) -> None:
    claims.register(
        WorkerRecord(
            id=claims.worker_id,
            host="host",
            device="cpu",
            state="ready",
            num_running=0,
            num_slots=8,
            checkpoints=(),
            started_at=0.0,
        )
    )


def end_one(desk: Desk, claims: Claims) -> str:
    job_id = desk.submit(job())
    assert claims.claim(1, 0)
    assert claims.succeed(job_id, b"1")
    return job_id


def test_a_waiting_job_without_a_record_keeps_no_place(
    url: str, worker: Claims, fresh_redis: redis.Redis
) -> None:
    desk = Desk(url, max_queued=2)
    evicted, waiting = desk.submit(job()), desk.submit(job(owner="ben"))
    fresh_redis.delete(job_key(evicted))
    assert [claim.id for claim in worker.claim(2, 0)] == [waiting]
    worker.hand_back(waiting, charge=False)
    with pytest.raises(QueueFull):
        desk.submit(job())

    put_right(worker)

    assert fresh_redis.hgetall(WAITING) == {b"": b"1", b"of:ben": b"1"}
    desk.submit(job())


@pytest.mark.parametrize("is_delivered", [True, False])
def test_a_job_whose_entry_is_gone_waits_again(
    desk: Desk, worker: Claims, fresh_redis: redis.Redis, is_delivered: bool
) -> None:
    job_id = desk.submit(job())
    if is_delivered:
        worker.claim(1, 0)
    fresh_redis.delete(QUEUE)

    put_right(worker)

    assert desk.state(job_id) is JobState.QUEUED
    assert fresh_redis.hget(WAITING, "") == b"1"
    (claim,) = worker.claim(1, 0)
    assert (claim.id, claim.attempts) == (job_id, 2 if is_delivered else 1)
    assert worker.succeed(job_id, b"1")


def test_a_job_whose_entry_is_gone_is_kept_by_a_worker_that_lives(
    desk: Desk, worker: Claims, fresh_redis: redis.Redis
) -> None:
    job_id = desk.submit(job())
    worker.claim(1, 0)
    register(worker)
    fresh_redis.delete(QUEUE)

    put_right(worker)

    assert worker.renew([job_id]).lost == frozenset()
    desk(lambda store: store.cancel(job_id))
    assert worker.renew([job_id]).cancelled == {job_id}
    worker.leave()
    put_right(worker)
    assert desk.state(job_id) is JobState.CANCELLED


def test_what_is_in_order_stays_as_it_is(
    desk: Desk, worker: Claims, fresh_redis: redis.Redis
) -> None:
    running, waiting = desk.submit(job()), desk.submit(job())
    worker.claim(1, 0)
    before = [fresh_redis.hgetall(job_key(job_id)) for job_id in (running, waiting)]

    put_right(worker)

    assert [fresh_redis.hgetall(job_key(job_id)) for job_id in (running, waiting)] == before
    assert fresh_redis.hget(WAITING, "") == b"1"


def test_consumers_of_dead_workers_go_once_nothing_is_pending(
    url: str, desk: Desk, worker: Claims, fresh_redis: redis.Redis
) -> None:
    register(worker)
    worker.claim(1, 0)
    job_id = desk.submit(job())
    for name in ("idle", "holds"):
        dead = Claims(url, worker_id=name)
        desk.submit(job(priority="batch"))
        dead.claim(1, 0)
        dead.close()
        if name == "idle":
            dead.succeed(job_id, b"1")

    put_right(worker)

    names = {consumer["name"] for consumer in fresh_redis.xinfo_consumers(QUEUE, GROUP)}
    batch = fresh_redis.xinfo_consumers(queue_key("batch"), GROUP)
    assert names == {b"one"}
    assert {consumer["name"] for consumer in batch} == {b"one", b"holds"}


def test_consumers_of_dead_workers_go_from_queues_of_shards_too(
    url: str, desk: Desk, worker: Claims, fresh_redis: redis.Redis
) -> None:
    shards = shard_priority("0" * 64)
    register(worker)
    for claims in (worker, Claims(url, worker_id="dead")):
        claims.serve(["0" * 64])
        claims.claim(1, 0, most_shards=1)
    desk.submit(job())
    fresh_redis.hset(WAITING, "", 7)  # so that waiting jobs are counted again

    put_right(worker, *PRIORITIES, shards)

    names = {one["name"] for one in fresh_redis.xinfo_consumers(queue_key(shards), GROUP)}
    assert names == {b"one"}
    assert fresh_redis.hget(WAITING, "") == b"1"


def test_jobs_that_are_gone_are_not_dead(
    desk: Desk, worker: Claims, fresh_redis: redis.Redis
) -> None:
    fresh_redis.zadd(DEAD, {"expired": 1})

    put_right(worker)

    assert desk(lambda store: store.depth()).dead == 0


def test_leases_run_out_after_the_clock_went_back(
    url: str, desk: Desk, worker: Claims, fresh_redis: redis.Redis
) -> None:
    job_id = desk.submit(job())
    gone = Claims(url, worker_id="gone")
    gone.claim(1, 0)
    gone.close()
    worker.sweep()
    hour_ms = 3_600_000
    deliver_in_future(fresh_redis, hour_ms)
    fresh_redis.zadd(WORKERS, {"gone": time.time() + 3600})
    time.sleep(0.3)
    assert worker.reclaim(1) == []

    fresh_redis.set(CLOCK, int(time.time() * 1000) + hour_ms)
    worker.sweep()
    time.sleep(0.3)

    assert [claim.id for claim in worker.reclaim(1)] == [job_id]
    assert fresh_redis.zscore(WORKERS, "gone") is None


def deliver_in_future(client: redis.Redis, ahead_ms: int) -> None:
    """Move the delivery of the queue's only pending entry, as a clock that went back leaves it."""
    (pending,) = client.xpending_range(QUEUE, GROUP, "-", "+", 1)
    then = int(time.time() * 1000) - 1000
    arguments = (pending["consumer"], 0, pending["message_id"], "TIME", then)
    client.execute_command("XCLAIM", QUEUE, GROUP, *arguments)
    dump = client.dump(QUEUE)
    assert isinstance(dump, bytes)
    content, old = dump[:-8], then.to_bytes(8, "little")
    assert content.count(old) == 1
    content = content.replace(old, (then + ahead_ms).to_bytes(8, "little"))
    client.restore(QUEUE, 0, content + crc64(content).to_bytes(8, "little"), replace=True)


def crc64(data: bytes) -> int:
    """Return the checksum at the end of what DUMP gives (Jones' polynomial, reflected)."""
    value = 0
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ (0x95AC9329AC4BC9B5 if value & 1 else 0)
    return value


def test_only_so_many_ended_jobs_are_kept(
    desk: Desk, worker: Claims, fresh_redis: redis.Redis
) -> None:
    ended = [end_one(desk, worker) for _ in range(5)]

    worker.sweep()

    with pytest.raises(JobNotFound):
        desk.state(ended[1])
    listed = desk(lambda store: store.list("anna")).items
    assert {found.id for found in listed} == set(ended[2:])
    assert fresh_redis.zcard("{hrm-arc}:jobs:anna") == 3


def test_a_batch_goes_as_a_whole_once_enough_others_are_newer(desk: Desk, worker: Claims) -> None:
    new = NewBatch(
        owner="anna",
        name="mine",
        options=b"{}",
        fingerprint="f",
        puzzles={f"p{number}": b"{}" for number in range(5)},
    )
    batch = desk(lambda store: BatchStore(store).submit(new)).batch
    for claim in worker.claim(5, 0):
        worker.succeed(claim.id, b"1")
    worker.sweep()
    assert len(desk(lambda store: BatchStore(store).jobs(batch))) == 5

    for _ in range(3):
        end_one(desk, worker)
    worker.sweep()

    with pytest.raises(BatchNotFound):
        desk(lambda store: BatchStore(store).get(batch.id))
    assert desk(lambda store: BatchStore(store).jobs(batch)) == {}
    assert desk(lambda store: store.list("anna", limit=9)).next is None
    assert len(desk(lambda store: store.list("anna")).items) == 3


def test_jobs_end_while_memory_is_full(
    desk: Desk, worker: Claims, fresh_redis: redis.Redis
) -> None:
    ids = [desk.submit(job()) for _ in range(5)]
    succeeds, fails, returns, cancelled, _ = ids
    worker.claim(4, 0)
    fresh_redis.config_set("maxmemory", "1")
    try:
        with pytest.raises(QueueUnavailable):
            desk.submit(job())
        assert worker.succeed(succeeds, b"1")
        assert worker.forgive(fails)
        assert worker.hand_back(returns, charge=False)
        desk(lambda store: store.cancel(cancelled))
        assert worker.renew([fails, cancelled]).cancelled == {cancelled}
        assert worker.cancelled(cancelled)
        worker.sweep()
    finally:
        fresh_redis.config_set("maxmemory", "0")
    assert desk.state(succeeds) is JobState.SUCCEEDED
    assert desk.state(returns) is JobState.QUEUED
    assert desk.state(cancelled) is JobState.CANCELLED


def test_a_rule_that_removes_jobs_is_noticed(worker: Claims, fresh_redis: redis.Redis) -> None:
    fresh_redis.config_set("maxmemory-policy", "allkeys-lru")
    try:
        assert worker.eviction_policy() is None  # memory has no bound
        fresh_redis.config_set("maxmemory", "1gb")
        assert worker.eviction_policy() == "allkeys-lru"
    finally:
        fresh_redis.config_set("maxmemory-policy", "noeviction")
        fresh_redis.config_set("maxmemory", "0")
