"""Server-sent events: the state first, then what happens, then the end."""

import asyncio
from typing import Any

import httpx
import pytest
import redis
from conftest import Served, Worker, follow, parse_events

from service.api.examples import TASK

pytestmark = pytest.mark.anyio

PROGRESS = b'{"outcomes":%d,"asked":8,"decided":0,"test_inputs":1,"tests":[]}'


async def submit(client: httpx.AsyncClient) -> dict[str, Any]:
    document: dict[str, Any] = (await client.post("/v1/jobs", json=TASK)).json()
    return document


async def test_a_job_is_followed_from_its_state_to_its_end(
    client: httpx.AsyncClient, worker: Worker
) -> None:
    job = await submit(client)
    following = await follow(client, job["links"]["events"])
    claim = await asyncio.to_thread(worker.claim)
    await asyncio.to_thread(worker.claims.progress, job["id"], PROGRESS % 3)
    await asyncio.to_thread(worker.finish, claim)
    answer = await following
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.headers["cache-control"] == "no-store"
    events = parse_events(answer.text)
    assert [(kind, data.get("state", data.get("outcomes"))) for kind, _, data in events] == [
        ("state", "queued"),
        ("state", "running"),
        ("progress", 3),
        ("state", "succeeded"),
    ]
    assert events[0][2]["id"] == job["id"]
    ids = [tuple(map(int, event_id.split("-"))) for _, event_id, _ in events]
    assert ids == sorted(set(ids))
    whole = (await client.get(job["links"]["self"])).json()
    assert whole["result"]["tests"]
    assert events[-1][2] == whole


async def test_an_ended_job_has_one_event(client: httpx.AsyncClient, worker: Worker) -> None:
    job = await submit(client)
    await asyncio.to_thread(worker.fail, "engine_failed", "why")
    events = parse_events((await client.get(job["links"]["events"])).text)
    assert [(kind, data["state"]) for kind, _, data in events] == [("state", "failed")]
    assert events[0][2]["error"] == {"code": "engine_failed", "detail": "why"}


async def test_a_late_follower_gets_state_and_progress_first(
    client: httpx.AsyncClient, worker: Worker
) -> None:
    job = await submit(client)
    claim = await asyncio.to_thread(worker.claim)
    await asyncio.to_thread(worker.claims.progress, job["id"], PROGRESS % 5)
    following = await follow(client, job["links"]["events"])
    await asyncio.to_thread(worker.finish, claim)
    events = parse_events((await following).text)
    assert [(kind, data.get("state", data.get("outcomes"))) for kind, _, data in events] == [
        ("state", "running"),
        ("progress", 5),
        ("state", "succeeded"),
    ]


async def test_who_comes_back_gets_what_was_missed(
    client: httpx.AsyncClient, worker: Worker
) -> None:
    job = await submit(client)
    address = job["links"]["events"]
    following = await follow(client, address)
    claim = await asyncio.to_thread(worker.claim)
    for number in (1, 2):
        await asyncio.to_thread(worker.claims.progress, job["id"], PROGRESS % number)
    await asyncio.to_thread(worker.finish, claim)
    events = parse_events((await following).text)
    assert [kind for kind, _, _ in events] == ["state", "state", "progress", "progress", "state"]
    for place, (_, event_id, _) in enumerate(events[:-1], 1):
        missed = await client.get(address, headers={"Last-Event-ID": event_id})
        assert parse_events(missed.text) == events[place:]
    over = await client.get(address, headers={"Last-Event-ID": events[-1][1]})
    assert (over.status_code, over.content) == (204, b"")


async def test_an_ancient_id_is_answered_with_the_state_and_no_reading_of_events(
    client: httpx.AsyncClient, worker: Worker, fresh_redis: "redis.Redis"
) -> None:
    job = await submit(client)
    await asyncio.to_thread(worker.finish)
    fresh_redis.config_resetstat()
    answer = await client.get(job["links"]["events"], headers={"Last-Event-ID": "0-1"})
    assert [data["state"] for _, _, data in parse_events(answer.text)] == ["succeeded"]
    stats: dict[str, Any] = fresh_redis.info("commandstats")  # type: ignore[assignment]
    assert stats["cmdstat_xrange"]["calls"] == 1  # the oldest, for its age
    (_, last, _), *_ = parse_events(answer.text)
    over = await client.get(job["links"]["events"], headers={"Last-Event-ID": last})
    assert over.status_code == 204
    stats = fresh_redis.info("commandstats")  # type: ignore[assignment]
    assert stats["cmdstat_xrange"]["calls"] == 1


@pytest.mark.parametrize("event_id", ["nonsense", "1-2-3", "-", "9" * 60, "1-x"])
async def test_an_id_of_no_event_is_refused(client: httpx.AsyncClient, event_id: str) -> None:
    job = await submit(client)
    answer = await client.get(job["links"]["events"], headers={"Last-Event-ID": event_id})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")


async def test_events_come_as_they_happen_and_end_with_the_service(
    served: Served, worker: Worker
) -> None:
    async with httpx.AsyncClient(base_url=served.url, timeout=20) as client:
        job = await submit(client)
        async with client.stream("GET", job["links"]["events"]) as stream:
            blocks = stream.aiter_text()
            assert '"state":"queued"' in await anext(blocks)
            await asyncio.to_thread(worker.claim)
            assert '"state":"running"' in await anext(blocks)
            solving = asyncio.create_task(
                client.post("/v1/solve", json=TASK, headers={"Prefer": "wait=60"})
            )
            while len((await client.get("/v1/jobs")).json()["jobs"]) < 2:
                await asyncio.sleep(0.05)
            served.process.terminate()
            rest = "".join([block async for block in blocks])
        assert "succeeded" not in rest
        assert (await solving).status_code == 202  # answered before the end, not cut off
    assert await asyncio.to_thread(served.process.wait, 20) == 0
