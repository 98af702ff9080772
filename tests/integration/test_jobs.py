"""Jobs in a real Valkey: what callers and workers may rely on."""

import asyncio
import json
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import redis
from job_desk import Desk, job

from service.jobs import (
    CheckpointRecord,
    Claims,
    EventFeed,
    Failure,
    JobState,
    JobStore,
    KnownPuzzle,
    WorkerRecord,
    feed,
)
from service.jobs.keys import (
    CANCELS,
    DEADLINES,
    EVENTS,
    job_key,
    new_id,
    puzzle_index_keys,
    queue_key,
)
from service.wire.checkpoint import Finding
from service.wire.errors import (
    IdempotencyConflict,
    JobNotFound,
    PuzzlesUnpublished,
    QueueError,
    QueueFull,
    QueueUnavailable,
)


@pytest.fixture
def url(valkey_url: str, fresh_redis: redis.Redis) -> str:
    """Return the address of a server that holds nothing yet."""
    return valkey_url


@pytest.fixture
def desk(url: str) -> Desk:
    return Desk(url)


@pytest.fixture
def worker(url: str) -> Iterator[Claims]:
    with_short_lease = Claims(url, worker_id="one", lease_s=0.2, max_attempts=3)
    yield with_short_lease
    with_short_lease.close()


@pytest.fixture
def other(url: str) -> Iterator[Claims]:
    with_short_lease = Claims(url, worker_id="two", lease_s=0.2, max_attempts=3)
    yield with_short_lease
    with_short_lease.close()


def test_a_job_goes_from_queued_through_running_to_its_result(desk: Desk, worker: Claims) -> None:
    job_id = desk.submit(job("p1", body='{"a":1}', priority="batch"))
    assert desk.state(job_id) is JobState.QUEUED
    (claim,) = worker.claim(4, 0.1)
    assert (claim.id, claim.attempts, claim.task) == (job_id, 1, b'{"a":1}')
    assert desk.state(job_id) is JobState.RUNNING
    worker.progress(job_id, b'{"outcomes":1}')
    assert desk(lambda store: store.get(job_id)).progress == b'{"outcomes":1}'
    assert worker.succeed(job_id, b'{"answer":7}')
    found = desk(lambda store: store.get(job_id))
    assert (found.state, found.result, found.worker) == (JobState.SUCCEEDED, b'{"answer":7}', "one")
    assert found.started_at is not None
    assert found.finished_at is not None
    assert found.created_at <= found.started_at <= found.finished_at
    assert worker.claim(4, 0.01) == []


def test_ids_cannot_be_guessed(desk: Desk) -> None:
    ids = {desk.submit(job()) for _ in range(5)}
    assert len(ids) == 5
    assert all(len(job_id) >= 22 for job_id in ids)  # 128 bits in base 64


def test_no_id_looks_like_an_option() -> None:
    assert not [job_id for _ in range(2_000) if (job_id := new_id()).startswith("-")]


def test_the_same_key_and_body_give_the_same_job(desk: Desk) -> None:
    first = desk(lambda store: store.submit(job(key="k", body="1")))
    again = desk(lambda store: store.submit(job(key="k", body="1")))
    assert (first.is_new, again.is_new) == (True, False)
    assert again.job.id == first.job.id
    with pytest.raises(IdempotencyConflict, match="'k' was used before"):
        desk.submit(job(key="k", body="2"))
    of_another = desk(lambda store: store.submit(job(key="k", body="2", owner="ben")))
    assert of_another.is_new


def test_a_key_is_its_owner_s_wherever_the_name_ends(desk: Desk) -> None:
    first = desk.submit(job(owner="a", key="b:c"))
    assert desk.submit(job(owner="a:b", key="c")) != first
    assert desk.submit(job(owner="a", key="b:c")) == first


def test_a_full_queue_refuses_and_takes_again_once_a_job_is_claimed(
    url: str, worker: Claims
) -> None:
    desk = Desk(url, max_queued=2)
    desk.submit(job())
    desk.submit(job(owner="ben"))
    with pytest.raises(QueueFull, match="2 jobs wait") as refused:
        desk.submit(job())
    assert refused.value.retry_after_s >= 1
    assert refused.value.code == "queue_full"
    worker.claim(1, 0)
    desk.submit(job())


