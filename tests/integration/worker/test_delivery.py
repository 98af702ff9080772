"""The delivery writes events in their order, once Redis takes them."""

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from service.jobs import Claims, Event, Job, JobState, JobStore, NewJob
from service.worker.delivery import Delivery
from service.worker.intake import Leases
from service.worker.messages import Change, Changed, Progressed, Succeeded
from service.worker.metrics import WorkerMetrics

TIMEOUT_S = 30.0


class Bench:
    """A delivery, its leases and metrics, and the store as callers see it."""

    def __init__(self, url: str, claims: Claims, client: redis.Redis) -> None:
        self.url, self.claims, self.client = url, claims, client
        self.leases, self.metrics = Leases(), WorkerMetrics()
        self.delivery = Delivery(claims, self.leases, self.metrics)
        self.delivery.start()

    def ask(self, question: Callable[[JobStore], Any]) -> Any:
        async def asked() -> Any:
            store = JobStore.connect(self.url)
            try:
                return await question(store)
            finally:
                await store.close()

        return asyncio.run(asked())

    def start(self) -> Job:
        """Claim a job, as the worker's main thread does."""
        new = NewJob(
            owner="anna",
            name="p",
            options=b"{}",
            fingerprint="f",
            priority="interactive",
            task=b"{}",
        )
        self.ask(lambda store: store.submit(new))
        return self.claim()

    def claim(self) -> Job:
        (claim,) = self.claims.claim(1, 1.0)
        self.leases.add(claim)
        return claim

    def get(self, job_id: str) -> Job:
        job: Job = self.ask(lambda store: store.get(job_id))
        return job

    def events(self, job: Job) -> list[str]:
        """Return what has happened since the claim: states, and of progress the number."""
        events: tuple[Event, ...] = self.ask(lambda s: s.events_since(job.id, job.last_event))
        documents = [json.loads(event.data) for event in events]
        return [str(document.get("state", document.get("number"))) for document in documents]

    def hold_writes(self) -> None:
        """Make the server suspend all writes; reading goes on."""
        self.client.execute_command("CLIENT", "PAUSE", 60_000, "WRITE")

    def resume_writes(self) -> None:
        self.client.execute_command("CLIENT", "UNPAUSE")

    def finish(self) -> None:
        self.delivery.close(TIMEOUT_S)
        assert not self.delivery.is_alive()

    def count(self, name: str) -> float:
        return self.metrics.registry.get_sample_value(f"hrm_arc_{name}_total") or 0.0


@pytest.fixture
def bench(valkey_url: str, fresh_redis: redis.Redis) -> Iterator[Bench]:
    """Return a delivery to a real server."""
    claims = Claims(valkey_url, worker_id="w", lease_s=30)
    bench = Bench(valkey_url, claims, fresh_redis)
    yield bench
    bench.resume_writes()
    bench.delivery.close(TIMEOUT_S)
    claims.close()


def progress(job: Job, number: int) -> Progressed:
    return Progressed(job.id, json.dumps({"number": number}).encode())


def test_progress_stays_on_its_side_of_a_change_however_late_it_is_written(bench: Bench) -> None:
    job = bench.start()
    bench.hold_writes()
    # The first is in the hands of the thread, or in the queue; the second waits behind it.
    for event in (
        progress(job, 1),
        progress(job, 2),
        Changed(job.id, Change.ADAPTING),
        progress(job, 3),
        progress(job, 4),
        Changed(job.id, Change.ADVANCED),
        progress(job, 5),
        Changed(job.id, Change.RUNNING),
        progress(job, 6),
    ):
        bench.delivery.put(event)
    time.sleep(0.3)
    bench.resume_writes()
    bench.finish()
    events = bench.events(job)
    parts = " ".join(events).replace("running", "|").replace("adapting", "|").split("|")
    before, adapting, after = ([int(number) for number in part.split()] for part in parts)
    assert [events.count(state) for state in ("adapting", "running")] == [1, 1]
    assert before in ([2], [1, 2])  # the latest of each side, and none of another
    assert adapting[-1] == 5
    assert set(adapting) <= {3, 4, 5}
    assert after == [6]
    assert json.loads(bench.get(job.id).progress or b"")["number"] == 6


def test_only_the_latest_progress_that_waits_is_written(bench: Bench) -> None:
    job, other = bench.start(), bench.start()
    bench.hold_writes()
    bench.delivery.put(Changed(other.id, Change.ADVANCED))
    time.sleep(0.3)  # until that one is in the hands of the thread
    for number in range(5):
        bench.delivery.put(progress(job, number))
    bench.resume_writes()
    bench.finish()
    assert bench.events(job) == ["4"]


def test_advancing_makes_this_attempt_the_first(bench: Bench) -> None:
    job_id = bench.start().id
    bench.claims.hand_back(job_id, charge=True)
    assert bench.claim().attempts == 2
    bench.delivery.put(Changed(job_id, Change.ADVANCED))
    bench.finish()
    assert bench.get(job_id).attempts == 1


def test_a_released_job_goes_back_uncharged_and_can_be_claimed_at_once(bench: Bench) -> None:
    job = bench.start()
    bench.delivery.put(Changed(job.id, Change.ADAPTING))
    bench.delivery.put(Changed(job.id, Change.RELEASED))
    (claim,) = bench.claims.claim(1, TIMEOUT_S)
    # Were this worker to claim it, it would not take it for a job that runs here.
    assert job.id not in bench.leases
    assert (claim.id, claim.attempts) == (job.id, 1)
    bench.finish()
    assert bench.count("jobs_handed_back") == 1


def test_a_job_that_another_worker_has_is_not_touched(bench: Bench) -> None:
    job = bench.start()
    bench.leases.discard(job.id)
    for message in (
        Changed(job.id, Change.ADAPTING),
        progress(job, 1),
        Changed(job.id, Change.ADVANCED),
        Changed(job.id, Change.RUNNING),
    ):
        bench.delivery.put(message)
    bench.finish()
    found = bench.get(job.id)
    assert (found.state, found.progress) == (JobState.RUNNING, None)
    assert bench.events(job) == []


def test_changes_and_ends_wait_for_redis_in_their_order(
    bench: Bench, valkey_url: str, tmp_path: Path
) -> None:
    job, away = bench.start(), tmp_path / "socket"
    late = Claims(f"unix://{away}", worker_id="w")  # nothing is there yet
    delivery = Delivery(late, bench.leases, bench.metrics)
    delivery.start()
    for message in (
        Changed(job.id, Change.ADAPTING),
        Changed(job.id, Change.RUNNING),
        Succeeded(job.id, b"1", 1.0),
    ):
        delivery.put(message)
    time.sleep(0.5)
    assert bench.events(job) == []
    away.symlink_to(valkey_url.removeprefix("unix://"))
    delivery.close(TIMEOUT_S)
    assert not delivery.is_alive()
    late.close()
    assert bench.events(job) == ["adapting", "running", "succeeded"]
    assert job.id not in bench.leases


def test_a_change_of_a_lost_job_is_not_retried(bench: Bench, tmp_path: Path) -> None:
    job = bench.start()
    nowhere = Claims(f"unix://{tmp_path / 'socket'}", worker_id="w")
    delivery = Delivery(nowhere, bench.leases, bench.metrics)
    delivery.start()
    delivery.put(Changed(job.id, Change.ADAPTING))
    time.sleep(0.3)
    assert delivery.is_alive()  # and it tries again and again
    bench.leases.discard(job.id)
    delivery.close(TIMEOUT_S)
    assert not delivery.is_alive()
    nowhere.close()
