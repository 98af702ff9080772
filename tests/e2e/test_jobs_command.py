"""`hrm-arc jobs`: an operator's hand in the queue."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from service.jobs import Claims, Job, JobStore, NewJob
from service.runtime.embedded import EmbeddedServer
from service.runtime.key_ring import LOCAL_OWNER

TASK, OPTIONS = b'{"train":[],"test":[]}', b'{"seed":7}'


def submit(url: str, name: str, owner: str = LOCAL_OWNER) -> Job:
    async def run() -> Job:
        store = JobStore.connect(url)
        try:
            new = NewJob(
                owner=owner,
                name=name,
                options=OPTIONS,
                fingerprint="f",
                priority="interactive",
                task=TASK,
            )
            return (await store.submit(new)).job
        finally:
            await store.close()

    return asyncio.run(run())


@pytest.fixture
def queue(valkey_url: str, fresh_redis: Any, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("HRM_ARC_REDIS_URL", valkey_url)
    return valkey_url


@pytest.fixture
def dead_job(queue: str) -> Job:
    """Return a job that crashed its worker once, which is as often as it may."""
    job = submit(queue, "deadly")
    claims = Claims(queue, worker_id="w", max_attempts=1)
    assert [claim.id for claim in claims.claim(1, 0.1)] == [job.id]
    claims.hand_back(job.id, charge=True, reason="the worker crashed")
    assert claims.claim(1, 0.1) == []
    claims.close()
    return job


def test_an_owners_jobs_are_listed_newest_first(queue: str, hrm_arc: Any) -> None:
    ids = [submit(queue, name).id for name in ("first", ":smile: [red]second")]
    others = submit(queue, "theirs", "them").id

    listed = hrm_arc("jobs", "list").out
    documents = json.loads(hrm_arc("jobs", "list", "--json").out)

    assert [line.split()[0] for line in listed.splitlines()] == ["id", *reversed(ids)]
    assert ":smile: [red]second" in listed
    assert [document["id"] for document in documents] == ids[::-1]
    assert others in hrm_arc("jobs", "list", "--owner", "them").out
    assert hrm_arc("jobs", "list", "--state", "running").out == "no such jobs\n"


def test_a_job_is_shown_as_the_api_shows_it(queue: str, hrm_arc: Any) -> None:
    job = submit(queue, "first")

    shown = json.loads(hrm_arc("jobs", "show", job.id).out)

    assert (shown["state"], shown["options"]["seed"]) == ("queued", 7)
    assert {"result", "progress", "error", "links"} <= shown.keys()


def test_a_waiting_job_is_cancelled(queue: str, hrm_arc: Any) -> None:
    job = submit(queue, "first")

    assert hrm_arc("jobs", "cancel", job.id).out == f"{job.id}: cancelled\n"
    assert json.loads(hrm_arc("jobs", "show", job.id).out)["state"] == "cancelled"


def test_dead_jobs_are_listed_with_the_reason_and_queued_again(dead_job: Job, hrm_arc: Any) -> None:
    listed = hrm_arc("jobs", "dead").out
    assert dead_job.id in listed
    assert "attempts_exhausted" in listed

    assert hrm_arc("jobs", "requeue", dead_job.id).out == f"{dead_job.id}: queued\n"
    assert hrm_arc("jobs", "dead").out == "no such jobs\n"
    assert json.loads(hrm_arc("jobs", "show", dead_job.id).out)["attempts"] == 0


def test_what_cannot_be_done_is_reported(queue: str, hrm_arc: Any) -> None:
    job = submit(queue, "first")

    for command in ("show", "cancel", "requeue"):
        missing = hrm_arc("jobs", command, "nobody")
        assert (missing.code, missing.out) == (2, "")
        assert "job 'nobody' does not exist or has expired" in missing.said
    waiting = hrm_arc("jobs", "requeue", job.id)
    assert waiting.code == 2
    assert "only failed jobs" in waiting.said


def test_without_redis_the_state_folder_is_read(
    hrm_arc: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HRM_ARC_REDIS_URL", raising=False)
    with EmbeddedServer(tmp_path) as url:
        job = submit(url, "first")
        # The server that runs is asked, and still runs after that.
        assert job.id in hrm_arc("jobs", "list", "--state-folder", tmp_path).out
        assert submit(url, "second").id

    assert job.id in hrm_arc("jobs", "list", "--state-folder", tmp_path).out
