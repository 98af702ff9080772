"""Spans of requests: what the API records, and what it passes on to the workers."""

import asyncio
import subprocess
import sys
from typing import Any

import httpx
import pytest
from conftest import Open, Worker
from recorded_spans import SPAN_ID, TRACE_ID, TRACEPARENT, RecordingTracer

from service.api import app as api_app
from service.api.examples import TASK

pytestmark = pytest.mark.anyio


@pytest.fixture
def tracer(monkeypatch: pytest.MonkeyPatch) -> RecordingTracer:
    """Return the tracer of the apps that are made by this test."""
    tracer = RecordingTracer("api")
    monkeypatch.setattr(api_app, "open_tracer", lambda settings, part: tracer)
    return tracer


async def test_a_caller_s_trace_goes_on_in_the_request_its_submission_and_the_job(
    open_client: Open, worker: Worker, tracer: RecordingTracer
) -> None:
    async with open_client() as client:
        solving = asyncio.create_task(
            client.post("/v1/solve", json=TASK, headers={"traceparent": TRACEPARENT})
        )
        job = await asyncio.to_thread(worker.finish)
        answer = await solving

    request, submit = tracer.spans.named("POST /v1/solve"), tracer.spans.named("submit")
    assert (request.trace_id, request.parent_id) == (TRACE_ID, SPAN_ID)
    assert (submit.parent_id, submit["job_id"]) == (request.id, answer.json()["id"])
    assert job.traceparent == f"00-{TRACE_ID}-{submit.id}-01"
    assert not request.is_error


async def test_jobs_of_a_batch_share_its_trace(
    open_client: Open, worker: Worker, tracer: RecordingTracer
) -> None:
    async with open_client() as client:
        await client.post("/v1/batches", json={"a": TASK, "b": TASK})
        jobs = await asyncio.to_thread(worker.claims.claim, 8, 5.0)

    submit = tracer.spans.named("submit")
    assert submit["batch_id"]
    assert len(jobs) == 2
    assert {job.traceparent[:-3] for job in jobs} == {f"00-{submit.trace_id}-{submit.id}"}


async def test_failures_and_refusals_are_marked_with_their_codes(
    open_client: Open, worker: Worker, tracer: RecordingTracer
) -> None:
    unknown: dict[str, Any] = TASK | {"train": TASK["train"][:1], "options": {"adapt": "never"}}
    async with open_client() as client:
        solving = asyncio.create_task(client.post("/v1/solve", json=TASK))
        await asyncio.to_thread(worker.fail, "unsolvable")
        assert (await solving).status_code == 422
        assert (await client.post("/v1/jobs", json=unknown)).status_code == 404

    failed = tracer.spans.named("POST /v1/solve")
    refused = tracer.spans.named("submit", code="unknown_puzzle")
    assert (failed.is_error, failed["code"], refused.is_error) == (True, "unsolvable", True)


async def test_neither_keys_nor_probes_are_recorded(
    open_client: Open, worker: Worker, tracer: RecordingTracer
) -> None:
    key = "a-key-that-nobody-may-see"
    async with open_client(api_keys=f"anna:{key}") as client:
        for path in ("/health/live", "/health/ready", "/metrics", "/web/js/main.js"):
            assert (await client.get(path)).status_code == 200
        await client.get("/v1/jobs", headers={"Authorization": f"Bearer {key}"})
        await client.get("/v1/jobs", headers={"X-API-Key": key})

    assert [span.name for span in tracer.spans] == ["GET /v1/jobs"] * 2
    assert key not in str([span.attributes for span in tracer.spans])


def test_without_an_endpoint_nothing_is_loaded() -> None:
    # FastAPI and redis load the interface of OpenTelemetry by themselves.
    loading = (
        "import sys; import service.api, service.worker;"
        "from service.runtime.settings import Settings;"
        "service.api.create_app(Settings(redis_url='redis://nowhere'));"
        "print([name for name in sys.modules if 'otlp' in name or 'runtime.otel' in name])"
    )
    done = subprocess.run([sys.executable, "-c", loading], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr


async def test_a_job_has_no_trace_without_tracing(
    client: httpx.AsyncClient, worker: Worker
) -> None:
    await client.post("/v1/jobs", json=TASK, headers={"traceparent": TRACEPARENT})
    assert (await asyncio.to_thread(worker.claim)).traceparent == ""
