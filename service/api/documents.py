"""Job documents as bytes: what is stored as JSON is passed on as it is, never parsed and rewritten.

An answer with many candidates is large; rewriting it would be most of the work of a request.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from pydantic_core import from_json

from service.jobs import Event, Job


def job_path(job_id: str) -> str:
    """Name the address of a job."""
    return f"/v1/jobs/{job_id}"


def job_document(job: Job) -> bytes:
    """Write a job with its progress and its result."""
    return _spliced(
        _head(job),
        {
            "options": job.options,
            "progress": job.progress or b"null",
            "result": job.result or b"null",
        },
    )


def job_summary(job: Job) -> bytes:
    """Write a job without its result, and of its progress only the counts."""
    progress = None if job.progress is None else from_json(job.progress)
    if progress is not None:
        progress.pop("tests", None)
    return _spliced(_head(job) | {"progress": progress}, {"options": job.options})


def task_document(job: Job) -> bytes:
    """Return the task that a job was made of."""
    return job.task


def job_list(jobs: tuple[Job, ...], next_path: str | None) -> bytes:
    """Write a page of jobs."""
    page = b"[" + b",".join(map(job_summary, jobs)) + b"]"
    return _spliced({"next": next_path}, {"jobs": page})


def current_events(job: Job) -> tuple[Event, ...]:
    """Return the state of a job as events: its state and, unless it has ended, its progress."""
    state = Event.of_state(job)
    if job.progress is None or state.is_last:
        return (state,)
    return (state, Event(job.last_event, job.id, "progress", job.progress, is_last=False))


def time_text(seconds: float) -> str:
    """Write a time (RFC 3339), in UTC.

    Units: seconds since 1970.
    """
    text = datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")


def _head(job: Job) -> dict[str, Any]:
    return {
        "id": job.id,
        "state": job.state,
        "name": job.name,
        "priority": job.priority,
        "created_at": time_text(job.created_at),
        "started_at": _optional_time_text(job.started_at),
        "finished_at": _optional_time_text(job.finished_at),
        "attempts": job.attempts,
        "cancel_requested": job.cancel_requested,
        "error": None if job.failure is None else asdict(job.failure),
        "links": {
            "self": job_path(job.id),
            "events": f"{job_path(job.id)}/events",
            "task": f"{job_path(job.id)}/task",
        },
    }


def _spliced(head: Mapping[str, Any], parts: Mapping[str, bytes]) -> bytes:
    joined = b"".join(b',"%s":%s' % (name.encode(), part) for name, part in parts.items())
    return _json(head)[:-1] + joined + b"}"


def _json(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()


def _optional_time_text(seconds: float | None) -> str | None:
    return None if seconds is None else time_text(seconds)