def test_one_owner_cannot_take_more_than_a_share_of_the_queue(desk: Desk) -> None:
    desk.submit(job(share=1))
    with pytest.raises(QueueFull, match="your part") as refused:
        desk.submit(job(share=1))
    assert refused.value.code == "queue_share_exceeded"
    desk.submit(job(owner="ben", share=1))


@pytest.mark.parametrize("how", ["cancel", "claim"])
def test_a_share_is_free_again_when_its_job_waits_no_more(
    desk: Desk, worker: Claims, how: str
) -> None:
    job_id = desk.submit(job(share=1))
    if how == "cancel":
        desk(lambda store: store.cancel(job_id))
    else:
        worker.claim(1, 0)
    desk.submit(job(share=1))


def test_interactive_jobs_go_first_and_batch_keeps_its_places(desk: Desk, worker: Claims) -> None:
    batch = [desk.submit(job(priority="batch")) for _ in range(3)]
    interactive = [desk.submit(job()) for _ in range(5)]
    first = [claim.id for claim in worker.claim(3, 0, num_batch_places=1)]
    assert first == [batch[0], *interactive[:2]]
    rest = [claim.id for claim in worker.claim(9, 0)]
    assert rest == [*interactive[2:], *batch[1:]]


def test_batch_leaves_places_to_interactive_jobs_that_are_to_come(
    desk: Desk, worker: Claims
) -> None:
    batch = [desk.submit(job(priority="batch")) for _ in range(4)]
    first = worker.claim(8, 0, num_batch_places=1, most_batch=3)
    assert [claim.id for claim in first] == batch[:3]
    assert worker.claim(8, 0.05, num_batch_places=1, most_batch=0) == []
    interactive = desk.submit(job())
    assert [claim.id for claim in worker.claim(8, 0, most_batch=0)] == [interactive]


@pytest.mark.parametrize(("places", "most_batch"), [(9, 2), (3, 1), (2, 1), (1, 1)])
def test_a_claim_after_empty_queues_takes_all_there_is_room_for(
    desk: Desk, worker: Claims, places: int, most_batch: int
) -> None:
    assert worker.claim(places, 0.01, most_batch=most_batch) == []
    batch = [desk.submit(job(priority="batch")) for _ in range(4)]
    interactive = [desk.submit(job()) for _ in range(4)]
    found: list[str] = []
    for _ in range(3):
        num_left, num_batch = places - len(found), len({*found} & {*batch})
        claimed = worker.claim(num_left, 0.01, most_batch=most_batch - num_batch)
        found += [one.id for one in claimed]
    num_batch = min(most_batch, max(0, places - 1))
    assert [one for one in found if one in batch] == batch[:num_batch]
    assert [one for one in found if one in interactive] == interactive[: places - num_batch]


def test_a_claim_after_empty_queues_reads_once(
    desk: Desk, worker: Claims, fresh_redis: redis.Redis
) -> None:
    assert worker.claim(9, 0.01) == []
    job_id = desk.submit(job())
    num_reads = calls_of(fresh_redis, "xreadgroup")
    assert [claim.id for claim in worker.claim(9, 0.5)] == [job_id]
    assert calls_of(fresh_redis, "xreadgroup") == num_reads + 1


def test_a_waiting_worker_wakes_when_a_job_comes(desk: Desk, worker: Claims) -> None:
    found: list[str] = []
    waiting = threading.Thread(
        target=lambda: found.extend(claim.id for claim in worker.claim(2, 5.0))
    )
    waiting.start()
    time.sleep(0.1)
    started = time.monotonic()
    job_id = desk.submit(job())
    waiting.join()
    assert found == [job_id]
    assert time.monotonic() - started < 2.0


