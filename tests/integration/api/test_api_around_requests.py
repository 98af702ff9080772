"""What is around every request: ids, bodies, addresses, health, metrics, log lines."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import redis
from conftest import DEMO, Open, Served, Worker, serving
from prometheus_client.parser import text_string_to_metric_families

from service.api import create_app, run_api
from service.api.examples import TASK
from service.runtime.settings import Settings
from service.wire.checkpoint import Finding
from service.wire.errors import SettingsError

pytestmark = pytest.mark.anyio

JSON = {"Content-Type": "application/json"}


async def test_a_request_id_is_kept_or_made(client: httpx.AsyncClient) -> None:
    given = await client.get("/health/live", headers={"X-Request-ID": "my.id-1"})
    assert given.headers["x-request-id"] == "my.id-1"
    for unusable in ("", "a b", "x" * 129, "é"):
        made = await client.get("/none", headers={"X-Request-ID": unusable.encode("latin-1")})
        assert len(made.headers["x-request-id"]) == 32


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Content-Type": "application/json; charset=utf-8"}, 202),
        ({"Content-Type": "text/plain"}, 415),
        ({"Content-Type": "application/x-www-form-urlencoded"}, 415),
        ({}, 415),
        (JSON | {"Content-Encoding": "gzip"}, 415),
    ],
)
async def test_only_json_is_read(
    client: httpx.AsyncClient, headers: dict[str, str], status: int
) -> None:
    answer = await client.post("/v1/jobs", content=json.dumps(TASK), headers=headers)
    assert answer.status_code == status
    if status == 415:
        assert answer.json()["code"] == "unsupported_media_type"


async def test_a_body_over_the_limit_is_refused(open_client: Open, worker: Worker) -> None:
    async with open_client(max_body_bytes=2048) as client:
        small = json.dumps(TASK).encode()
        assert (
            await client.post("/v1/jobs", content=small + b" " * 100, headers=JSON)
        ).status_code == 202
        large = small + b" " * 2048
        answer = await client.post("/v1/jobs", content=large, headers=JSON)
        assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")
        assert answer.headers["connection"] == "close"

        async def in_pieces() -> AsyncIterator[bytes]:
            for start in range(0, len(large), 100):
                yield large[start : start + 100]

        unsaid = await client.post("/v1/jobs", content=in_pieces(), headers=JSON)
        assert unsaid.status_code == 413


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/none", 404, "not_found"),
        ("GET", "/web/none.js", 404, "not_found"),
        ("GET", "/web/../api/app.py", 404, "not_found"),
        ("POST", "/", 405, "method_not_allowed"),
        ("GET", "/v1/jobs/", 404, "not_found"),
        ("GET", "/v1/solve", 405, "method_not_allowed"),
        ("PUT", "/v1/jobs", 405, "method_not_allowed"),
        ("POST", "/v1/jobs/abc", 405, "method_not_allowed"),
        ("PROPFIND", "/v1/jobs", 405, "method_not_allowed"),
    ],
)
async def test_wrong_addresses_and_methods_are_problems(
    client: httpx.AsyncClient, method: str, path: str, status: int, code: str
) -> None:
    answer = await client.request(method, path)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.headers["content-type"] == "application/problem+json"


async def test_a_refused_method_is_answered_with_those_that_are_taken(
    client: httpx.AsyncClient,
) -> None:
    assert (await client.put("/v1/jobs")).headers["allow"] == "GET, POST"
    assert (await client.put("/v1/jobs/abc")).headers["allow"] == "DELETE, GET"


async def test_ready_means_a_ready_worker_with_a_checkpoint(
    open_client: Open, worker: Worker
) -> None:
    unclear = DEMO.model_copy(update={"finding": Finding.UNCLEAR})
    async with open_client() as client:
        ready = await client.get("/health/ready")
        assert ready.json() == {"status": "ready", "workers": 1, "checkpoints": ["demo", "other"]}
        for state, checkpoint, status in (
            ("starting", DEMO, 503),
            ("stalled", DEMO, 503),
            ("draining", DEMO, 503),
            ("ready", unclear, 200),
        ):
            worker.register(checkpoint, state=state)  # type: ignore[arg-type]
            answer = await client.get("/health/ready")
            assert answer.status_code == status
            if status == 503:
                assert answer.json()["code"] == "not_ready"


async def test_ready_means_that_jobs_can_be_written(
    client: httpx.AsyncClient, fresh_redis: redis.Redis
) -> None:
    fresh_redis.config_set("maxmemory", 1)
    try:
        answer = await client.get("/health/ready")
    finally:
        fresh_redis.config_set("maxmemory", 0)
    assert (answer.status_code, answer.json()["code"]) == (503, "queue_unavailable")
    assert (await client.get("/health/ready")).status_code == 200


async def test_without_redis_it_lives_but_is_not_ready(open_client: Open) -> None:
    app = create_app(Settings(redis_url="redis://127.0.0.1:1/0"))
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            assert (await client.get("/health/live")).status_code == 200
            for answer in (
                await client.get("/health/ready"),
                await client.get("/v1/jobs"),
                await client.get("/v1/jobs/abc"),
                await client.post("/v1/solve", json=TASK),
            ):
                assert (answer.status_code, answer.json()["code"]) == (503, "queue_unavailable")
                assert "retry-after" in answer.headers
                assert "127.0.0.1" not in answer.text
            scraped = (await client.get("/metrics")).text
            assert "hrm_arc_queue_up 0.0" in scraped
            assert "hrm_arc_requests_waiting{" not in scraped


async def test_metrics_count_requests_by_route_and_read_the_queue(
    client: httpx.AsyncClient, worker: Worker
) -> None:
    for priority in ("interactive", "interactive", "batch"):
        await client.post("/v1/jobs", json=TASK | {"options": {"priority": priority}})
    await asyncio.to_thread(worker.claim)
    await client.get("/v1/jobs/abc")
    await client.get("/v1/jobs/def")
    await client.get("/nowhere")
    answer = await client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    samples = {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }
    requests = "hrm_arc_http_requests_total"
    assert samples[requests, "/v1/jobs", "202", "POST"] == 3
    assert samples[requests, "/v1/jobs/{job_id}", "404", "GET"] == 2
    assert samples[requests, "404", "GET", "unmatched"] == 1
    count = "hrm_arc_http_request_duration_seconds_count"
    assert samples[count, "/v1/jobs", "202", "POST"] == 3
    assert samples["hrm_arc_jobs_submitted_total", "interactive"] == 2
    assert samples["hrm_arc_jobs_submitted_total", "batch"] == 1
    assert samples["hrm_arc_requests_waiting", "interactive"] == 1
    assert samples["hrm_arc_requests_waiting", "batch"] == 1
    assert samples["hrm_arc_requests_running",] == 1
    assert samples["hrm_arc_oldest_waiting_seconds", "batch"] > 0
    assert samples["hrm_arc_workers", "ready"] == 1
    assert samples["hrm_arc_queue_up",] == 1


async def test_two_apps_count_apart(open_client: Open, worker: Worker) -> None:
    async with open_client() as one, open_client() as two:
        await one.get("/nowhere")
        assert "unmatched" in (await one.get("/metrics")).text
        assert "unmatched" not in (await two.get("/metrics")).text


def test_strangers_are_not_let_in_by_oversight() -> None:
    with pytest.raises(SettingsError, match="without a key"):
        run_api(Settings(redis_url="redis://127.0.0.1:1/0", host="0.0.0.0"))


def test_without_a_queue_there_is_no_app() -> None:
    with pytest.raises(SettingsError, match="HRM_ARC_REDIS_URL"):
        create_app(Settings(redis_url=None))


async def test_a_broken_record_is_a_fault_without_details(
    client: httpx.AsyncClient, fresh_redis: "redis.Redis"
) -> None:
    job = (await client.post("/v1/jobs", json=TASK)).json()
    (key,) = fresh_redis.keys(f"*{job['id']}")  # type: ignore[misc]
    fresh_redis.hset(key, "created_ms", "secret nonsense")
    answer = await client.get(job["links"]["self"])
    assert (answer.status_code, answer.json()["code"]) == (500, "internal")
    assert "secret" not in answer.text
    assert answer.headers["x-request-id"]
    assert 'status="500"' in (await client.get("/metrics")).text


def test_each_request_is_a_line_of_the_log(valkey_url: str, worker: Worker, tmp_path: Path) -> None:
    log = tmp_path / "api.log"
    with serving(valkey_url, log, HRM_ARC_API_KEYS="anna:key-a", HRM_ARC_LOG_FORMAT="json") as api:
        headers = {"Authorization": "Bearer key-a", "X-Request-ID": "r1"}
        job = httpx.post(f"{api.url}/v1/jobs", json=TASK, headers=headers).json()
        httpx.get(f"{api.url}/v1/jobs/%0a%1b?secret=1", headers=headers)
    lines = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    requests = [line for line in lines if line.get("message") == "request"]
    assert [(r["method"], r["path"], r["status"]) for r in requests] == [
        ("POST", "/v1/jobs", 202),
        ("GET", "/v1/jobs/%0a%1b", 404),
    ]
    assert requests[0]["job_id"] == job["id"]
    assert (requests[0]["request_id"], requests[0]["owner"]) == ("r1", "anna")
    assert requests[0]["duration_s"] > 0
    assert "key-a" not in log.read_text(encoding="utf-8")


def test_it_stops_on_a_signal_and_says_so(served: Served) -> None:
    served.process.terminate()
    assert served.process.wait(20) == 0


async def test_a_body_that_stops_coming_is_timed_out(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.api.bodies.GRACE_S", 0.1)

    async def stopping() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.Event().wait()

    for address in ("/v1/solve", "/v1/jobs", "/v1/batches"):
        answer = await client.post(address, content=stopping(), headers=JSON)
        assert (answer.status_code, answer.json()["code"]) == (408, "request_timeout")
        assert answer.headers["connection"] == "close"


async def test_what_has_come_of_a_body_gives_the_rest_more_time(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.api.bodies.GRACE_S", 1.0)
    monkeypatch.setattr("service.api.bodies.MIN_BYTES_PER_S", 0.1)
    first, rest = (json.dumps(TASK).encode()[part] for part in (slice(50), slice(50, None)))
    grace_is_over = asyncio.Event()
    asyncio.get_running_loop().call_later(1.5, grace_is_over.set)

    async def slow() -> AsyncIterator[bytes]:
        yield first
        await grace_is_over.wait()
        yield rest

    assert (await client.post("/v1/jobs", content=slow(), headers=JSON)).status_code == 202
