"""Batches over HTTP: a challenges file in, a submission out, whatever is in the file."""

import asyncio
import json
from typing import Any

import httpx
import pytest
import redis
from conftest import Open, Worker, follow, parse_events

from service.api.examples import BATCH, TASK
from service.jobs.keys import batch_key
from service.wire.batch import Batch, BatchList
from voting import parse_submission

pytestmark = pytest.mark.anyio

OWN = TASK["test"][0]["input"]
ATTEMPT = [[0, 0, 4], [0, 8, 6], [5, 3, 6]]
UNKNOWN = {"train": [{"input": [[1]], "output": [[2]]}], "test": [{"input": [[3, 3]]}]}
LARGE = {"train": TASK["train"], "test": [{"input": [[1] * 11]}]}


async def submit(
    client: httpx.AsyncClient, challenges: dict[str, Any], **members: Any
) -> dict[str, Any]:
    answer = await client.post("/v1/batches", json={"challenges": challenges} | members)
    assert answer.status_code == 202, answer.text
    document: dict[str, Any] = answer.json()
    Batch.model_validate(document)
    return document


async def test_a_file_becomes_jobs_at_batch_priority(
    client: httpx.AsyncClient, worker: Worker
) -> None:
    answer = await client.post("/v1/batches", json={"b": TASK, "a": TASK})
    batch = answer.json()

    assert answer.status_code == 202
    assert answer.headers["location"] == batch["links"]["self"] == f"/v1/batches/{batch['id']}"
    assert (batch["state"], batch["name"], batch["counts"]["queued"]) == ("queued", "batch", 2)
    assert [puzzle["puzzle"] for puzzle in batch["puzzles"]] == ["b", "a"]
    jobs = (await client.get("/v1/jobs")).json()["jobs"]
    assert {job["id"] for job in jobs} == {puzzle["job"] for puzzle in batch["puzzles"]}
    assert {(job["priority"], job["options"]["checkpoint"]) for job in jobs} == {("batch", None)}
    claim = await asyncio.to_thread(worker.claim)
    assert claim.name == "b"
    assert json.loads(claim.task)["train"] == TASK["train"]
    assert (await client.get(batch["links"]["self"])).json()["state"] == "running"


async def test_options_stand_beside_the_file(client: httpx.AsyncClient) -> None:
    batch = await submit(
        client, {"a": TASK}, options={"variants": 4, "priority": "interactive"}, name="mine"
    )

    assert batch["name"] == "mine"
    assert (batch["options"]["variants"], batch["options"]["priority"]) == (4, "batch")


async def test_what_cannot_be_answered_is_reported_and_the_rest_is_queued(
    client: httpx.AsyncClient, worker: Worker
) -> None:
    batch = await submit(
        client,
        {"broken": None, "unknown": UNKNOWN, "large": LARGE, "good": TASK},
        options={"adapt": "never", "checkpoint": "demo"},
    )

    reported = {
        puzzle["puzzle"]: (puzzle["state"], puzzle["error"] and puzzle["error"]["code"])
        for puzzle in batch["puzzles"]
    }
    assert reported == {
        "broken": ("refused", "invalid_request"),
        "unknown": ("refused", "unknown_puzzle"),
        "large": ("refused", "canvas_exceeded"),
        "good": ("queued", None),
    }
    assert batch["counts"]["refused"] == 3
    await asyncio.to_thread(worker.finish)
    ended = (await client.get(batch["links"]["self"])).json()
    assert (ended["state"], ended["counts"]["succeeded"]) == ("finished", 1)
    assert ended["finished_at"] is not None


async def test_a_file_with_nothing_that_can_be_answered_ends_at_once(
    client: httpx.AsyncClient,
) -> None:
    batch = await submit(client, {"unknown": UNKNOWN}, options={"adapt": "never"})

    assert (batch["state"], batch["counts"]["total"]) == ("finished", 1)
    submission = (await client.get(batch["links"]["submission"])).json()
    assert submission == {"unknown": [{"attempt_1": [[3, 3]], "attempt_2": [[3, 3]]}]}


