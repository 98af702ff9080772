"""Jobs over HTTP: submitted, found, listed, cancelled, each to its owner."""

import asyncio
import json
import re
from copy import deepcopy
from typing import Any

import httpx
import pytest
import redis
from conftest import ANSWER, DEMO, KNOWN_HASH, OTHER, Open, Worker

from service.api.examples import TASK
from service.jobs import WorkerRecord
from service.jobs.keys import puzzle_index_keys
from service.wire.job import Job, JobSummary

pytestmark = pytest.mark.anyio


async def submit(client: httpx.AsyncClient, **members: Any) -> dict[str, Any]:
    answer = await client.post("/v1/jobs", json=TASK | members)
    assert answer.status_code == 202, answer.text
    document: dict[str, Any] = answer.json()
    return document


async def test_a_job_is_queued_with_its_options_filled_in(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/jobs", json=TASK | {"name": "mine", "options": {"seed": 7}})
    document = answer.json()
    assert answer.status_code == 202
    assert answer.headers["location"] == f"/v1/jobs/{document['id']}" == document["links"]["self"]
    assert (document["state"], document["name"], document["attempts"]) == ("queued", "mine", 0)
    assert document["options"] == {
        "checkpoint": None,
        "ensemble": [],
        "variants": None,
        "attempts": 2,
        "halting": "act",
        "max_segments": None,
        "ranking": "count",
        "seed": 7,
        "stop_early": True,
        "adapt": "auto",
        "adapt_s": 120.0,
        "adapt_steps": None,
        "adapt_variants": 64,
        "trace": False,
        "priority": "interactive",
        "deadline_s": None,
    }
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", document["created_at"])
    Job.model_validate_json(json.dumps(document), strict=True)


async def test_a_finished_job_shows_its_answer(client: httpx.AsyncClient, worker: Worker) -> None:
    job = await submit(client)
    await asyncio.to_thread(worker.finish)
    document = (await client.get(job["links"]["self"])).json()
    Job.model_validate_json(json.dumps(document), strict=True)
    assert (document["state"], document["attempts"]) == ("succeeded", 1)
    assert document["result"]["tests"][0]["attempts"] == [[[0, 0, 4], [0, 8, 6], [5, 3, 6]]]
    assert document["created_at"] <= document["started_at"] <= document["finished_at"]


async def test_a_running_job_shows_its_progress(client: httpx.AsyncClient, worker: Worker) -> None:
    job = await submit(client)
    claim = await asyncio.to_thread(worker.claim)
    progress = b'{"outcomes":1,"asked":8,"decided":0,"test_inputs":1,"tests":[]}'
    await asyncio.to_thread(worker.claims.progress, claim.id, progress)
    document = (await client.get(job["links"]["self"])).json()
    assert (document["state"], document["progress"]["outcomes"]) == ("running", 1)
    listed = (await client.get("/v1/jobs")).json()["jobs"][0]
    assert "result" not in listed
    assert "tests" not in (listed["progress"] or {})
    JobSummary.model_validate_json(json.dumps(listed), strict=True)


async def test_the_worker_gets_the_task_and_its_options(
    client: httpx.AsyncClient, worker: Worker
) -> None:
    await submit(client, options={"priority": "batch", "deadline_s": 600})
    claim = await asyncio.to_thread(worker.claim)
    assert claim.priority == "batch"
    assert claim.deadline_at == pytest.approx(claim.created_at + 600, abs=1)
    assert b'"checkpoint":null' in claim.options
    assert b'"output":null' not in claim.task


async def test_the_same_key_and_body_give_the_same_job(client: httpx.AsyncClient) -> None:
    headers = {"Idempotency-Key": "once"}
    first = await client.post("/v1/jobs", json=TASK, headers=headers)
    again = await client.post(
        "/v1/jobs", json={"test": TASK["test"], "train": TASK["train"]}, headers=headers
    )
    spelt_out = await client.post(
        "/v1/jobs", json=TASK | {"options": {"adapt": "auto", "seed": 0}}, headers=headers
    )
    assert [a.status_code for a in (first, again, spelt_out)] == [202, 200, 200]
    assert len({a.json()["id"] for a in (first, again, spelt_out)}) == 1
    assert again.headers["location"] == first.headers["location"]
    other = await client.post("/v1/jobs", json=TASK | {"name": "other"}, headers=headers)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_conflict")


@pytest.mark.parametrize("key", ["", "a b", "k" * 256])
async def test_a_key_that_is_none_is_refused(client: httpx.AsyncClient, key: str) -> None:
    answer = await client.post("/v1/jobs", json=TASK, headers={"Idempotency-Key": key})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["parameter"] == "Idempotency-Key"


async def test_a_list_goes_on_page_by_page(client: httpx.AsyncClient, worker: Worker) -> None:
    ids = [(await submit(client, name=f"n{number}"))["id"] for number in range(5)]
    await asyncio.to_thread(worker.finish)
    seen: list[str] = []
    address: str | None = "/v1/jobs?limit=2"
    pages = 0
    while address:
        answer = await client.get(address)
        document = answer.json()
        seen += [job["id"] for job in document["jobs"]]
        address = document["next"]
        pages += 1
        assert (answer.headers.get("link") == f'<{address}>; rel="next"') == (address is not None)
    assert sorted(seen) == sorted(ids)
    assert len(seen) == 5
    assert pages in (3, 4)
    ended = (await client.get("/v1/jobs?state=succeeded&state=failed")).json()["jobs"]
    assert [job["state"] for job in ended] == ["succeeded"]


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("limit=x", "limit"),
        ("state=done", "state"),
        ("states=queued", "states"),
        ("cursor=%00", None),
        ("cursor=nonsense", None),
        (f"cursor={'9' * 201}", "cursor"),
    ],
)
async def test_a_wrong_query_is_refused(
    client: httpx.AsyncClient, query: str, parameter: str | None
) -> None:
    answer = await client.get(f"/v1/jobs?{query}")
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
    if parameter is not None:
        assert answer.json()["errors"][0]["parameter"] == parameter


