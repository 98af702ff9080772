"""Batches in a real Valkey: all of their jobs or none, kept until the last has ended."""

import asyncio
from typing import Any

import pytest
import redis
from job_desk import Desk, job

from service.jobs import (
    Batch,
    BatchStore,
    Claims,
    EventFeed,
    Failure,
    JobState,
    JobStore,
    NewBatch,
    Refused,
)
from service.jobs.keys import batch_key, job_key
from service.wire.errors import BatchNotFound, BatchTooLarge, IdempotencyConflict, QueueFull

REFUSED = Refused(Failure("unknown_puzzle", "no \ud800 rows"), (((1, 2), (3, 4)),))


@pytest.fixture
def url(valkey_url: str, fresh_redis: redis.Redis) -> str:
    """Return the address of a server that holds nothing yet."""
    return valkey_url


@pytest.fixture
def desk(url: str) -> Desk:
    return Desk(url)


def new_batch(num_jobs: int = 2, **more: Any) -> NewBatch:
    puzzles: dict[str, bytes | Refused] = {f"p{number}": b"{}" for number in range(num_jobs)}
    fields = {"owner": "anna", "name": "mine", "options": b"{}", "fingerprint": "f"}
    return NewBatch(**(fields | {"puzzles": puzzles | {"\ud800": REFUSED}} | more))


def submit(desk: Desk, new: NewBatch) -> Batch:
    return desk(lambda store: BatchStore(store).submit(new)).batch


def test_a_batch_is_read_as_it_was_queued(desk: Desk) -> None:
    batch = submit(desk, new_batch())

    assert [entry.puzzle_id for entry in batch.entries] == ["p0", "p1", "\ud800"]
    assert batch.entries[2].refused == REFUSED
    assert (batch.name, batch.options, batch.cancel_requested) == ("mine", b"{}", False)
    assert desk(lambda store: BatchStore(store).get(batch.id, "anna")) == batch
    jobs = desk(lambda store: BatchStore(store).jobs(batch))
    assert list(jobs) == list(batch.job_ids)
    assert {(one.state, one.priority) for one in jobs.values()} == {(JobState.QUEUED, "batch")}
    assert all(one.last_event for one in jobs.values())


def test_its_jobs_are_ordinary_ones(desk: Desk, url: str) -> None:
    batch = submit(desk, new_batch())
    worker = Claims(url, worker_id="one")
    claims = worker.claim(8, 0.1)
    assert [claim.id for claim in claims] == list(batch.job_ids)
    assert worker.succeed(claims[0].id, b'{"answer":1}')
    worker.close()

    async def pages(store: JobStore) -> list[Any]:
        return [page async for page in BatchStore(store).pages(batch)]

    ((first, second, third),) = desk(pages)
    assert (first[1].result, second[1].state, third[1]) == (
        b'{"answer":1}',
        JobState.RUNNING,
        None,
    )


def test_a_batch_without_room_for_all_queues_none(url: str) -> None:
    desk = Desk(url, max_queued=3)
    desk.submit(job())

    with pytest.raises(QueueFull, match="1 jobs wait: no place for 3 more"):
        submit(desk, new_batch(3))
    with pytest.raises(QueueFull, match="of yours wait") as refusal:
        submit(desk, new_batch(2, share=2))
    assert refusal.value.code == "queue_share_exceeded"
    assert desk(lambda store: store.depth()).waiting == {"interactive": 1, "batch": 0}
    submit(desk, new_batch(2, share=3))
    submit(desk, new_batch(0))  # nothing of it waits


@pytest.mark.parametrize(("num_jobs", "share", "bound"), [(4, None, 3), (3, 2, 2), (4, 2, 2)])
def test_a_batch_larger_than_the_queue_is_never_asked_to_come_again(
    url: str, num_jobs: int, share: int | None, bound: int
) -> None:
    desk = Desk(url, max_queued=3)
    with pytest.raises(BatchTooLarge, match=f"{num_jobs} jobs, and {bound} of yours may wait"):
        submit(desk, new_batch(num_jobs, share=share))


def test_a_key_makes_one_batch(desk: Desk) -> None:
    first = submit(desk, new_batch(idempotency_key="k"))
    again = desk(lambda store: BatchStore(store).submit(new_batch(idempotency_key="k")))

    assert (again.batch, again.is_new) == (first, False)
    assert desk(lambda store: store.depth()).waiting["batch"] == 2
    with pytest.raises(IdempotencyConflict, match=first.id):
        submit(desk, new_batch(idempotency_key="k", fingerprint="other"))
    assert submit(desk, new_batch(idempotency_key="k", owner="ben")).id != first.id
    desk.submit(job(key="k"))  # a job's key is another one


