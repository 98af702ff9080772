"""The clients' operations on batches, with outcomes laid out beforehand."""

import json
from pathlib import Path
from typing import Any

import pytest
from wire_samples import STREAM, Drive, DrivenClient, event, problem, reply

from augment import Grid, TaskFileError
from service.client import (
    BadReply,
    BatchProgress,
    BatchState,
    BatchUnfinished,
    ServiceProblem,
    ServiceUnreachable,
)

GONE = ServiceUnreachable("no answer")
NONE = {"queued": 0, "running": 0, "adapting": 0, "failed": 0, "cancelled": 0, "refused": 0}
CHALLENGES: dict[str, Any] = {"a": {"train": [], "test": []}}


def progress(state: str, num_succeeded: int) -> dict[str, Any]:
    counts = NONE | {"total": 2, "succeeded": num_succeeded, "queued": 2 - num_succeeded}
    return {"id": "b1", "state": state, "counts": counts}


def document(state: str, num_succeeded: int = 0) -> dict[str, Any]:
    return progress(state, num_succeeded) | {
        "name": "mine",
        "created_at": "2026-11-22T05:00:00.000Z",
        "finished_at": None,
        "cancel_requested": False,
        "options": {"seed": 0},
        "puzzles": [{"puzzle": "a", "state": "queued", "job": "j1", "error": None}],
        "links": {
            "self": "/v1/batches/b1",
            "events": "/v1/batches/b1/events",
            "submission": "/v1/batches/b1/submission.json",
        },
    }


def test_a_mapping_goes_out_as_it_is_with_a_key_of_its_own() -> None:
    drive = Drive([GONE, reply(document("queued"), 202)])

    batch = DrivenClient(drive).submit_batch(CHALLENGES, name="mine", seed=2)

    first, second = drive.requests
    assert first == second
    assert (first.method, first.path) == ("POST", "/v1/batches")
    assert json.loads(first.content or b"") == {
        "challenges": CHALLENGES,
        "options": {"seed": 2},
        "name": "mine",
    }
    assert len(first.headers["Idempotency-Key"]) > 20
    assert (batch.id, batch.state, batch.counts.queued) == ("b1", BatchState.QUEUED, 2)
    assert [(p.puzzle, p.job) for p in batch.puzzles] == [("a", "j1")]


def test_a_path_names_a_challenges_file(tmp_path: Path) -> None:
    path = tmp_path / "challenges.json"
    path.write_text(json.dumps(CHALLENGES), encoding="utf-8")
    drive = Drive([reply(document("queued"), 202)])

    DrivenClient(drive).submit_batch(str(path))

    assert json.loads(drive.requests[0].content or b"") == {"challenges": CHALLENGES}
    with pytest.raises(TaskFileError, match="no such file"):
        DrivenClient(drive).submit_batch(tmp_path / "none.json")


def test_a_batch_is_followed_to_its_end_and_its_progress_reported() -> None:
    reported = progress("running", 1) | {"puzzle": document("running")["puzzles"][0]}
    drive = Drive(
        [
            STREAM,
            event(1, "state", progress("running", 0)) + event(2, "progress", reported),
            event(3, "state", progress("finished", 2)),
            reply(document("finished", 2)),
        ]
    )
    reported: list[BatchProgress] = []

    batch = DrivenClient(drive).wait_batch("b1", on_progress=reported.append)

    (seen,) = reported
    assert (batch.state, batch.counts.succeeded) == (BatchState.FINISHED, 2)
    assert (seen.counts.succeeded, seen.puzzle and seen.puzzle.puzzle) == (1, "a")
    assert drive.requests[-1].path == "/v1/batches/b1"


def test_waiting_ends_with_its_time() -> None:
    drive = Drive([reply(document("running"))])

    with pytest.raises(BatchUnfinished, match="batch b1 is running after 0 s"):
        DrivenClient(drive).wait_batch("b1", wait_s=0.0)


def test_a_submission_comes_as_grids() -> None:
    attempts = {"attempt_1": [[1]], "attempt_2": [[2]]}
    drive = Drive([reply({"a": [attempts]}), reply({"a": [{"attempt_1": [[11]]}]})])

    submission = DrivenClient(drive).submission("b1")

    assert submission == {"a": ((Grid.from_rows([[1]]), Grid.from_rows([[2]])),)}
    assert drive.requests[0].path == "/v1/batches/b1/submission.json"
    with pytest.raises(BadReply, match="not as agreed"):
        DrivenClient(drive).submission("b1")


def test_cancelling_asks_once_and_a_refusal_is_reported() -> None:
    drive = Drive([reply(document("cancelled")), problem(404, "batch_not_found")])

    assert DrivenClient(drive).cancel_batch("b/1").state is BatchState.CANCELLED
    assert (drive.requests[0].method, drive.requests[0].path) == ("DELETE", "/v1/batches/b%2F1")
    with pytest.raises(ServiceProblem, match="batch_not_found"):
        DrivenClient(drive).get_batch("none")
