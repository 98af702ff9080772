"""What the job layer knows of batches: many puzzles that were sent together."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from service.wire.batch import BatchCounts, BatchLinks, BatchState, BatchSummary
from service.wire.document import utc
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


def summarise(
    batch_id: str,
    name: str,
    num_puzzles: int,
    num_jobs: Mapping[JobState, int],
    *,
    created_at: float,
    last_end_at: float | None,
    cancel_requested: bool,
) -> BatchSummary:
    """Return how a batch stands: `num_jobs` of its `num_puzzles` have a job in each state.

    Units: times in seconds since 1970; last_end_at is the last end of a job.
    """
    is_final = all(state.is_final for state, number in num_jobs.items() if number)
    if is_final:
        is_cut = cancel_requested and num_jobs.get(JobState.CANCELLED, 0) > 0
        state = BatchState.CANCELLED if is_cut else BatchState.FINISHED
    else:
        is_queued = num_jobs.get(JobState.QUEUED, 0) == sum(num_jobs.values())
        state = BatchState.QUEUED if is_queued else BatchState.RUNNING
    path = f"/v1/batches/{batch_id}"
    return BatchSummary(
        id=batch_id,
        state=state,
        name=name,
        created_at=utc(created_at),
        finished_at=utc(last_end_at or created_at) if is_final else None,
        cancel_requested=cancel_requested,
        counts=BatchCounts(
            total=num_puzzles,
            refused=num_puzzles - sum(num_jobs.values()),
            **{one.value: num_jobs.get(one, 0) for one in JobState},
        ),
        links=BatchLinks(self=path, events=f"{path}/events", submission=f"{path}/submission.json"),
    )


def read_summary(batch_id: str, reply: Sequence[bytes]) -> BatchSummary:
    """Read what the script that counts a batch gives."""
    name, created_ms, cancel, num_puzzles, last_end_ms, *counts = reply
    states = [JobState(state.decode()) for state in counts[::2]]
    return summarise(
        batch_id,
        name.decode(),
        int(num_puzzles),
        dict(zip(states, map(int, counts[1::2]), strict=True)),
        created_at=int(created_ms) / 1000,
        last_end_at=int(last_end_ms) / 1000 or None,
        cancel_requested=bool(cancel),
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