async def test_a_queued_job_is_cancelled_at_once(client: httpx.AsyncClient) -> None:
    job = await submit(client)
    answer = await client.delete(job["links"]["self"])
    assert (answer.status_code, answer.json()["state"]) == (200, "cancelled")
    again = await client.delete(job["links"]["self"])
    assert (again.status_code, again.json()["state"]) == (200, "cancelled")


async def test_a_running_job_is_asked_to_end(client: httpx.AsyncClient, worker: Worker) -> None:
    job = await submit(client)
    await asyncio.to_thread(worker.claim)
    document = (await client.delete(job["links"]["self"])).json()
    assert (document["state"], document["cancel_requested"]) == ("running", True)


@pytest.mark.parametrize(
    "job_id", ["unknown", "a" * 5_000, "x%00y", "%7Bhrm-arc%7D:workers", "a:b", "%F0%9F%98%80"]
)
@pytest.mark.parametrize("ending", ["", "/events"])
async def test_what_is_no_job_is_not_found(
    client: httpx.AsyncClient, job_id: str, ending: str
) -> None:
    answer = await client.get(f"/v1/jobs/{job_id}{ending}")
    assert (answer.status_code, answer.json()["code"]) == (404, "job_not_found")


async def test_nobody_sees_another_s_jobs(open_client: Open, worker: Worker) -> None:
    async with open_client(api_keys="anna:key-a,ben:key-b") as client:
        anna = {"Authorization": "Bearer key-a"}
        ben = {"X-API-Key": "key-b"}
        job = (await client.post("/v1/jobs", json=TASK, headers=anna)).json()
        address = job["links"]["self"]
        assert (await client.get(address, headers=anna)).status_code == 200
        assert (await client.get(address, headers=ben)).status_code == 404
        assert (await client.delete(address, headers=ben)).status_code == 404
        assert (await client.get(f"{address}/events", headers=ben)).status_code == 404
        assert (await client.get("/v1/jobs", headers=ben)).json()["jobs"] == []
        refused = await client.get(address)
        assert (refused.status_code, refused.json()["code"]) == (401, "unauthorized")
        assert refused.headers["www-authenticate"].startswith("Bearer")
        assert (await client.get("/v1/jobs?limit=x")).status_code == 401
        assert (await client.get("/health/live")).status_code == 200
        assert (await client.get("/metrics")).status_code == 200