@pytest.mark.parametrize("how", ["claim", "reclaim"])
def test_jobs_started_before_redis_fails_are_not_dropped(
    url: str, desk: Desk, worker: Claims, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    job_ids = [desk.submit(job()) for _ in range(3)]
    if how == "reclaim":
        gone = Claims(url, worker_id="gone")
        gone.claim(3, 0)
        gone.close()
        time.sleep(0.25)
    num_starts, scripts = 0, worker._scripts

    def fail_at_the_second_start(name: str, *arguments: Any) -> Any:
        nonlocal num_starts
        num_starts += name == "start"
        if num_starts == 2:
            raise redis.ConnectionError("away")
        return scripts(name, *arguments)

    monkeypatch.setattr(worker, "_scripts", fail_at_the_second_start)

    taken = worker.claim(8, 0) if how == "claim" else worker.reclaim(8)
    assert [claim.id for claim in taken] == job_ids[:1]
    time.sleep(0.25)
    others = worker.reclaim(8, held=job_ids[:1])
    assert [claim.id for claim in others] == job_ids[1:]
    assert {claim.attempts for claim in (*taken, *others)} == {1 if how == "claim" else 2}


def test_a_redis_that_fails_before_any_start_is_reported(
    desk: Desk, worker: Claims, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.submit(job())

    def fail(name: str, *arguments: Any) -> Any:
        raise redis.ConnectionError("away")

    monkeypatch.setattr(worker, "_scripts", fail)
    with pytest.raises(QueueUnavailable):
        worker.claim(8, 0)


def test_two_workers_never_run_one_job_together(desk: Desk, worker: Claims, other: Claims) -> None:
    ids = {desk.submit(job()) for _ in range(40)}
    found: dict[str, list[str]] = {"one": [], "two": []}

    def take(claims: Claims) -> None:
        while taken := claims.claim(1, 0.05):
            found[claims.worker_id] += [claim.id for claim in taken]

    threads = [threading.Thread(target=take, args=(claims,)) for claims in (worker, other)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found["one"] + found["two"]) == sorted(ids)


def test_a_job_whose_worker_is_silent_is_taken_over(
    desk: Desk, worker: Claims, other: Claims
) -> None:
    job_id = desk.submit(job())
    worker.claim(1, 0)
    assert other.reclaim(4) == []
    time.sleep(0.25)
    (claim,) = other.reclaim(4)
    assert (claim.id, claim.attempts, claim.worker) == (job_id, 2, "two")
    assert worker.renew([job_id]).lost == {job_id}


def test_a_renewed_job_is_not_taken_over(desk: Desk, worker: Claims, other: Claims) -> None:
    job_id = desk.submit(job())
    worker.claim(1, 0)
    for _ in range(4):
        time.sleep(0.1)
        renewal = worker.renew([job_id])
        assert (renewal.lost, renewal.cancelled) == (frozenset(), frozenset())
        assert other.reclaim(4) == []


@pytest.mark.parametrize("attempts_left", [True, False])
def test_a_worker_that_reclaims_a_job_it_works_on_keeps_it_as_it_is(
    url: str, desk: Desk, attempts_left: bool
) -> None:
    worker = Claims(url, worker_id="one", lease_s=0.2, max_attempts=2 if attempts_left else 1)
    job_id = desk.submit(job())
    worker.claim(1, 0)
    worker.adapts(job_id)
    worker.progress(job_id, b'{"outcomes":1}')
    before = desk(lambda store: store.get(job_id))
    time.sleep(0.25)  # its lease runs out, as in a pause of the process

    assert worker.reclaim(4, held={job_id}) == []

    assert desk(lambda store: store.get(job_id)) == before
    assert worker.renew([job_id]).lost == frozenset()
    assert worker.succeed(job_id, b"1")
    worker.close()


def test_a_job_that_a_vanished_worker_took_over_comes_back_to_the_one_that_works_on_it(
    desk: Desk, worker: Claims, other: Claims
) -> None:
    job_id = desk.submit(job())
    worker.claim(1, 0)
    time.sleep(0.25)
    other.reclaim(1)
    time.sleep(0.25)

    assert worker.reclaim(1, held={job_id}) == []

    found = desk(lambda store: store.get(job_id))
    assert (found.worker, found.attempts) == ("one", 2)
    assert worker.renew([job_id]).lost == frozenset()
    assert other.renew([job_id]).lost == {job_id}


def test_a_job_that_ended_elsewhere_is_reclaimed_by_nobody(
    desk: Desk, worker: Claims, other: Claims
) -> None:
    job_id = desk.submit(job())
    worker.claim(1, 0)
    time.sleep(0.25)
    other.reclaim(1)
    other.succeed(job_id, b"2")
    assert worker.reclaim(1, held={job_id}) == []
    assert worker.renew([job_id]).gone == {job_id}
    assert not worker.succeed(job_id, b"1")


def test_the_first_result_wins_from_any_worker(desk: Desk, worker: Claims, other: Claims) -> None:
    job_id = desk.submit(job())
    worker.claim(1, 0)
    time.sleep(0.25)
    other.reclaim(1)
    assert worker.succeed(job_id, b"1")
    assert not other.succeed(job_id, b"2")
    assert desk(lambda store: store.get(job_id)).result == b"1"
    assert other.renew([job_id]).gone == {job_id}


@pytest.mark.parametrize("how", ["ended", "waits again", "record is gone"])
def test_a_job_that_no_worker_has_is_lost_to_none(
    desk: Desk, worker: Claims, fresh_redis: redis.Redis, how: str
) -> None:
    job_id = desk.submit(job())
    worker.claim(1, 0)
    match how:
        case "ended":
            worker.succeed(job_id, b"1")
        case "waits again":
            worker.hand_back(job_id, charge=False)
        case _:
            fresh_redis.delete(job_key(job_id))
    renewal = worker.renew([job_id])
    assert (renewal.lost, renewal.gone) == (frozenset(), {job_id})


def test_only_the_owner_may_fail_cancel_hand_back_or_report(
    desk: Desk, worker: Claims, other: Claims
) -> None:
    job_id = desk.submit(job())
    worker.claim(1, 0)
    assert not other.fail(job_id, Failure("engine_failed", "no"))
    assert not other.cancelled(job_id)
    assert not other.hand_back(job_id, charge=False)
    other.progress(job_id, b'{"outcomes":9}')
    found = desk(lambda store: store.get(job_id))
    assert (found.state, found.progress) == (JobState.RUNNING, None)
    assert worker.fail(job_id, Failure("engine_failed", "no"))


def test_attempts_run_out_and_an_operator_queues_again(desk: Desk, worker: Claims) -> None:
    job_id = desk.submit(job())
    for attempt in (1, 2, 3):
        (claim,) = worker.claim(1, 0)
        assert claim.attempts == attempt
        worker.hand_back(job_id, charge=True, reason=f"device lost {attempt}")
    assert worker.claim(1, 0.01) == []
    found = desk(lambda store: store.get(job_id))
    assert found.state is JobState.FAILED
    assert found.failure == Failure(
        "attempts_exhausted", "3 attempts ended without a result; the last one: device lost 3"
    )
    assert [dead.id for dead in desk(lambda store: store.dead())] == [job_id]
    assert desk(lambda store: store.depth()).dead == 1
    again = desk(lambda store: store.requeue(job_id))
    assert (again.state, again.attempts, again.failure) == (JobState.QUEUED, 0, None)
    assert desk(lambda store: store.dead()) == ()
    assert desk(lambda store: store.depth()).dead == 0
    (claim,) = worker.claim(1, 0)
    assert worker.succeed(job_id, b"1")
    with pytest.raises(QueueError, match="is succeeded: only failed jobs"):
        desk(lambda store: store.requeue(job_id))


def test_handing_back_uncharged_costs_no_attempt(desk: Desk, worker: Claims, other: Claims) -> None:
    job_id = desk.submit(job())
    for _ in range(5):
        worker.claim(1, 0)
        assert worker.hand_back(job_id, charge=False)
        assert desk.state(job_id) is JobState.QUEUED
    (claim,) = other.claim(1, 0)
    assert claim.attempts == 1


def test_a_queued_job_is_cancelled_at_once(desk: Desk, worker: Claims) -> None:
    job_id = desk.submit(job())
    assert desk(lambda store: store.cancel(job_id)).state is JobState.CANCELLED
    assert worker.claim(1, 0.01) == []


def test_a_running_job_s_worker_hears_of_its_cancellation(desk: Desk, worker: Claims) -> None:
    job_id = desk.submit(job())
    worker.listen(0.01)
    worker.claim(1, 0)
    asked = desk(lambda store: store.cancel(job_id))
    assert (asked.state, asked.cancel_requested) == (JobState.RUNNING, True)
    assert worker.listen(1.0) == {job_id}
    assert worker.renew([job_id]).cancelled == {job_id}
    assert worker.cancelled(job_id)
    assert desk.state(job_id) is JobState.CANCELLED
    assert desk(lambda store: store.cancel(job_id)).state is JobState.CANCELLED


def test_a_cancelled_job_of_a_dead_worker_is_not_run_again(
    desk: Desk, worker: Claims, other: Claims
) -> None:
    job_id = desk.submit(job())
    worker.claim(1, 0)
    desk(lambda store: store.cancel(job_id))
    time.sleep(0.25)
    assert other.reclaim(1) == []
    assert desk.state(job_id) is JobState.CANCELLED


def test_a_job_past_its_deadline_is_not_run(desk: Desk, worker: Claims) -> None:
    job_id = desk.submit(job(deadline_s=0.05))
    in_time = desk.submit(job(deadline_s=60))
    time.sleep(0.1)
    assert [claim.id for claim in worker.claim(4, 0)] == [in_time]
    found = desk(lambda store: store.get(job_id))
    assert found.failure is not None
    assert found.failure.code == "deadline_exceeded"


@pytest.mark.parametrize("limits", [{"max_queued": 1}, {"share": 1}])
def test_a_job_past_its_deadline_keeps_no_place(url: str, limits: dict[str, int]) -> None:
    desk, share = Desk(url, max_queued=limits.get("max_queued", 9)), limits.get("share")
    late = desk.submit(job(deadline_s=0.05, share=share))
    time.sleep(0.1)

    desk.submit(job(share=share))

    found = desk(lambda store: store.get(late))
    assert found.failure is not None
    assert found.failure.code == "deadline_exceeded"
    assert desk(lambda store: store.depth()).waiting["interactive"] == 1


def test_a_job_that_runs_or_was_queued_again_has_its_place_beyond_the_deadline(
    url: str, worker: Claims, fresh_redis: redis.Redis
) -> None:
    desk = Desk(url, max_queued=1)
    running = desk.submit(job(deadline_s=60))
    assert worker.claim(1, 0)
    fresh_redis.zadd(DEADLINES, {running: 1}, xx=True)
    late = desk.submit(job(deadline_s=0.05))
    time.sleep(0.1)
    desk.submit(job())  # ends the late one
    assert desk.state(running) is JobState.RUNNING
    assert worker.claim(1, 0)

    desk(lambda store: store.requeue(late))

    with pytest.raises(QueueFull):
        desk.submit(job())
    assert fresh_redis.zcard(DEADLINES) == 0


def test_lists_are_an_owner_s_own_newest_first_in_pages(desk: Desk, worker: Claims) -> None:
    ids = [desk.submit(job(f"p{i}")) for i in range(7)]
    desk.submit(job(owner="ben"))
    worker.claim(2, 0)
    seen, after = [], None
    while True:
        page = desk(lambda store, after=after: store.list("anna", after=after, limit=3))
        seen += [found.id for found in page.items]
        after = page.next
        if after is None:
            break
        assert len(page.items) == 3
    assert sorted(seen) == sorted(ids)
    created = [desk(lambda store, i=i: store.get(i)).created_at for i in seen]
    assert created == sorted(created, reverse=True)
    running = desk(lambda store: store.list("anna", states=[JobState.RUNNING])).items
    assert {found.id for found in running} == set(ids[:2])
    with pytest.raises(QueueError, match="no cursor"):
        desk(lambda store: store.list("anna", after="x"))


def test_many_jobs_of_one_moment_are_all_listed(desk: Desk, url: str) -> None:
    ids = [desk.submit(job()) for _ in range(5)]
    with redis.Redis.from_url(url) as client:
        client.zadd("{hrm-arc}:jobs:anna", dict.fromkeys(ids, 1_000))
    seen, after = [], None
    while True:
        page = desk(lambda store, after=after: store.list("anna", after=after, limit=2))
        seen += [found.id for found in page.items]
        after = page.next
        if after is None:
            break
    assert sorted(seen) == sorted(ids)


def test_a_job_is_nobody_else_s(desk: Desk) -> None:
    job_id = desk.submit(job())
    with pytest.raises(JobNotFound):
        desk(lambda store: store.get(job_id, "ben"))
    with pytest.raises(JobNotFound):
        desk(lambda store: store.cancel(job_id, "ben"))
    assert desk.state(job_id) is JobState.QUEUED
    with pytest.raises(JobNotFound, match="'nobody'"):
        desk(lambda store: store.get("nobody"))


def test_results_are_forgotten_after_their_time(url: str) -> None:
    desk = Desk(url)
    worker = Claims(url, worker_id="one", result_ttl_s=1)
    job_id = desk.submit(job())
    worker.claim(1, 0)
    worker.succeed(job_id, b"1")
    assert desk.state(job_id) is JobState.SUCCEEDED
    time.sleep(1.2)
    with pytest.raises(JobNotFound):
        desk.state(job_id)
    assert desk(lambda store: store.list("anna")).items == ()
    worker.close()


@asynccontextmanager
async def feeding(url: str) -> AsyncIterator[tuple[JobStore, EventFeed]]:
    store = JobStore.connect(url)
    event_feed = EventFeed(store.redis)
    await event_feed.start()
    try:
        yield store, event_feed
    finally:
        await event_feed.stop()
        await store.close()


def test_a_subscriber_sees_every_state_and_progress_in_order(url: str, worker: Claims) -> None:
    async def run() -> list[tuple[str, Any, bool]]:
        async with feeding(url) as (store, event_feed):
            job_id = (await store.submit(job())).job.id
            other = (await store.submit(job())).job.id
            seen = []
            async with event_feed.subscribe(other) as events:
                await store.cancel(other)
                await asyncio.wait_for(events.get(), 5)  # the tail stands behind the submissions
            async with event_feed.subscribe(job_id) as events:
                await asyncio.to_thread(worker.claim, 1, 0)
                await asyncio.to_thread(worker.progress, job_id, b'{"outcomes":3}')
                await asyncio.to_thread(worker.succeed, job_id, b"1")
                while True:
                    event = await asyncio.wait_for(events.get(), 5)
                    data = json.loads(event.data)
                    seen.append(
                        (event.kind, data.get("state", data.get("outcomes")), event.is_last)
                    )
                    if event.is_last:
                        return seen

    seen = asyncio.run(run())
    assert seen[-3:] == [
        ("state", "running", False),
        ("progress", 3, False),
        ("state", "succeeded", True),
    ]


def test_a_subscriber_that_takes_nothing_is_kept_the_newest_events(
    url: str, worker: Claims, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "MAX_UNREAD", 3)

    async def run() -> list[Any]:
        async with feeding(url) as (store, event_feed):
            job_id = (await store.submit(job())).job.id
            async with (
                event_feed.subscribe(job_id) as unread,
                event_feed.subscribe(job_id) as read,
            ):
                await asyncio.to_thread(worker.claim, 1, 0)
                for number in range(5):
                    await asyncio.to_thread(worker.progress, job_id, b'{"outcomes":%d}' % number)
                await asyncio.to_thread(worker.succeed, job_id, b"1")
                while not (await asyncio.wait_for(read.get(), 60)).is_last:
                    pass
                kept = [json.loads(unread.get_nowait().data) for _ in range(unread.qsize())]
                return [event.get("outcomes", event.get("state")) for event in kept]

    assert asyncio.run(run()) == [3, 4, "succeeded"]


FOREIGN = [{"foreign": "1"}, {"job": b"\xff"}, {"job": "{id}"}]


def test_foreign_events_do_not_end_the_feed(url: str, fresh_redis: redis.Redis) -> None:
    async def run() -> str:
        async with feeding(url) as (store, event_feed):
            job_id = (await store.submit(job())).job.id
            async with event_feed.subscribe(job_id) as events:
                for fields in FOREIGN:
                    fresh_redis.xadd(
                        EVENTS, {k: job_id if v == "{id}" else v for k, v in fields.items()}
                    )
                await store.cancel(job_id)
                while not (event := await asyncio.wait_for(events.get(), 60)).is_last:
                    pass
                return json.loads(event.data)["state"]

    assert asyncio.run(run()) == "cancelled"


def test_foreign_entries_do_not_end_a_worker(
    desk: Desk, worker: Claims, fresh_redis: redis.Redis
) -> None:
    worker.listen(0.01)
    for fields in FOREIGN:
        fresh_redis.xadd(queue_key("interactive"), fields)
        fresh_redis.xadd(CANCELS, fields)
    job_id = desk.submit(job())
    assert len(worker.listen(1.0)) == len(FOREIGN)
    assert [claim.id for claim in worker.claim(9, 0)] == [job_id]
    assert fresh_redis.xlen(queue_key("interactive")) == 1


def test_missed_events_are_replayed_from_an_id(desk: Desk, worker: Claims) -> None:
    job_id = desk.submit(job())
    position = desk(lambda store: store.get(job_id)).last_event
    desk.submit(job())
    worker.claim(1, 0)
    worker.fail(job_id, Failure("engine_failed", "why"))
    events = desk(lambda store: store.events_since(job_id, position))
    assert events is not None
    documents = [json.loads(event.data) for event in events]
    assert [document["state"] for document in documents] == ["running", "failed"]
    assert documents[-1]["error"] == {"code": "engine_failed", "detail": "why"}
    assert desk(lambda store: store.events_since(job_id, "0-1")) is None  # older than is kept
    with pytest.raises(QueueError, match="no id of an event"):
        desk(lambda store: store.events_since(job_id, "now"))


def test_missed_events_are_read_in_pages_up_to_the_job_s_last(
    desk: Desk, worker: Claims, fresh_redis: redis.Redis
) -> None:
    job_id = desk.submit(job())
    position = desk(lambda store: store.get(job_id)).last_event
    worker.claim(1, 0)
    for number in range(3):
        worker.progress(job_id, b'{"outcomes":%d}' % number)
        add_events_of_others(fresh_redis, 700)
    fresh_redis.config_resetstat()
    events = desk(lambda store: store.events_since(job_id, position))
    assert events is not None
    assert [json.loads(event.data).get("outcomes") for event in events] == [None, 0, 1, 2]
    # The oldest for its age, and 3 pages of 500: 1 + 1 + 700 + 1 + 700 + 1, not the last 700.
    assert calls_of(fresh_redis, "xrange") == 1 + 3


def test_an_id_older_than_what_is_kept_reads_no_more_than_one_event(
    desk: Desk, fresh_redis: redis.Redis
) -> None:
    job_id = desk.submit(job())
    add_events_of_others(fresh_redis, 700)
    fresh_redis.config_resetstat()
    assert desk(lambda store: store.events_since(job_id, "0-1")) is None
    assert calls_of(fresh_redis, "xrange") == 1


def add_events_of_others(client: redis.Redis, num: int) -> None:
    pipeline = client.pipeline()
    for _ in range(num):
        pipeline.xadd(EVENTS, {"job": "another", "kind": "progress", "data": "{}", "last": "0"})
    pipeline.execute()


def calls_of(client: redis.Redis, command: str) -> int:
    """Count the calls of a command since the counts were reset, those of scripts included."""
    stats: dict[str, Any] = client.info("commandstats")  # type: ignore[assignment]
    return int(stats.get(f"cmdstat_{command}", {"calls": 0})["calls"])


def test_depth_separates_waiting_from_running(desk: Desk, worker: Claims) -> None:
    for priority in ("interactive", "interactive", "batch"):
        desk.submit(job(priority=priority))
    worker.claim(1, 0)
    time.sleep(0.05)
    depth = desk(lambda store: store.depth())
    assert depth.waiting == {"interactive": 1, "batch": 1}
    assert depth.running == 1
    assert all(0.04 < age < 60 for age in depth.oldest_waiting_s.values())


def record(worker_id: str) -> WorkerRecord:
    checkpoint = CheckpointRecord(
        name="demo",
        sha256="ab" * 32,
        architecture="HRM",
        canvas=6,
        parameters=10,
        rows=20,
        puzzles=2,
        halt_max_steps=8,
        finding=Finding.ALIGNED,
        verdict="aligned",
    )
    return WorkerRecord(
        id=worker_id,
        host="host",
        device="cpu",
        state="ready",
        num_running=0,
        num_slots=8,
        checkpoints=(checkpoint,),
        started_at=5.0,
    )


def publish(worker: Claims, checkpoint: CheckpointRecord, *names: str) -> None:
    """Publish puzzles; the hash of a puzzle's demonstrations is its number."""
    puzzles = [
        KnownPuzzle(name=name, demonstrations_sha256=f"{number:064x}", variants=64)
        for number, name in enumerate(names)
    ]
    worker.publish_puzzles(checkpoint.sha256, puzzles)


def test_workers_and_their_puzzles_are_known_until_they_leave(desk: Desk, worker: Claims) -> None:
    worker.claim(1, 0.01)
    worker.register(record("one"))
    (found,) = desk(lambda store: store.served.workers())
    assert (found.checkpoints, found.id) == (record("one").checkpoints, "one")
    assert found.seen_at > 1e9
    (demo,) = found.checkpoints
    names = [f"puzzle {i}" for i in range(5)]
    publish(worker, demo, *names)
    assert desk(lambda store: store.served.find_puzzle(demo, f"{3:064x}")) == KnownPuzzle(
        name="puzzle 3", demonstrations_sha256=f"{3:064x}", variants=64
    )
    assert desk(lambda store: store.served.find_puzzle(demo, "f" * 64)) is None
    seen, after = [], None
    while True:
        page = desk(lambda store, after=after: store.served.puzzles(demo, after=after, limit=2))
        assert page.total == 5
        seen += [puzzle.name for puzzle in page.puzzles]
        after = page.next
        if after is None:
            break
    assert seen == names
    worker.leave()
    assert desk(lambda store: store.served.workers()) == ()


@pytest.mark.parametrize("lost", [slice(0, 1), slice(1, 2), slice(0, 2)])
def test_a_missing_list_of_puzzles_is_noticed_by_its_worker_and_by_callers(
    desk: Desk, worker: Claims, fresh_redis: redis.Redis, lost: slice
) -> None:
    demo = record("one").checkpoints[0]
    assert worker.register(record("one")).unpublished == {demo.sha256}
    publish(worker, demo, "a", "b")
    assert worker.register(record("one")).unpublished == frozenset()
    fresh_redis.delete(*puzzle_index_keys(demo.sha256)[lost])

    assert worker.register(record("one")).unpublished == {demo.sha256}
    with pytest.raises(PuzzlesUnpublished, match="'demo' knows is missing"):
        desk(lambda store: store.served.find_puzzle(demo, "f" * 64))
    with pytest.raises(PuzzlesUnpublished):
        desk(lambda store: store.served.puzzles(demo))
    with pytest.raises(PuzzlesUnpublished):
        desk(lambda store: store.served.check_published([demo]))

    publish(worker, demo, "a", "b")
    assert worker.register(record("one")).unpublished == frozenset()
    assert desk(lambda store: store.served.find_puzzle(demo, "f" * 64)) is None
    desk(lambda store: store.served.check_published([demo]))


def test_of_a_checkpoint_that_knows_no_puzzle_no_list_is_missed(desk: Desk, worker: Claims) -> None:
    none = record("one").checkpoints[0].model_copy(update={"puzzles": 0})
    found = worker.register(record("one").model_copy(update={"checkpoints": (none,)}))
    assert found.unpublished == frozenset()
    assert desk(lambda store: store.served.find_puzzle(none, "f" * 64)) is None
    assert desk(lambda store: store.served.puzzles(none)).total == 0
    desk(lambda store: store.served.check_published([none]))


def test_leaving_never_drops_a_job(desk: Desk, worker: Claims, other: Claims) -> None:
    job_id = desk.submit(job())
    worker.claim(1, 0)
    worker.leave()
    time.sleep(0.25)
    assert [claim.id for claim in other.reclaim(1)] == [job_id]


def test_queues_and_their_groups_come_back_after_everything_is_deleted(
    url: str, desk: Desk, worker: Claims
) -> None:
    worker.claim(1, 0.01)
    with redis.Redis.from_url(url) as client:
        client.flushall()
    job_id = desk.submit(job())
    assert [claim.id for claim in worker.claim(1, 0)] == [job_id]


def test_an_unreachable_redis_is_said_so() -> None:
    nowhere = "unix:///nonexistent/socket"
    with pytest.raises(QueueUnavailable, match="Redis cannot be used now"):
        Desk(nowhere)(lambda store: store.submissions.check_writable())
    with pytest.raises(QueueUnavailable, match="Redis cannot be used now"):
        Claims(nowhere, worker_id="one").claim(1, 0)
    with pytest.raises(QueueUnavailable, match="no address of a Redis"):
        JobStore.connect("somewhere")


def test_a_worker_of_several_checkpoints_finds_a_shard_of_any_at_once(
    desk: Desk, worker: Claims
) -> None:
    worker.serve(["a", "b", "c"])
    worker.claim(1, 0)
    job_id = desk.submit(job())
    assert worker.claim(1, 0)
    parts = [range(part, part + 1) for part in range(4)]
    assert worker.shards.split(job_id, "b", parts, 4, b'{"outcomes":0}')

    for _ in parts:  # whichever queue is looked at first
        (claimed,) = worker.claim(1, 0, most_shards=1)
        assert claimed.shard is not None
    assert worker.claim(1, 0, most_shards=1) == []
