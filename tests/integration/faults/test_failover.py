"""A replica takes over behind the same address, and the demoted server keeps its connections."""

import asyncio
import signal
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from fault_support import (
    END_S,
    Pair,
    Queue,
    WorkerProcess,
    check_all_succeeded_once,
    task_body,
)

from augment import Puzzle
from service.api import create_app
from service.jobs import Claims, JobStore, WorkerRecord
from service.runtime.settings import Settings
from service.wire.errors import QueueUnavailable

NUM_CONNECTIONS = 6
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


def test_a_store_leaves_a_demoted_server_with_all_its_connections(pair: Pair) -> None:
    async def run() -> None:
        store = JobStore.connect(pair.relay.url)
        writes = [store.submissions.check_writable] * NUM_CONNECTIONS
        await asyncio.gather(*(write() for write in writes))
        pair.fail_over()
        with pytest.raises(QueueUnavailable, match="ReadOnlyError"):
            await store.submissions.check_writable()
        await asyncio.gather(*(write() for write in writes))
        await store.close()

    asyncio.run(run())


def test_claims_leave_a_demoted_server_with_all_their_connections(pair: Pair) -> None:
    claims = Claims(pair.relay.url, worker_id="w")
    pool = claims._redis.connection_pool
    busy, *idle = [pool.get_connection() for _ in range(NUM_CONNECTIONS)]
    for connection in idle:
        pool.release(connection)
    pair.fail_over()
    with pytest.raises(QueueUnavailable, match="ReadOnlyError"):
        claims.register(RECORD)
    pool.release(busy)  # another thread's, which was in the middle of a command

    roles = []
    for connection in [pool.get_connection() for _ in range(NUM_CONNECTIONS)]:
        connection.send_command("ROLE")
        roles.append(connection.read_response()[0])
        pool.release(connection)
    assert roles == [b"master"] * NUM_CONNECTIONS
    claims.close()


def test_a_service_goes_on_after_a_failover_without_a_restart(
    pair: Pair,
    worker: Callable[..., WorkerProcess],
    probes: tuple[Puzzle, ...],
) -> None:
    async def solve(client: httpx.AsyncClient, number: int) -> tuple[int, str]:
        body: Any = task_body(probes[number % len(probes)], variants=4)
        answer = await client.post("/v1/solve", json=body)
        document = answer.json()
        return answer.status_code, document.get("code", document.get("state"))

    async def run() -> None:
        app = create_app(Settings(redis_url=pair.relay.url, allow_unverified=True))
        async with app.router.lifespan_context(app):
            transport = httpx.ASGITransport(app=app)
            async with httpx.AsyncClient(
                transport=transport, base_url="http://127.0.0.1"
            ) as client:
                before = await asyncio.gather(*(solve(client, n) for n in range(8)))
                assert set(before) == {(200, "succeeded")}

                pair.fail_over()

                deadline = time.monotonic() + END_S
                while (
                    (await client.get("/health/ready")).status_code,
                    await solve(client, 0),
                ) != (200, (200, "succeeded")):
                    assert time.monotonic() < deadline
                    await asyncio.sleep(0.1)
                after = await asyncio.gather(*(solve(client, n) for n in range(8)))
                assert set(after) == {(200, "succeeded")}

    process = worker("steady", url=pair.relay.url)
    Queue(pair.relay.url).wait_until_ready("steady")
    asyncio.run(run())
    assert process.process is not None
    assert process.process.poll() is None


def test_jobs_that_run_during_a_failover_end_once(
    pair: Pair,
    worker: Callable[..., WorkerProcess],
    probes: tuple[Puzzle, ...],
) -> None:
    process = worker("busy", "--step-s", "0.1", "--slots", "4", url=pair.relay.url, lease_s=2)
    before = Queue(pair.relay.url)
    before.wait_until_ready("busy")
    job_ids = before.submit([probes[n % len(probes)] for n in range(20)], variants=8)
    pair.replicate()
    before.wait_until_ended(job_ids[:1])
    process.signal(signal.SIGSTOP)
    assert not all(before.get(job_id).state.is_final for job_id in job_ids)
    process.signal(signal.SIGCONT)

    pair.fail_over()

    # What was written to the primary after its replica took over is lost, and done again.
    after = Queue(pair.relay.url)
    check_all_succeeded_once(after, job_ids)
    assert after.ask(lambda store: store.depth()).running == 0
    assert process.process is not None
    assert process.process.poll() is None