async def test_the_submission_is_valid_at_any_time(
    client: httpx.AsyncClient, worker: Worker
) -> None:
    own = {"attempt_1": OWN, "attempt_2": OWN}
    batch = await submit(client, {"z": TASK, "broken": None, "a": TASK})
    address = batch["links"]["submission"]

    first = await client.get(address)
    assert list(first.json()) == ["z", "broken", "a"]
    assert first.json()["z"] == [own]
    parse_submission(first.json())
    await asyncio.to_thread(worker.finish)
    second = (await client.get(address)).json()
    assert second["z"] == [{"attempt_1": ATTEMPT, "attempt_2": ATTEMPT}]
    assert second["a"] == [own]
    await asyncio.to_thread(worker.fail, "engine_failed")
    assert (await client.get(address)).json()["a"] == [own]
    assert first.headers["content-disposition"] == 'attachment; filename="submission.json"'


async def test_a_batch_is_followed_to_its_end(client: httpx.AsyncClient, worker: Worker) -> None:
    batch = await submit(client, {"a": TASK, "b": TASK})
    following = await follow(client, batch["links"]["events"])
    await asyncio.to_thread(worker.finish)
    await asyncio.to_thread(worker.fail, "engine_failed")
    events = parse_events((await asyncio.wait_for(following, 30)).text)

    kinds = [kind for kind, _, _ in events]
    assert kinds[0] == kinds[-1] == "state"
    assert set(kinds[1:-1]) == {"progress"}
    # A puzzle that goes on while it is reported is shown in its newer state.
    last = {d["puzzle"]["puzzle"]: d["puzzle"]["state"] for k, _, d in events if k == "progress"}
    assert last == {"a": "succeeded", "b": "failed"}
    assert events[-1][2]["state"] == "finished"
    assert events[-1][2]["counts"]["failed"] == 1
    again = await client.get(batch["links"]["events"])
    assert [kind for kind, _, _ in parse_events(again.text)] == ["state"]
    over = await client.get(batch["links"]["events"], headers={"Last-Event-ID": events[-1][1]})
    assert over.status_code == 204


async def test_following_an_ended_batch_reads_its_jobs_once(
    client: httpx.AsyncClient, worker: Worker, fresh_redis: "redis.Redis"
) -> None:
    batch = await submit(client, {"a": TASK, "b": TASK})
    await asyncio.to_thread(worker.finish)
    await asyncio.to_thread(worker.finish)
    fresh_redis.config_resetstat()
    answer = await client.get(batch["links"]["events"], headers={"Last-Event-ID": "0-1"})
    assert [data["state"] for _, _, data in parse_events(answer.text)] == ["finished"]
    stats: dict[str, Any] = fresh_redis.info("commandstats")  # type: ignore[assignment]
    assert stats["cmdstat_hmget"]["calls"] == 2


async def test_cancelling_ends_what_waits_and_asks_for_what_runs(
    client: httpx.AsyncClient, worker: Worker
) -> None:
    batch = await submit(client, {"a": TASK, "b": TASK, "c": TASK})
    await asyncio.to_thread(worker.finish)
    running = await asyncio.to_thread(worker.claim)

    cancelled = (await client.delete(batch["links"]["self"])).json()

    states = [puzzle["state"] for puzzle in cancelled["puzzles"]]
    assert states == ["succeeded", "running", "cancelled"]
    assert (cancelled["state"], cancelled["cancel_requested"]) == ("running", True)
    renewal = await asyncio.to_thread(worker.claims.renew, [running.id])
    assert renewal.cancelled == {running.id}
    await asyncio.to_thread(worker.claims.cancelled, running.id)
    ended = (await client.get(batch["links"]["self"])).json()
    assert (ended["state"], ended["counts"]["cancelled"]) == ("cancelled", 2)
    assert (await client.delete(batch["links"]["self"])).status_code == 200