async def test_one_caller_cannot_fill_the_queue(open_client: Open, worker: Worker) -> None:
    async with open_client(
        api_keys="anna:key-a,ben:key-b", max_queued=3, max_queue_share=0.67
    ) as client:
        statuses = []
        for key in ("key-a", "key-a", "key-a", "key-b", "key-b"):
            answer = await client.post("/v1/jobs", json=TASK, headers={"X-API-Key": key})
            statuses.append((answer.status_code, answer.json().get("code")))
            assert ("retry-after" in answer.headers) == (answer.status_code == 429)
        assert statuses == [
            (202, None),
            (202, None),
            (429, "queue_share_exceeded"),
            (202, None),
            (429, "queue_full"),
        ]


async def test_the_error_of_an_unknown_puzzle_says_what_would_help(
    client: httpx.AsyncClient,
) -> None:
    task = deepcopy(TASK)
    task["train"][0]["input"][0][0] = 9
    answer = await client.post("/v1/jobs", json=task | {"options": {"adapt": "never"}})
    document = answer.json()
    assert (answer.status_code, document["code"]) == (404, "unknown_puzzle")
    assert document["known_puzzles"] == DEMO.puzzles
    assert document["puzzles"] == "/v1/checkpoints/demo/puzzles"
    assert '"auto" in /options/adapt' in document["detail"]
    assert [error["pointer"] for error in document["errors"]] == ["/options/checkpoint"]
    options = {"checkpoint": "other", "adapt": "never"}
    elsewhere = await client.post("/v1/jobs", json=TASK | {"options": options})
    assert elsewhere.json()["known_to"] == ["demo"]


async def test_while_the_list_of_puzzles_is_missing_none_is_called_unknown(
    client: httpx.AsyncClient, worker: Worker, fresh_redis: redis.Redis
) -> None:
    index = puzzle_index_keys(DEMO.sha256)
    saved = {key: fresh_redis.dump(key) for key in index}
    stranger = deepcopy(TASK)
    stranger["train"][0]["output"] = [[9]]
    fresh_redis.delete(*index)

    for answer in (
        await client.post("/v1/solve", json=TASK),
        await client.post("/v1/jobs", json=stranger),
        await client.post("/v1/batches", json={"t": TASK}),
        await client.get("/v1/checkpoints/demo/puzzles"),
        await client.get(f"/v1/checkpoints/demo/puzzles/{KNOWN_HASH}"),
        await client.get("/health/ready"),
    ):
        document = answer.json()
        assert (answer.status_code, document["code"]) == (503, "not_ready")
        assert "'demo' knows is missing" in document["detail"]
        assert int(answer.headers["retry-after"]) >= 1

    for key, value in saved.items():
        fresh_redis.restore(key, 0, value)
    assert (await client.get("/health/ready")).status_code == 200
    assert (await client.post("/v1/jobs", json=TASK)).status_code == 202
    never = {"options": {"adapt": "never"}}
    unknown = await client.post("/v1/jobs", json=stranger | never)
    assert (unknown.status_code, unknown.json()["code"]) == (404, "unknown_puzzle")


