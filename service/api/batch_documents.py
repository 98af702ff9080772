"""Batch documents: counts, every puzzle's state, and the submission so far."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from pydantic_core import from_json

from augment import Grid
from service.jobs import Batch, BatchEntry, Failure, Job, JobState, summarise
from service.submission.challenges import NOTHING
from service.wire.batch import BatchSummary
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


def batch_path(batch_id: str) -> str:
    """Name the address of a batch."""
    return f"/v1/batches/{batch_id}"


def json_text(document: Mapping[str, Any]) -> bytes:
    """Write a document as ASCII: ids may hold unpaired surrogates, which UTF-8 cannot carry."""
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
    inputs = [Grid.from_rows(test["input"]) for test in from_json(job.task)["test"]]
    if job.result is None:
        return [[grid] for grid in inputs]
    tests = from_json(job.result)["tests"]
    return [
        [Grid.from_rows(rows) for rows in test["attempts"]] or [grid]
        for grid, test in zip(inputs, tests, strict=True)
    ]