async def test_batches_are_listed_a_page_at_a_time_the_newest_first(
    client: httpx.AsyncClient, worker: Worker
) -> None:
    assert (await client.get("/v1/batches")).json() == {"batches": [], "next": None}
    batches = [
        await submit(client, {"a": TASK, "b": TASK, "c": None}, name="first"),
        await submit(client, {"a": TASK}, name="second"),
        await submit(client, {"a": UNKNOWN}, name="third", options={"adapt": "never"}),
    ]
    await asyncio.to_thread(worker.finish)
    await client.delete(batches[1]["links"]["self"])

    page = await client.get("/v1/batches?limit=2")
    BatchList.model_validate_json(json.dumps(page.json()), strict=True)
    assert [(one["name"], one["state"]) for one in page.json()["batches"]] == [
        ("third", "finished"),
        ("second", "cancelled"),
    ]
    assert page.headers["link"] == f'<{page.json()["next"]}>; rel="next"'
    rest = (await client.get(page.json()["next"])).json()
    (first,) = rest["batches"]
    whole = (await client.get(first["links"]["self"])).json()
    assert first == {name: whole[name] for name in first}
    assert (first["state"], first["finished_at"]) == ("running", None)
    assert {state: count for state, count in first["counts"].items() if count} == {
        "total": 3,
        "queued": 1,
        "succeeded": 1,
        "refused": 1,
    }
    assert rest["next"] is None
    refused = await client.get("/v1/batches?cursor=no")
    assert (refused.status_code, refused.json()["code"]) == (422, "invalid_request")


async def test_batches_that_are_no_longer_kept_are_not_listed(
    client: httpx.AsyncClient, fresh_redis: redis.Redis
) -> None:
    kept, gone = [await submit(client, {"a": TASK}) for _ in range(2)]
    fresh_redis.delete(batch_key(gone["id"]))
    listed = (await client.get("/v1/batches?limit=1")).json()

    assert [one["id"] for one in listed["batches"]] == [kept["id"]]


async def test_the_same_key_and_body_give_the_same_batch(client: httpx.AsyncClient) -> None:
    headers = {"Idempotency-Key": "once"}
    answers = [
        await client.post("/v1/batches", json={"a": TASK, "b": None}, headers=headers)
        for _ in range(2)
    ]
    other = await client.post("/v1/batches", json={"a": TASK}, headers=headers)

    assert [answer.status_code for answer in answers] == [202, 200]
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert len((await client.get("/v1/jobs")).json()["jobs"]) == 1
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_conflict")


async def test_a_batch_without_a_place_for_all_queues_none(
    open_client: Open, worker: Worker
) -> None:
    async with open_client(max_queued=2) as client:
        answer = await client.post("/v1/batches", json={"a": TASK, "b": TASK, "c": TASK})
        assert (answer.status_code, answer.json()["code"]) == (413, "batch_too_large")
        assert (await client.get("/v1/jobs")).json()["jobs"] == []
        await submit(client, {"a": TASK, "b": TASK})
        answer = await client.post("/v1/batches", json={"c": TASK})
        assert (answer.status_code, answer.json()["code"]) == (429, "queue_full")
        assert int(answer.headers["retry-after"]) >= 1


async def test_a_batch_is_its_owner_s_alone(open_client: Open, worker: Worker) -> None:
    async with open_client(api_keys="anna:one,ben:two") as client:
        anna, ben = ({"Authorization": f"Bearer {key}"} for key in ("one", "two"))
        batch = (await client.post("/v1/batches", json={"a": TASK}, headers=anna)).json()
        for method, name in (
            *(("GET", "self"), ("DELETE", "self")),
            *(("GET", "events"), ("GET", "submission")),
        ):
            answer = await client.request(method, batch["links"][name], headers=ben)
            assert (answer.status_code, answer.json()["code"]) == (404, "batch_not_found")
        assert (await client.get(batch["links"]["self"], headers=anna)).status_code == 200
        assert len((await client.get("/v1/batches", headers=anna)).json()["batches"]) == 1
        assert (await client.get("/v1/batches", headers=ben)).json()["batches"] == []


@pytest.mark.parametrize("batch_id", ["none", "a" * 65, "a%7Bb"])
async def test_there_is_no_batch_that_nobody_made(client: httpx.AsyncClient, batch_id: str) -> None:
    answer = await client.get(f"/v1/batches/{batch_id}")

    assert (answer.status_code, answer.json()["code"]) == (404, "batch_not_found")


