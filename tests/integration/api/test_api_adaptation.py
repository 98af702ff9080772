"""Adaptation over HTTP: what may be asked for, how it is reported, and what is kept of it."""

import asyncio
import json
from copy import deepcopy
from typing import Any

import httpx
import pytest
from conftest import DEMO, KNOWN_HASH, OTHER, Open, Worker, follow

from augment import parse_task
from service.api.examples import ADAPTING_JOB, TASK
from service.jobs import AdaptedRecord, KnownPuzzle, WorkerRecord
from service.wire.checkpoint import Adapted, AdaptedList
from service.wire.job import Job, JobSummary

pytestmark = pytest.mark.anyio

BUDGET = ("adapt_s", "adapt_steps", "adapt_variants")
PROGRESS = json.dumps(ADAPTING_JOB["progress"]).encode()


def stranger() -> dict[str, Any]:
    """Return a task that no checkpoint knows."""
    task = deepcopy(TASK)
    task["train"][0]["input"][0][0] = 9
    return task


async def submit(client: httpx.AsyncClient, **options: Any) -> dict[str, Any]:
    answer = await client.post("/v1/jobs", json=stranger() | {"options": options})
    assert answer.status_code == 202, answer.text
    document: dict[str, Any] = answer.json()
    return document


async def refusal(client: httpx.AsyncClient, **options: Any) -> tuple[Any, ...]:
    """Give a refusal's status and code, and its places with what is said of them."""
    answer = await client.post("/v1/jobs", json=TASK | {"options": options})
    document = answer.json()
    errors = document.get("errors", ())
    return (
        *(answer.status_code, document["code"]),
        {error.get("pointer"): error["detail"] for error in errors},
    )


@pytest.mark.parametrize("adapt", ["auto", "always"])
async def test_a_puzzle_that_is_to_be_adapted_to_need_not_be_known(
    client: httpx.AsyncClient, worker: Worker, adapt: str
) -> None:
    job = await submit(client, adapt=adapt, checkpoint="other", ensemble=["demo"])
    Job.model_validate_json(json.dumps(job), strict=True)
    assert (job["options"]["checkpoint"], job["options"]["ensemble"]) == ("other", ["demo"])
    claim = await asyncio.to_thread(worker.claim)
    assert json.loads(claim.options) == job["options"]


@pytest.mark.parametrize(
    ("asked", "taken"),
    [
        ({}, (120.0, None, 64)),
        ({"adapt_s": 600}, (600.0, None, 64)),
        ({"adapt_steps": 50}, (600.0, 50, 64)),
        ({"adapt_s": 0.5, "adapt_steps": 50, "adapt_variants": 256}, (0.5, 50, 256)),
    ],
)
async def test_what_is_left_out_of_a_budget_is_filled_in(
    client: httpx.AsyncClient, worker: Worker, asked: dict[str, Any], taken: tuple[Any, ...]
) -> None:
    options = (await submit(client, adapt="auto", **asked))["options"]
    assert tuple(options[name] for name in BUDGET) == taken


async def test_what_is_filled_in_keeps_to_the_caps(open_client: Open, worker: Worker) -> None:
    async with open_client(adapt_max_s=30, adapt_max_variants=8) as client:
        options = (await submit(client, adapt="auto"))["options"]
        assert tuple(options[name] for name in BUDGET) == (30.0, None, 8)
        refused = await refusal(client, adapt="auto", adapt_s=31, adapt_variants=9)
    assert refused[:2] == (422, "invalid_request")
    assert refused[2] == {
        "/options/adapt_s": "31 is more than this service allows: 30 at the most",
        "/options/adapt_variants": "9 is more than this service allows: 8 at the most",
    }


