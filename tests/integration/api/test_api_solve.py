"""`POST /v1/solve`: the answer, or 202 when it takes longer than the caller waits."""

import asyncio
import json
import time

import httpx
import pytest
from conftest import Worker

from service.api.examples import TASK
from service.jobs import JobStore
from service.wire.errors import QueueUnavailable
from service.wire.job import Job

pytestmark = pytest.mark.anyio


async def test_the_answer_comes_when_the_job_ends(
    client: httpx.AsyncClient, worker: Worker
) -> None:
    solving = asyncio.create_task(client.post("/v1/solve", json=TASK))
    await asyncio.to_thread(worker.finish)
    answer = await solving
    document = answer.json()
    assert (answer.status_code, document["state"]) == (200, "succeeded")
    Job.model_validate_json(json.dumps(document), strict=True)
    assert "preference-applied" not in answer.headers


async def test_who_has_waited_long_enough_gets_the_job_s_address(
    client: httpx.AsyncClient, worker: Worker
) -> None:
    started = time.monotonic()
    answer = await client.post("/v1/solve", json=TASK, headers={"Prefer": "wait=1"})
    assert time.monotonic() - started >= 1
    document = answer.json()
    assert (answer.status_code, document["state"]) == (202, "queued")
    assert answer.headers["preference-applied"] == "wait=1"
    assert answer.headers["location"] == document["links"]["self"]
    await asyncio.to_thread(worker.finish)
    assert (await client.get(answer.headers["location"])).json()["state"] == "succeeded"


async def test_a_queue_lost_during_the_wait_does_not_hide_the_job(
    client: httpx.AsyncClient, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def unavailable(*_: object) -> None:
        raise QueueUnavailable("connection lost")

    with monkeypatch.context() as patch:
        patch.setattr(JobStore, "get", unavailable)
        answer = await client.post("/v1/solve", json=TASK)
    assert (answer.status_code, answer.json()["state"]) == (202, "queued")
    await asyncio.to_thread(worker.finish)
    assert (await client.get(answer.headers["location"])).json()["state"] == "succeeded"


async def test_who_does_not_wait_is_answered_at_once(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/solve", json=TASK, headers={"Prefer": "respond-async"})
    assert answer.status_code == 202
    assert answer.headers["preference-applied"] == "respond-async"


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("unknown_puzzle", 404),
        ("unknown_checkpoint", 404),
        ("canvas_exceeded", 422),
        ("unsolvable", 422),
        ("deadline_exceeded", 504),
        ("attempts_exhausted", 500),
        ("engine_failed", 500),
    ],
)
async def test_a_failed_job_is_a_problem(
    client: httpx.AsyncClient, worker: Worker, code: str, status: int
) -> None:
    solving = asyncio.create_task(client.post("/v1/solve", json=TASK))
    job = await asyncio.to_thread(worker.fail, code, "why it failed")
    answer = await solving
    document = answer.json()
    assert (answer.status_code, document["code"]) == (status, code)
    assert document["detail"] == "why it failed"
    assert document["instance"] == f"/v1/jobs/{job.id}"
    assert answer.headers["content-type"] == "application/problem+json"
    error = (await client.get(document["instance"])).json()["error"]
    assert error == {"code": code, "detail": "why it failed"}


async def test_a_failure_of_no_known_kind_is_a_fault(
    client: httpx.AsyncClient, worker: Worker
) -> None:
    solving = asyncio.create_task(client.post("/v1/solve", json=TASK))
    await asyncio.to_thread(worker.fail, "of_tomorrow")
    answer = await solving
    assert (answer.status_code, answer.json()["code"]) == (500, "engine_failed")


async def test_a_cancelled_job_is_reported_as_such(client: httpx.AsyncClient) -> None:
    solving = asyncio.create_task(client.post("/v1/solve", json=TASK))
    job = None
    while job is None:
        jobs = (await client.get("/v1/jobs")).json()["jobs"]
        job = jobs[0] if jobs else None
    await client.delete(job["links"]["self"])
    answer = await solving
    assert (answer.status_code, answer.json()["state"]) == (200, "cancelled")


async def test_who_asks_again_with_the_same_key_gets_the_same_answer(
    client: httpx.AsyncClient, worker: Worker
) -> None:
    headers = {"Idempotency-Key": "once"}
    solving = [
        asyncio.create_task(client.post("/v1/solve", json=TASK, headers=headers)) for _ in range(4)
    ]
    await asyncio.to_thread(worker.finish)
    answers = await asyncio.gather(*solving)
    late = await client.post("/v1/solve", json=TASK, headers=headers)
    assert {answer.status_code for answer in (*answers, late)} == {200}
    assert len({answer.json()["id"] for answer in (*answers, late)}) == 1


async def test_many_who_wait_are_all_answered(client: httpx.AsyncClient, worker: Worker) -> None:
    with worker.at_work():
        answers = await asyncio.gather(
            *(client.post("/v1/solve", json=TASK | {"name": f"n{n}"}) for n in range(100))
        )
    assert {answer.status_code for answer in answers} == {200}
    assert [answer.json()["name"] for answer in answers] == [f"n{n}" for n in range(100)]