def test_cancelling_leaves_what_has_ended(desk: Desk, url: str) -> None:
    batch = submit(desk, new_batch(3))
    worker = Claims(url, worker_id="one")
    ended, running = worker.claim(2, 0.1)
    worker.succeed(ended.id, b"{}")

    cancelled = desk(lambda store: BatchStore(store).cancel(batch.id, "anna"))

    assert cancelled.cancel_requested
    states = [desk.state(job_id) for job_id in batch.job_ids]
    assert states == [JobState.SUCCEEDED, JobState.RUNNING, JobState.CANCELLED]
    assert worker.renew([running.id]).cancelled == {running.id}
    worker.close()
    assert desk(lambda store: store.depth()).waiting["batch"] == 0


def test_nothing_of_a_batch_goes_before_all_of_it_has_ended(
    url: str, fresh_redis: redis.Redis
) -> None:
    desk = Desk(url, result_ttl_s=60)
    batch = submit(desk, new_batch(3))
    names = [batch_key(batch.id), *map(job_key, batch.job_ids)]
    first, second, _ = batch.job_ids
    worker = Claims(url, worker_id="one", result_ttl_s=60)
    assert len(worker.claim(2, 0.1)) == 2

    worker.succeed(first, b"{}")
    worker.fail(second, Failure("failed", "by itself"))
    assert [fresh_redis.ttl(name) for name in names] == [-1] * 4
    desk(lambda store: BatchStore(store).cancel(batch.id))
    assert all(0 < fresh_redis.ttl(name) <= 60 for name in names)

    desk(lambda store: store.requeue(second))
    assert [fresh_redis.ttl(name) for name in names] == [-1] * 4
    assert [claim.id for claim in worker.claim(1, 0.1)] == [second]
    worker.succeed(second, b"{}")
    worker.close()
    assert all(0 < fresh_redis.ttl(name) <= 60 for name in names)


def test_a_batch_without_jobs_goes_in_time(url: str, fresh_redis: redis.Redis) -> None:
    batch = submit(Desk(url, result_ttl_s=60), new_batch(0))
    assert 0 < fresh_redis.ttl(batch_key(batch.id)) <= 60


def test_the_job_of_a_batch_that_is_gone_goes_like_any_other(
    url: str, fresh_redis: redis.Redis
) -> None:
    desk = Desk(url, result_ttl_s=60)
    batch = submit(desk, new_batch(2))
    fresh_redis.delete(batch_key(batch.id))
    with pytest.raises(BatchNotFound):
        desk(lambda store: BatchStore(store).get(batch.id))
    desk(lambda store: store.cancel(batch.job_ids[0]))
    assert 0 < fresh_redis.ttl(job_key(batch.job_ids[0])) <= 60


def test_a_batch_is_its_owner_s(desk: Desk) -> None:
    batch = submit(desk, new_batch())

    with pytest.raises(BatchNotFound):
        desk(lambda store: BatchStore(store).get(batch.id, "ben"))
    with pytest.raises(BatchNotFound):
        desk(lambda store: BatchStore(store).cancel(batch.id, "ben"))
    with pytest.raises(BatchNotFound):
        desk(lambda store: BatchStore(store).get("none"))


def test_a_deadline_is_each_job_s(desk: Desk) -> None:
    batch = submit(desk, new_batch(deadline_s=60.0))
    jobs = desk(lambda store: BatchStore(store).jobs(batch))

    assert {round((one.deadline_at or 0) - one.created_at) for one in jobs.values()} == {60}


def test_one_subscription_hears_of_all_its_jobs(url: str) -> None:
    async def follow() -> list[tuple[str, bool]]:
        store = JobStore.connect(url)
        feed = EventFeed(store.redis)
        await feed.start()
        batch = (await BatchStore(store).submit(new_batch(2))).batch
        heard = []
        async with feed.subscribe(*batch.job_ids) as events:
            await BatchStore(store).cancel(batch.id)
            while len({job_id for job_id, is_last in heard if is_last}) < 2:
                event = await asyncio.wait_for(events.get(), 10)
                heard.append((event.job_id, event.is_last))
        await feed.stop()
        await store.close()
        return heard

    assert len(asyncio.run(follow())) >= 2