@pytest.mark.parametrize(
    ("name", "value"), [("adapt_s", 10), ("adapt_steps", 10), ("adapt_variants", 10)]
)
async def test_a_budget_is_only_of_use_with_adaptation(
    client: httpx.AsyncClient, name: str, value: int
) -> None:
    status, code, places = await refusal(client, adapt="never", **{name: value})
    assert (status, code) == (422, "invalid_request")
    assert list(places) == [f"/options/{name}"]
    assert "only of use with adapt" in places[f"/options/{name}"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("adapt", "sometimes"),
        ("adapt_s", 0),
        ("adapt_s", "10"),
        ("adapt_steps", 0),
        ("adapt_steps", 1.5),
        ("adapt_steps", 10**30),
        ("adapt_variants", 0),
        ("adapt_variants", 1001),
    ],
)
async def test_a_budget_of_no_use_is_refused_with_its_place(
    client: httpx.AsyncClient, name: str, value: Any
) -> None:
    status, code, places = await refusal(client, **{"adapt": "auto", name: value})
    assert (status, code, list(places)) == (422, "invalid_request", [f"/options/{name}"])


async def test_a_service_that_does_not_adapt_says_so(open_client: Open, worker: Worker) -> None:
    async with open_client(adapt_max_s=0) as client:
        for adapt in ("auto", "always"):
            status, code, places = await refusal(client, adapt=adapt)
            assert (status, code, list(places)) == (422, "invalid_request", ["/options/adapt"])
        unknown = await client.post("/v1/jobs", json=stranger())
        assert "which this service does not do" in unknown.json()["detail"]
        assert (await client.post("/v1/jobs", json=TASK)).status_code == 202


async def test_a_puzzle_must_fit_every_checkpoint_adapted_or_not(
    client: httpx.AsyncClient,
) -> None:
    task = stranger()
    task["test"][0]["input"] = [[0] * 11]
    options = {"checkpoint": "other", "ensemble": ["demo"], "adapt": "always"}
    document = (await client.post("/v1/jobs", json=task | {"options": options})).json()
    assert document["code"] == "canvas_exceeded"
    assert "checkpoint 'demo', 10 x 10" in document["detail"]


@pytest.mark.parametrize(
    ("checkpoint", "ensemble", "places"),
    [
        (None, ["demo"], ["/options/ensemble/0"]),  # the service's own choice
        ("other", ["demo", "other"], ["/options/ensemble/1"]),
        ("other", ["demo", "demo"], ["/options/ensemble/1"]),
        ("other", [""], ["/options/ensemble/0"]),
        ("other", [f"c{number}" for number in range(8)], ["/options/ensemble"]),
    ],
)
async def test_an_ensemble_that_is_none_is_refused_with_the_place(
    client: httpx.AsyncClient, checkpoint: str | None, ensemble: list[str], places: list[str]
) -> None:
    status, code, found = await refusal(client, checkpoint=checkpoint, ensemble=ensemble)
    assert (status, code, list(found)) == (422, "invalid_request", places)


async def test_every_checkpoint_of_an_ensemble_must_be_there_and_know_the_puzzle(
    client: httpx.AsyncClient, worker: Worker
) -> None:
    status, code, places = await refusal(client, ensemble=["other"], adapt="never")
    assert (status, code, list(places)) == (404, "unknown_puzzle", ["/options/ensemble/0"])
    assert "'other' has no trained rows" in places["/options/ensemble/0"]
    answer = await client.post("/v1/jobs", json=TASK | {"options": {"ensemble": ["none"]}})
    assert (answer.status_code, answer.json()["code"]) == (404, "unknown_checkpoint")
    worker.claims.publish_puzzles(
        OTHER.sha256, [KnownPuzzle(name="6150a2bd", demonstrations_sha256=KNOWN_HASH, variants=8)]
    )
    options = {"ensemble": ["other"], "adapt": "never"}
    answer = await client.post("/v1/jobs", json=TASK | {"options": options})
    assert (answer.status_code, answer.json()["options"]["ensemble"]) == (202, ["other"])