@pytest.mark.parametrize(
    ("body", "status", "code", "pointer"),
    [
        ("{}", 422, "invalid_request", ""),
        ("[]", 422, "invalid_request", ""),
        ('{"challenges": {}}', 422, "invalid_request", "/challenges"),
        ('{"challenges": [1]}', 422, "invalid_request", "/challenges"),
        (json.dumps(TASK), 422, "invalid_request", ""),
        (json.dumps(BATCH | {"more": 1}), 422, "invalid_request", "/more"),
        (json.dumps(BATCH | {"name": "\n"}), 422, "invalid_request", "/name"),
        (json.dumps(BATCH | {"options": {"seed": -1}}), 422, "invalid_request", "/options/seed"),
        (json.dumps(BATCH | {"options": {"fast": 1}}), 422, "invalid_request", "/options/fast"),
        (
            json.dumps(BATCH | {"options": {"trace": True}}),
            422,
            "invalid_request",
            "/options/trace",
        ),
        (
            json.dumps(BATCH | {"options": {"adapt": "never", "adapt_s": 1}}),
            422,
            "invalid_request",
            "/options/adapt_s",
        ),
        (json.dumps(BATCH | {"options": {"checkpoint": "no"}}), 404, "unknown_checkpoint", None),
        ('{"a": 1, "a": 1}', 400, "invalid_json", None),
        ("{", 400, "invalid_json", None),
        ("[" * 100_000, 400, "invalid_json", None),
    ],
)
async def test_a_body_that_is_no_batch_is_refused_as_a_whole(
    client: httpx.AsyncClient, body: str, status: int, code: str, pointer: str | None
) -> None:
    answer = await client.post(
        "/v1/batches", content=body, headers={"Content-Type": "application/json"}
    )
    document = answer.json()

    assert (answer.status_code, document["code"]) == (status, code), document
    if pointer is not None:
        assert document["errors"][0]["pointer"] == pointer
    assert (await client.get("/v1/jobs")).json()["jobs"] == []


async def test_a_batch_has_a_thousand_puzzles_at_most(client: httpx.AsyncClient) -> None:
    many = {f"p{number}": UNKNOWN for number in range(1001)}
    refused = await client.post("/v1/batches", json=many)
    many.popitem()
    body = {"challenges": many, "options": {"adapt": "never"}}
    taken = await client.post("/v1/batches", json=body)

    assert refused.status_code == 422
    assert "1,001 puzzles; a batch has 1,000 at the most" in refused.json()["detail"]
    assert (taken.status_code, taken.json()["counts"]["refused"]) == (202, 1000)


async def test_ids_of_any_characters_come_back_as_they_were(client: httpx.AsyncClient) -> None:
    ids = ['"', "\ud800", "\u0000", "x" * 300, "ä"]
    body = json.dumps(dict.fromkeys(ids, TASK))
    answer = await client.post(
        "/v1/batches", content=body, headers={"Content-Type": "application/json"}
    )
    batch = answer.json()

    assert [puzzle["puzzle"] for puzzle in batch["puzzles"]] == ids
    assert [puzzle["state"] for puzzle in batch["puzzles"]] == [
        *("queued", "refused", "refused", "refused", "queued")
    ]
    assert list((await client.get(batch["links"]["submission"])).json()) == ids


async def test_a_body_may_be_as_large_as_a_file_of_challenges_is(
    open_client: Open, worker: Worker
) -> None:
    async with open_client(max_body_bytes=1024, max_batch_bytes=4096) as client:
        taken = await client.post("/v1/batches", json={f"p{n}": TASK for n in range(6)})
        refused = await client.post("/v1/batches", json={f"p{n}": TASK for n in range(60)})

    assert taken.status_code == 202
    assert (refused.status_code, refused.json()["code"]) == (413, "body_too_large")
    assert "Send a few batches" in refused.json()["detail"]


async def test_a_batch_of_a_thousand_jobs_is_queued_and_followed(
    client: httpx.AsyncClient, worker: Worker
) -> None:
    batch = await submit(client, {f"p{number}": TASK for number in range(1000)})
    with worker.at_work():
        text = (await asyncio.wait_for(client.get(batch["links"]["events"]), 120)).text
    last = parse_events(text)[-1][2]

    assert (last["state"], last["counts"]["succeeded"]) == ("finished", 1000)
    submission = parse_submission((await client.get(batch["links"]["submission"])).json())
    assert len(submission) == 1000