async def test_an_unknown_checkpoint_is_refused(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/jobs", json=TASK | {"options": {"checkpoint": "none"}})
    assert (answer.status_code, answer.json()["code"]) == (404, "unknown_checkpoint")
    assert "demo, other" in answer.json()["detail"]


async def test_grids_that_do_not_fit_the_canvas_are_named(client: httpx.AsyncClient) -> None:
    task = deepcopy(TASK)
    task["test"][0]["input"] = [[0] * 11]
    task["train"][1]["output"] = [[0]] * 12
    answer = await client.post("/v1/jobs", json=task | {"options": {"checkpoint": "demo"}})
    document = answer.json()
    assert (answer.status_code, document["code"]) == (422, "canvas_exceeded")
    pointers = [error["pointer"] for error in document["errors"]]
    assert pointers == ["/train/1/output", "/test/0/input"]


async def test_without_a_worker_nothing_is_taken(open_client: Open) -> None:
    async with open_client() as client:
        for address in ("/v1/jobs", "/v1/solve"):
            answer = await client.post(address, json=TASK)
            assert (answer.status_code, answer.json()["code"]) == (503, "not_ready")
            assert int(answer.headers["retry-after"]) >= 1
        nothing = {"checkpoints": [], "refused": {}, "reloading": 0}
        assert (await client.get("/v1/checkpoints")).json() == nothing
        assert (await client.get("/v1/checkpoints/demo")).status_code == 404


async def test_a_set_default_checkpoint_is_taken(open_client: Open, worker: Worker) -> None:
    async with open_client(default_checkpoint="other") as client:
        unknown = deepcopy(TASK)
        unknown["train"][0]["input"][0][0] = 9
        unknown["options"] = {"adapt": "never"}
        answer = await client.post("/v1/jobs", json=unknown)
        assert (answer.status_code, answer.json()["checkpoint"]) == (404, "other")


async def test_checkpoints_and_their_puzzles_are_listed(client: httpx.AsyncClient) -> None:
    listed = (await client.get("/v1/checkpoints")).json()["checkpoints"]
    assert [(c["name"], c["default"], c["workers"]) for c in listed] == [
        ("demo", True, 1),
        ("other", False, 1),
    ]
    demo = (await client.get(listed[0]["links"]["self"])).json()
    assert (demo["canvas"], demo["verified"], demo["finding"]) == (10, True, "aligned")
    names = []
    address = f"{demo['links']['puzzles']}?limit=2"
    while address:
        page = (await client.get(address)).json()
        assert page["total"] == 3
        names += [puzzle["name"] for puzzle in page["puzzles"]]
        address = page["next"]
    assert names == ["6150a2bd", "p0", "p1"]


async def test_of_two_checkpoints_of_one_name_the_ready_worker_s_counts(
    open_client: Open, worker: Worker
) -> None:
    worker.register(DEMO, state="draining")
    of_another = OTHER.model_copy(update={"name": "demo"})
    worker.claims.register(
        WorkerRecord(
            id="w2",
            host="there",
            device="cpu",
            state="ready",
            num_running=0,
            num_slots=8,
            checkpoints=(of_another,),
            started_at=0.0,
        )
    )
    async with open_client() as client:
        document = (await client.get("/v1/checkpoints/demo")).json()
    assert (document["sha256"], document["workers"]) == (OTHER.sha256, 2)


async def test_of_a_base_is_said_how_long_its_adaptation_takes_at_most(
    open_client: Open, worker: Worker
) -> None:
    worker.register(DEMO, OTHER.model_copy(update={"base": False}))
    found = {}
    for most_s in (600, 60, 0):
        async with open_client(adapt_max_s=most_s) as client:
            listed = (await client.get("/v1/checkpoints")).json()["checkpoints"]
            found[most_s] = [(one["base"], one["adapt_s"]) for one in listed]
    assert found == {
        600: [(True, 120.0), (False, None)],
        60: [(True, 60.0), (False, None)],
        0: [(True, None), (False, None)],
    }


async def test_the_stored_answer_is_passed_on_as_it_is(
    client: httpx.AsyncClient, worker: Worker
) -> None:
    job = await submit(client)
    await asyncio.to_thread(worker.finish)
    answer = await client.get(job["links"]["self"])
    assert f'"result":{ANSWER}' in answer.text