async def test_a_puzzle_that_nobody_knows_is_adapted_to_unless_that_is_ruled_out(
    client: httpx.AsyncClient, open_client: Open, worker: Worker
) -> None:
    options = (await submit(client))["options"]
    assert (options["adapt"], options["checkpoint"], options["adapt_s"]) == ("auto", None, 120.0)
    async with open_client(adapt_default="never") as other:
        refused = await other.post("/v1/jobs", json=stranger())
        assert (refused.status_code, refused.json()["code"]) == (404, "unknown_puzzle")
        assert (await submit(other, adapt="auto"))["options"]["adapt"] == "auto"
        known = await other.post("/v1/jobs", json=TASK)
        assert (known.status_code, known.json()["options"]["adapt"]) == (202, "never")


async def test_a_puzzle_known_to_another_checkpoint_than_the_default_is_answered(
    client: httpx.AsyncClient, worker: Worker
) -> None:
    task = stranger()
    digest = parse_task(task, "known to other").puzzle.demonstrations_hash
    record = OTHER.model_copy(update={"puzzles": 1})
    known = KnownPuzzle(name="other's", demonstrations_sha256=digest, variants=8)
    worker.claims.publish_puzzles(OTHER.sha256, [known])
    worker.register(DEMO, record)
    assert (await submit(client, adapt="never"))["options"]["checkpoint"] is None
    named = await client.post(
        "/v1/jobs", json=task | {"options": {"checkpoint": "demo", "adapt": "never"}}
    )
    assert (named.status_code, named.json()["known_to"]) == (404, ["other"])


@pytest.mark.parametrize("adapt", ["auto", "never"])
async def test_a_puzzle_that_fits_no_checkpoint_is_refused_before_it_is_queued(
    client: httpx.AsyncClient, worker: Worker, adapt: str
) -> None:
    worker.register(DEMO)
    task = stranger()
    task["test"][0]["input"] = [[0] * 11]
    answer = await client.post("/v1/jobs", json=task | {"options": {"adapt": adapt}})
    document = answer.json()
    assert (answer.status_code, document["code"]) == (422, "canvas_exceeded")
    assert "the largest canvas there is takes 10 x 10" in document["detail"]
    assert [error["pointer"] for error in document["errors"]] == ["/test/0/input"]


async def test_an_adapting_job_shows_how_far_it_is(
    client: httpx.AsyncClient, worker: Worker
) -> None:
    job = await submit(client, adapt="auto")
    claim = await asyncio.to_thread(worker.claim)
    await asyncio.to_thread(worker.claims.adapts, claim.id)
    await asyncio.to_thread(worker.claims.progress, claim.id, PROGRESS)
    document = (await client.get(job["links"]["self"])).json()
    Job.model_validate_json(json.dumps(document), strict=True)
    assert document["state"] == "adapting"
    assert document["progress"]["adaptation"]["phase"] == "all"
    (listed,) = (await client.get("/v1/jobs?state=adapting")).json()["jobs"]
    JobSummary.model_validate_json(json.dumps(listed), strict=True)
    assert listed["progress"]["adaptation"] == document["progress"]["adaptation"]
    cancelled = (await client.delete(job["links"]["self"])).json()
    assert (cancelled["state"], cancelled["cancel_requested"]) == ("adapting", True)


async def test_adapting_is_followed_to_the_answer(
    client: httpx.AsyncClient, worker: Worker
) -> None:
    job = await submit(client, adapt="auto")
    following = await follow(client, job["links"]["events"])
    claim = await asyncio.to_thread(worker.claim)
    await asyncio.to_thread(worker.claims.adapts, claim.id)
    await asyncio.to_thread(worker.claims.progress, claim.id, PROGRESS)
    await asyncio.to_thread(worker.claims.runs, claim.id)
    await asyncio.to_thread(worker.finish, claim)
    lines = (await following).text.split("\n")
    reported = [
        json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: ")
    ]
    assert [data.get("state", "progress") for data in reported] == [
        *("queued", "running", "adapting", "progress", "running", "succeeded")
    ]


