"""The documents that the API answers with, and the answers made of them.

What is stored as JSON is passed on as it is, never parsed and rewritten: an answer with many
candidates is large, and rewriting it would be most of the work of a request.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import urlencode

from pydantic import BaseModel
from pydantic_core import from_json
from starlette.responses import Response

from augment import Grid
from service.jobs import Batch, BatchEntry, Failure, Job, JobState, summarise
from service.submission.challenges import NOTHING
from service.wire.batch import BatchSummary
from service.wire.document import utc
from service.wire.job import JobLinks, JobSummary, ProgressSummary
from voting import submission_document

REFUSED = "refused"
# A job is kept for as long as its batch is, so this takes an accident.
_GONE = Failure("job_not_found", "its job is no longer kept")
NUM_ATTEMPTS = 2


def json_answer(
    content: bytes, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """Answer with a JSON document that no cache may keep."""
    marked = {"Cache-Control": "no-store"} | dict(headers or {})
    return Response(content, status, marked, "application/json")


def model_answer(
    model: BaseModel, headers: Mapping[str, str] | None = None, status: int = 200
) -> Response:
    """Answer with a small document."""
    return json_answer(model.model_dump_json().encode(), status, headers)


def next_page(path: str, cursor: str | None, limit: int, *more: tuple[str, str]) -> str | None:
    """Name the address of the page that begins at a cursor; None for none."""
    if cursor is None:
        return None
    return f"{path}?{urlencode([('cursor', cursor), ('limit', limit), *more])}"


def link_to(following: str | None) -> Mapping[str, str]:
    """Name the following page, where there is one, in the Link header."""
    return {} if following is None else {"Link": f'<{following}>; rel="next"'}


def job_path(job_id: str) -> str:
    """Name the address of a job."""
    return f"/v1/jobs/{job_id}"


def job_document(job: Job) -> bytes:
    """Write a job with its progress and its result."""
    progress, result = job.progress or b"null", job.result or b"null"
    return _job_bytes(job, options=job.options, progress=progress, result=result)


def job_summary(job: Job) -> bytes:
    """Write a job without its result, and of its progress only the counts."""
    progress = b"null"
    if job.progress is not None:
        progress = ProgressSummary.model_validate_json(job.progress).model_dump_json().encode()
    return _job_bytes(job, options=job.options, progress=progress)


def job_list(jobs: Sequence[Job], next_path: str | None) -> bytes:
    """Write a page of jobs."""
    page = b",".join(map(job_summary, jobs))
    return b'{"next":%s,"jobs":[%s]}' % (json.dumps(next_path).encode(), page)


def _job_bytes(job: Job, **parts: bytes) -> bytes:
    """Write a job; `parts` are members that are JSON documents already."""
    path = job_path(job.id)
    head = JobSummary(
        id=job.id,
        state=job.state,
        name=job.name,
        priority=job.priority,
        created_at=utc(job.created_at),
        started_at=None if job.started_at is None else utc(job.started_at),
        finished_at=None if job.finished_at is None else utc(job.finished_at),
        attempts=job.attempts,
        cancel_requested=job.cancel_requested,
        error=job.failure,
        links=JobLinks(self=path, events=f"{path}/events", task=f"{path}/task"),
    )
    members = head.model_dump_json(exclude={"options", "progress"}).encode()
    joined = b"".join(b',"%s":%s' % (name.encode(), part) for name, part in parts.items())
    return members[:-1] + joined + b"}"


@dataclass(frozen=True, slots=True)
class BatchView:
    """A batch and how its jobs stand."""

    batch: Batch
    jobs: Mapping[str, Job]

    @property
    def summary(self) -> BatchSummary:
        """How it stands, without its puzzles."""
        batch = self.batch
        ends = [job.finished_at for job in self.jobs.values() if job.finished_at is not None]
        return summarise(
            batch.id,
            batch.name,
            len(batch.entries),
            Counter(self._state_of(job_id) for job_id in batch.job_ids),
            created_at=batch.created_at,
            last_end_at=max(ends, default=None),
            cancel_requested=batch.cancel_requested,
        )

    @property
    def is_final(self) -> bool:
        """Whether nothing more happens by itself."""
        return self.summary.state.is_final

    def progress(self) -> dict[str, Any]:
        """Write what changes, without the puzzles."""
        return self.summary.model_dump(mode="json", include={"id", "state", "counts"})

    def puzzle(self, entry: BatchEntry) -> dict[str, Any]:
        """Write how a puzzle stands."""
        job, refused = self.jobs.get(entry.job_id or ""), entry.refused
        failure = _GONE if job is None else job.failure
        failure = failure if refused is None else refused.failure
        return {
            "puzzle": entry.puzzle_id,
            "state": REFUSED if entry.job_id is None else self._state_of(entry.job_id),
            "job": entry.job_id,
            "error": None if failure is None else asdict(failure),
        }

    def document(self) -> dict[str, Any]:
        """Write the batch as JSON values."""
        return self.summary.model_dump(mode="json") | {
            "options": from_json(self.batch.options),
            "puzzles": [self.puzzle(entry) for entry in self.batch.entries],
        }

    def _state_of(self, job_id: str) -> JobState:
        job = self.jobs.get(job_id)
        return JobState.FAILED if job is None else job.state


def json_text(document: Mapping[str, Any]) -> bytes:
    """Write a document as ASCII: ids may hold unpaired surrogates, which UTF-8 cannot carry."""
    return json.dumps(document, separators=(",", ":")).encode()


def submission_part(page: Sequence[tuple[BatchEntry, Job | None]]) -> bytes:
    """Write the answers to some puzzles as members of a submission.

    Where there is no answer, or none yet, the test input itself stands for it.
    """
    answers = {entry.puzzle_id: _answers(entry, job) for entry, job in page}
    return json.dumps(submission_document(answers, NUM_ATTEMPTS))[1:-1].encode()


def _answers(entry: BatchEntry, job: Job | None) -> list[list[Grid]]:
    if entry.refused is not None:
        return [[Grid.from_rows(rows)] for rows in entry.refused.inputs]
    if job is None:
        return [[NOTHING]]
    inputs = [Grid.from_rows(test["input"]) for test in from_json(job.task)["test"]]
    if job.result is None:
        return [[grid] for grid in inputs]
    tests = from_json(job.result)["tests"]
    return [
        [Grid.from_rows(rows) for rows in test["attempts"]] or [grid]
        for grid, test in zip(inputs, tests, strict=True)
    ]
