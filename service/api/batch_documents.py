"""Batch documents: counts, every puzzle's state, and the submission so far."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from pydantic_core import from_json

from augment import Grid
from service.api.documents import time_text
from service.challenges import NOTHING
from service.jobs import Batch, BatchEntry, Failure, Job, JobState
from voting import submission_document

REFUSED = "refused"
# A job is kept for as long as its batch is, so this takes an accident.
_GONE = Failure("job_not_found", "its job is no longer kept")
NUM_ATTEMPTS = 2


@dataclass(frozen=True, slots=True)
class BatchView:
    """A batch and how its jobs stand."""

    batch: Batch
    jobs: Mapping[str, Job]

    @property
    def is_final(self) -> bool:
        """Nothing more will happen by itself."""
        return all(job.state.is_final for job in self.jobs.values())

    @property
    def state(self) -> str:
        """Queued, running, finished, or cancelled where that was asked for before the end."""
        if self.is_final:
            is_cut = any(job.state is JobState.CANCELLED for job in self.jobs.values())
            return "cancelled" if self.batch.cancel_requested and is_cut else "finished"
        is_queued = all(job.state is JobState.QUEUED for job in self.jobs.values())
        return "queued" if is_queued else "running"

    @property
    def counts(self) -> dict[str, int]:
        """How many puzzles there are, and how many of them in each state."""
        states = Counter(self._state(entry) for entry in self.batch.entries)
        return {"total": len(self.batch.entries)} | {
            state: states[state] for state in (*JobState, REFUSED)
        }

    def progress(self) -> dict[str, Any]:
        """Write what changes, without the puzzles."""
        return {"id": self.batch.id, "state": self.state, "counts": self.counts}

    def puzzle(self, entry: BatchEntry) -> dict[str, Any]:
        """Write how a puzzle stands."""
        job, refused = self.jobs.get(entry.job_id or ""), entry.refused
        failure = _GONE if job is None else job.failure
        failure = failure if refused is None else refused.failure
        return {
            "puzzle": entry.puzzle_id,
            "state": self._state(entry),
            "job": entry.job_id,
            "error": None if failure is None else asdict(failure),
        }

    def document(self) -> dict[str, Any]:
        """Write the batch as JSON values."""
        ends = [job.finished_at for job in self.jobs.values() if job.finished_at is not None]
        batch, path = self.batch, batch_path(self.batch.id)
        finished_at = max(ends, default=batch.created_at) if self.is_final else None
        return {
            "id": batch.id,
            "state": self.state,
            "name": batch.name,
            "created_at": time_text(batch.created_at),
            "finished_at": None if finished_at is None else time_text(finished_at),
            "cancel_requested": batch.cancel_requested,
            "options": from_json(batch.options),
            "counts": self.counts,
            "puzzles": [self.puzzle(entry) for entry in batch.entries],
            "links": {
                "self": path,
                "events": f"{path}/events",
                "submission": f"{path}/submission.json",
            },
        }

    def _state(self, entry: BatchEntry) -> str:
        if entry.job_id is None:
            return REFUSED
        job = self.jobs.get(entry.job_id)
        return JobState.FAILED if job is None else job.state


def batch_path(batch_id: str) -> str:
    """Name the address of a batch."""
    return f"/v1/batches/{batch_id}"


def json_text(document: Mapping[str, Any]) -> bytes:
    """Write a document as ASCII: ids may hold lone surrogates, which UTF-8 cannot carry."""
    return json.dumps(document, separators=(",", ":")).encode()


def submission_part(page: Sequence[tuple[BatchEntry, Job | None]]) -> str:
    """Write the answers to some puzzles as members of a submission.

    Where there is no answer, or none yet, the test input itself stands for it.
    """
    answers = {entry.puzzle_id: _answers(entry, job) for entry, job in page}
    return json.dumps(submission_document(answers, NUM_ATTEMPTS))[1:-1]


def _answers(entry: BatchEntry, job: Job | None) -> list[list[Grid]]:
    if entry.refused is not None:
        return [[Grid.from_rows(rows)] for rows in entry.refused.inputs]
    if job is None:
        return [[NOTHING]]
    inputs = [Grid.from_rows(test["input"]) for test in from_json(job.request)["test"]]
    if job.result is None:
        return [[grid] for grid in inputs]
    tests = from_json(job.result)["tests"]
    return [
        [Grid.from_rows(rows) for rows in test["attempts"]] or [grid]
        for grid, test in zip(inputs, tests, strict=True)
    ]
