"""Batches, many puzzles that were sent together: submit, look up, cancel."""

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from service.jobs import keys
from service.jobs.connection import explained_async
from service.jobs.listing import Page, read_page
from service.jobs.record import Job, NewBatch, Refused
from service.jobs.store import JobStore
from service.wire.batch import BatchCounts, BatchLinks, BatchState, BatchSummary
from service.wire.document import utc
from service.wire.errors import BatchNotFound, QueueUnavailable, SubmissionInDoubt
from service.wire.job import JobState

PAGE = 100


@dataclass(frozen=True, slots=True)
class BatchEntry:
    """A puzzle of a batch: its job, or why it has none."""

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
            entries=tuple(
                BatchEntry(puzzle_id, job_id, refused and Refused.from_document(refused))
                for puzzle_id, job_id, refused in json.loads(fields[b"entries"])
            ),
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


@dataclass(frozen=True, slots=True)
class SubmittedBatch:
    """A batch as queued, or the one that the same idempotency key queued before."""

    batch: Batch
    is_new: bool


class BatchStore:
    """Batches in Redis, beside the jobs they consist of."""

    def __init__(self, store: JobStore) -> None:
        self._store = store

    async def submit(self, new: NewBatch) -> SubmittedBatch:
        """Queue all jobs of a batch or none, once per idempotency key.

        Raises: QueueFull; BatchTooLarge; IdempotencyConflict for a key that came with another body
        before; SubmissionInDoubt; NotDurable.
        """
        entries: list[list[Any]] = []
        jobs: list[tuple[str, str, bytes]] = []
        for puzzle_id, puzzle in new.puzzles.items():
            if isinstance(puzzle, Refused):
                entries.append([puzzle_id, None, asdict(puzzle)])
            else:
                job_id = keys.new_id()
                entries.append([puzzle_id, job_id, None])
                jobs.append((job_id, puzzle_id, puzzle))
        # As ASCII: an id from a stranger's file may hold what UTF-8 cannot carry.
        about, is_new, _ = await self._store.queue(
            *("submit_batch", new),
            [keys.new_id(), new.owner, new.name, new.options, json.dumps(entries)],
            [len(entries), *(part for job in jobs for part in job)],
            num_jobs=len(jobs),
        )
        try:
            batch = await self.get(about, new.owner)
        except QueueUnavailable as error:
            raise SubmissionInDoubt(str(error)) from error
        return SubmittedBatch(batch, is_new)

    async def get(self, batch_id: str, owner: str | None = None) -> Batch:
        """Read a batch; of another owner than the one named, none is there.

        Raises: BatchNotFound.
        """
        async with explained_async(self._store.redis):
            fields = await self._store.redis.hgetall(keys.batch_key(batch_id))
        if not fields or (owner is not None and fields[b"owner"].decode() != owner):
            raise BatchNotFound(batch_id)
        return Batch.from_fields(batch_id, fields)

    async def list(
        self, owner: str, *, after: str | None = None, limit: int = 20
    ) -> Page[BatchSummary]:
        """List an owner's batches, newest first.

        Raises: QueueError for a cursor that no list gave out.
        """
        return await read_page(
            *(self._store.redis, keys.batches_key(owner), self._summaries),
            after=after,
            limit=limit,
            num_at_once=limit + 1,
        )

    async def jobs(self, batch: Batch) -> dict[str, Job]:
        """Read a batch's jobs, without their results; one that is no longer kept is left out."""
        return await self._store.read_listed(batch.job_ids)

    async def pages(self, batch: Batch) -> AsyncIterator[Sequence[tuple[BatchEntry, Job | None]]]:
        """Read a batch's puzzles with their jobs, results too, a page at a time."""
        for start in range(0, len(batch.entries), PAGE):
            page = batch.entries[start : start + PAGE]
            job_ids = [entry.job_id for entry in page if entry.job_id is not None]
            found = await self._store.read(job_ids, is_whole=True)
            yield [(entry, found.get(entry.job_id or "")) for entry in page]

    async def cancel(self, batch_id: str, owner: str | None = None) -> Batch:
        """Cancel all jobs of a batch that have not ended.

        Raises: BatchNotFound.
        """
        batch = await self.get(batch_id, owner)
        ttl_s = self._store.result_ttl_s
        async with explained_async(self._store.redis):
            await self._store.scripts("cancel_batch", batch_id, ttl_s, *batch.job_ids)
        return await self.get(batch_id, owner)

    async def _summaries(self, batch_ids: Sequence[str]) -> dict[str, BatchSummary]:
        found = {}
        # A script each: one for all of them would keep Redis from others for too long.
        for batch_id in batch_ids:
            async with explained_async(self._store.redis):
                reply = await self._store.scripts("count_batch", batch_id)
            if reply:
                found[batch_id] = read_summary(batch_id, reply)
        return found