def kept(name: str, **changes: Any) -> AdaptedRecord:
    fields: dict[str, Any] = {
        "id": name,
        "base": "demo",
        "base_sha256": DEMO.sha256,
        "puzzle": "p",
        "demonstrations_sha256": "c" * 64,
        "variants": 64,
        "steps": 300,
        "seconds": 118.2,
        "held_out_share": 0.25,
        "bytes": 1000,
        "made_at": 1_000_000.5,
        "used_at": 1_000_060.0,
        "complete": True,
    }
    return AdaptedRecord.model_validate(fields | changes)


def keep(worker: Worker, *adapted: AdaptedRecord) -> None:
    record = WorkerRecord(
        id="w2",
        host="here",
        device="cpu",
        state="ready",
        num_running=0,
        num_slots=8,
        checkpoints=(DEMO,),
        started_at=0.0,
        adapted=adapted,
    )
    worker.claims.register(record)


async def test_adapted_checkpoints_are_listed_looked_up_and_removed(
    client: httpx.AsyncClient, worker: Worker
) -> None:
    assert (await client.get("/v1/adapted")).json() == {"adapted": [], "total": 0}
    odd = kept("b ä/1", made_at=2.0, held_out_share=None)
    keep(worker, odd, kept("a"))
    listed = (await client.get("/v1/adapted")).json()
    AdaptedList.model_validate_json(json.dumps(listed), strict=True)
    assert (listed["total"], [one["id"] for one in listed["adapted"]]) == (2, ["a", "b ä/1"])
    document = (await client.get("/v1/adapted/a")).json()
    Adapted.model_validate_json(json.dumps(document), strict=True)
    assert document == listed["adapted"][0]
    assert document["made_at"] == "1970-01-12T13:46:40.500Z"
    answer = await client.delete(document["links"]["self"])
    assert (answer.status_code, answer.content) == (204, b"")
    for method in ("GET", "DELETE"):
        answer = await client.request(method, "/v1/adapted/a")
        assert (answer.status_code, answer.json()["code"]) == (404, "adapted_not_found")
    assert [one["id"] for one in (await client.get("/v1/adapted")).json()["adapted"]] == ["b ä/1"]
    assert set(worker.claims.removed_adapted()) == {"a"}


@pytest.mark.parametrize("name", ["none", "a" * 5_000, "x%00y", "%F0%9F%98%80", "{hrm-arc}:jobs"])
async def test_what_is_not_kept_is_not_found(client: httpx.AsyncClient, name: str) -> None:
    for method in ("GET", "DELETE"):
        answer = await client.request(method, f"/v1/adapted/{name}")
        assert (answer.status_code, answer.json()["code"]) == (404, "adapted_not_found")
        assert len(answer.content) < 1_000


async def test_adapted_checkpoints_are_their_owner_s_alone(
    open_client: Open, worker: Worker
) -> None:
    keep(worker, kept("a", owner="anna"), kept("b", owner="ben"), kept("l"))
    async with open_client(api_keys="anna:key-a,ben:key-b") as client:
        for method, path in (("GET", "/v1/adapted"), ("DELETE", "/v1/adapted/a")):
            assert (await client.request(method, path)).status_code == 401
        ben = {"X-API-Key": "key-b"}
        listed = (await client.get("/v1/adapted", headers=ben)).json()
        assert ([one["id"] for one in listed["adapted"]], listed["total"]) == (["b"], 1)
        for name in ("a", "l"):
            for method in ("GET", "DELETE"):
                answer = await client.request(method, f"/v1/adapted/{name}", headers=ben)
                assert (answer.status_code, answer.json()["code"]) == (404, "adapted_not_found")
        assert worker.claims.removed_adapted() == {}
        anna = {"X-API-Key": "key-a"}
        assert (await client.get("/v1/adapted/a", headers=anna)).status_code == 200
        assert (await client.delete("/v1/adapted/a", headers=anna)).status_code == 204
        assert set(worker.claims.removed_adapted()) == {"a"}
    async with open_client() as client:
        (listed,) = (await client.get("/v1/adapted")).json()["adapted"]
        assert listed["id"] == "l"
