"""The grids behind a job and behind a checkpoint's puzzle."""

import json

import httpx
import pytest
from conftest import KNOWN_HASH, PUZZLES, Open, Worker

from service.api.examples import TASK
from service.wire.checkpoint import PuzzleDetail
from service.wire.task import Task

pytestmark = pytest.mark.anyio


async def test_a_jobs_task_is_given_as_it_was_sent(client: httpx.AsyncClient) -> None:
    test = [*TASK["test"], {"input": [[1]], "output": [[2]]}]
    sent = TASK | {"test": test, "name": "mine", "options": {"seed": 3}}
    job = (await client.post("/v1/jobs", json=sent)).json()
    answer = await client.get(job["links"]["task"])
    assert answer.status_code == 200
    assert answer.json() == TASK | {"test": test, "name": "mine"}
    Task.model_validate_json(json.dumps(answer.json()), strict=True)


async def test_a_job_of_somebody_else_has_no_task(open_client: Open, worker: Worker) -> None:
    async with open_client(api_keys="ann:a,bob:b") as client:
        mine = {"Authorization": "Bearer a"}
        job = (await client.post("/v1/jobs", json=TASK, headers=mine)).json()
        path = f"/v1/jobs/{job['id']}/task"
        assert (await client.get(path, headers=mine)).status_code == 200
        others = await client.get(path, headers={"Authorization": "Bearer b"})
        assert (others.status_code, others.json()["code"]) == (404, "job_not_found")
        assert (await client.get(path)).status_code == 401


async def test_a_known_public_puzzle_comes_with_its_grids(client: httpx.AsyncClient) -> None:
    answer = await client.get(f"/v1/checkpoints/demo/puzzles/{KNOWN_HASH}")
    document = answer.json()
    assert answer.status_code == 200
    assert (document["name"], document["variants"]) == ("6150a2bd", 8)
    assert document["task"]["train"] == TASK["train"]
    PuzzleDetail.model_validate_json(json.dumps(document), strict=True)


async def test_a_known_puzzle_that_is_not_public_has_no_grids(client: httpx.AsyncClient) -> None:
    known = PUZZLES[0]
    answer = await client.get(f"/v1/checkpoints/demo/puzzles/{known.demonstrations_sha256}")
    assert answer.json() == {
        "name": known.name,
        "demonstrations_sha256": known.demonstrations_sha256,
        "variants": known.variants,
        "task": None,
    }


@pytest.mark.parametrize(
    ("path", "code"),
    [
        (f"demo/puzzles/{'f' * 64}", "unknown_puzzle"),
        ("demo/puzzles/p0", "unknown_puzzle"),
        (f"other/puzzles/{KNOWN_HASH}", "unknown_puzzle"),
        (f"none/puzzles/{KNOWN_HASH}", "unknown_checkpoint"),
    ],
)
async def test_puzzles_that_are_not_known_are_not_found(
    client: httpx.AsyncClient, path: str, code: str
) -> None:
    answer = await client.get(f"/v1/checkpoints/{path}")
    assert (answer.status_code, answer.json()["code"]) == (404, code)
