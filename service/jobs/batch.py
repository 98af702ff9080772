"""What the job layer knows of batches: many puzzles that were sent together."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Literal

from service.wire.job import Failure, JobState

Rows = tuple[tuple[int, ...], ...]


@dataclass(frozen=True, slots=True)
class BatchJob:
    """A job to be queued with its batch. `task` is a JSON document."""

    name: str
    task: bytes


@dataclass(frozen=True, slots=True)
class Refused:
    """A puzzle of a batch that no job was made of: why, and the rows of its test inputs."""

    failure: Failure
    inputs: tuple[Rows, ...]


@dataclass(frozen=True, slots=True)
class NewBatch:
    """A batch to be queued; its puzzles by id, in order.

    `options` is a JSON document, every job's. `fingerprint` distinguishes bodies of the same
    idempotency key. `share`: how many of this owner's jobs may wait; None for no limit.

    Units: deadline_s in seconds from now, each job's.
    """

    owner: str
    name: str
    options: bytes
    puzzles: Mapping[str, BatchJob | Refused]
    fingerprint: str
    deadline_s: float | None = None
    idempotency_key: str | None = None
    share: int | None = None


@dataclass(frozen=True, slots=True)
class BatchEntry:
    """A puzzle of a batch: its job, or why it has none, and then its test inputs."""

    puzzle_id: str
    job_id: str | None
    refused: Refused | None = None


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch as it was queued; its state is that of its jobs. `options` is a JSON document.

    Units: created_at in seconds since 1970, by the clock of Redis.
    """

    id: str
    owner: str
    name: str
    options: bytes
    entries: tuple[BatchEntry, ...]
    created_at: float
    cancel_requested: bool

    @property
    def job_ids(self) -> tuple[str, ...]:
        """The jobs of the puzzles that have one, in order."""
        return tuple(entry.job_id for entry in self.entries if entry.job_id is not None)

    @classmethod
    def from_fields(cls, batch_id: str, fields: Mapping[bytes, bytes]) -> "Batch":
        """Read a record's fields."""
        return cls(
            id=batch_id,
            owner=fields[b"owner"].decode(),
            name=fields[b"name"].decode(),
            options=fields[b"options"],
            entries=_read_entries(fields[b"entries"]),
            created_at=int(fields[b"created_ms"]) / 1000,
            cancel_requested=b"cancel" in fields,
        )


@dataclass(frozen=True, slots=True)
class BatchSummary:
    """How a batch stands, without its puzzles: `num_jobs` by state, of `num_puzzles` puzzles.

    Units: created_at and finished_at (the last end of a job) in seconds since 1970.
    """

    id: str
    name: str
    created_at: float
    cancel_requested: bool
    num_puzzles: int
    num_jobs: Mapping[JobState, int]
    finished_at: float | None

    @property
    def is_final(self) -> bool:
        """Whether nothing more happens by itself."""
        return all(state.is_final for state, number in self.num_jobs.items() if number)

    @property
    def state(self) -> Literal["queued", "running", "finished", "cancelled"]:
        """Cancelled: where that was asked for before the end."""
        if self.is_final:
            is_cut = self.num_jobs.get(JobState.CANCELLED, 0) > 0
            return "cancelled" if self.cancel_requested and is_cut else "finished"
        is_queued = self.num_jobs.get(JobState.QUEUED, 0) == sum(self.num_jobs.values())
        return "queued" if is_queued else "running"

    @classmethod
    def from_reply(cls, batch_id: str, reply: Sequence[bytes]) -> "BatchSummary":
        """Read what the script that counts a batch gives."""
        name, created_ms, cancel, num_puzzles, last_end_ms, *counts = reply
        states = [JobState(state.decode()) for state in counts[::2]]
        return cls(
            id=batch_id,
            name=name.decode(),
            created_at=int(created_ms) / 1000,
            cancel_requested=bool(cancel),
            num_puzzles=int(num_puzzles),
            num_jobs=dict(zip(states, map(int, counts[1::2]), strict=True)),
            finished_at=int(last_end_ms) / 1000 or None,
        )


def write_entries(entries: tuple[BatchEntry, ...]) -> bytes:
    """Write a batch's puzzles as a JSON document."""
    # As ASCII: an id from a stranger's file may hold what UTF-8 cannot carry.
    return json.dumps(
        [
            [entry.puzzle_id, entry.job_id, entry.refused and asdict(entry.refused)]
            for entry in entries
        ]
    ).encode()


def _read_entries(data: bytes) -> tuple[BatchEntry, ...]:
    return tuple(
        BatchEntry(puzzle_id, job_id, None if refused is None else _read_refused(refused))
        for puzzle_id, job_id, refused in json.loads(data)
    )


def _read_refused(document: Mapping[str, object]) -> Refused:
    failure, inputs = document["failure"], document["inputs"]
    if not isinstance(failure, dict) or not isinstance(inputs, list):
        raise TypeError("a refused puzzle has a failure and inputs")
    return Refused(Failure(**failure), tuple(tuple(tuple(row) for row in rows) for rows in inputs))
