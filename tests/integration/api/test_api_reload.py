"""Reloading checkpoints over HTTP: the workers are asked, and the list says how far they are."""

import time

import httpx
import pytest
from conftest import DEMO, Open, Worker

from service.jobs import WorkerRecord
from service.wire.checkpoint import CheckpointList

pytestmark = pytest.mark.anyio


def register(worker: Worker, reloaded_at: float, **refused: str) -> None:
    record = WorkerRecord(
        id="w2",
        host="there",
        device="cpu",
        state="ready",
        num_running=0,
        num_slots=8,
        checkpoints=(DEMO,),
        started_at=0.0,
        refused=refused,
        reloaded_at=reloaded_at,
    )
    worker.claims.register(record)


async def look(client: httpx.AsyncClient) -> CheckpointList:
    return CheckpointList.model_validate_json((await client.get("/v1/checkpoints")).content)


async def look_until(client: httpx.AsyncClient, num_reloading: int) -> CheckpointList:
    deadline = time.monotonic() + 30
    while (found := await look(client)).reloading != num_reloading:
        assert time.monotonic() < deadline, found
    return found


async def test_the_list_counts_the_workers_that_are_not_done(
    open_client: Open, worker: Worker
) -> None:
    register(worker, 0.0)
    async with open_client() as client:
        assert (await look(client)).reloading == 0

        answer = await client.post("/v1/checkpoints/reload")
        assert answer.status_code == 202
        assert answer.json()["reloading"] == 2
        requested_at = worker.claims.reload_requested_at()
        assert requested_at == pytest.approx(time.time(), abs=60)

        register(worker, requested_at, demo="served by the other", broken="no such folder")
        found = await look_until(client, 1)

    assert found.refused == {"broken": "no such folder"}
    assert [one.name for one in found.checkpoints] == ["demo", "other"]


async def test_a_reload_needs_a_key(open_client: Open, worker: Worker) -> None:
    async with open_client(api_keys="me:secret") as client:
        refused = await client.post("/v1/checkpoints/reload")
        assert (refused.status_code, refused.json()["code"]) == (401, "unauthorized")
        assert worker.claims.reload_requested_at() == 0.0

        key = {"Authorization": "Bearer secret"}
        assert (await client.post("/v1/checkpoints/reload", headers=key)).status_code == 202
