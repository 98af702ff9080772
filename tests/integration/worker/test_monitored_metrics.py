"""Every metric and label in the dashboard and the alerts is one that API and worker expose."""

import asyncio
import re
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from monitoring_files import ADDED, GROUPING, expressions
from prometheus_client.parser import text_string_to_metric_families

from augment import Puzzle, Task, task_document
from service.api import create_app

pytestmark = pytest.mark.usefixtures("fresh_redis", "one_thread")

METRIC = re.compile(r"\b((?:hrm_arc|process)_\w+)(?:\{([^}]*)\})?")
MATCHER = re.compile(r'(\w+)(=|!=|=~|!~)"([^"]*)"')

Exposed = dict[str, list[dict[str, str]]]


@pytest.fixture
def exposed(
    start: Callable[..., Any],
    settings_of: Callable[..., Any],
    queue: Any,
    probes: tuple[Puzzle, ...],
) -> Exposed:
    """Return the labels of all samples by name, after a worker has answered a job of the API."""
    running = start()
    queue.wait_until_worker_is("ready")

    async def use() -> str:
        app = create_app(settings_of())
        async with app.router.lifespan_context(app):
            transport = httpx.ASGITransport(app=app)
            async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as api:
                puzzle = probes[0]
                body: Any = task_document(Task(puzzle, (None,) * len(puzzle.test)))
                answer = await api.post("/v1/solve", json=body, headers={"Prefer": "wait=120"})
                assert answer.json()["state"] == "succeeded", answer.text
                return (await api.get("/metrics")).text

    scraped = asyncio.run(use())
    server = running.worker.metrics.serve("127.0.0.1", 0, lambda: True)
    with urllib.request.urlopen(f"http://127.0.0.1:{server.server_port}/metrics") as reply:
        scraped += reply.read().decode()
    server.shutdown()

    found: Exposed = {}
    for name, labels in _samples(scraped):
        found.setdefault(name, []).append(labels)
    return found


def _samples(text: str) -> Iterator[tuple[str, dict[str, str]]]:
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            yield sample.name, sample.labels


def test_every_metric_is_exposed_with_the_labels_that_are_used(exposed: Exposed) -> None:
    for place, expression in expressions().items():
        names = [name for name, _ in METRIC.findall(expression)]
        assert names, place
        for name, matchers in METRIC.findall(expression):
            assert name in exposed, f"{place}: there is no {name}"
            for label, operator, text in MATCHER.findall(matchers):
                values = {labels.get(label) for labels in exposed[name]}
                wanted = text.split("|") if "~" in operator else [text]
                assert set(wanted) <= values, f"{place}: {name} has no {label} {text}"
        for grouping in GROUPING.findall(expression):
            for label in set(grouping.split(", ")) - ADDED:
                assert any(label in exposed[name][0] for name in names), (place, label)
