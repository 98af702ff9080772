"""Batches as callers see them: submit, look up, cancel."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from service.jobs import keys
from service.jobs.batch import (
    Batch,
    BatchEntry,
    BatchJob,
    NewBatch,
    read_summary,
    write_entries,
)
from service.jobs.connection import explained_async
from service.jobs.keys import PREFIX
from service.jobs.listing import read_page
from service.jobs.lua import script
from service.jobs.record import Job
from service.jobs.store import JobStore
from service.wire.batch import BatchSummary
from service.wire.errors import (
    BatchNotFound,
    IdempotencyConflict,
    QueueUnavailable,
    SubmissionInDoubt,
)

PAGE = 100


@dataclass(frozen=True, slots=True)
class SubmittedBatch:
    """A batch as queued, or the one that the same idempotency key queued before."""

    batch: Batch
    is_new: bool


@dataclass(frozen=True, slots=True)
class BatchPage:
    """Some of a list of batches; `next` is where to go on, None at its end."""

    batches: tuple[BatchSummary, ...]
    next: str | None


class BatchStore:
    """Batches in Redis, beside the jobs they consist of."""

    def __init__(self, store: JobStore) -> None:
        self._store = store
        self._submit = store.redis.register_script(script("submit_batch"))
        self._cancel = store.redis.register_script(script("cancel_batch"))
        self._count = store.redis.register_script(script("count_batch"))

    async def submit(self, new: NewBatch) -> SubmittedBatch:
        """Queue all jobs of a batch or none, once per idempotency key.

        Raises: QueueFull; IdempotencyConflict for a key that came with another body before;
        SubmissionInDoubt; NotDurable.
        """
        limits = self._store.limits
        entries, jobs = _number(new)
        arguments = [
            *(PREFIX, keys.new_id(), new.owner, new.name, new.options, write_entries(entries)),
            *(new.fingerprint, new.idempotency_key or ""),
            *(limits.idempotency_ttl_s, limits.result_ttl_s),
            *("" if new.deadline_s is None else new.deadline_s, limits.max_queued),
            *("" if new.share is None else new.share, len(entries)),
            *(part for job_id, job in jobs for part in (job_id, job.name, job.task)),
        ]
        reply = await self._store.submissions.run(self._submit, arguments)
        outcome, about = (part.decode() for part in reply)
        if outcome == "conflict":
            raise IdempotencyConflict(
                f"idempotency key {new.idempotency_key!r} was used before with another body "
                f"(batch {about}): send the same body again, or a new key"
            )
        if outcome in ("full", "share"):
            raise await self._store.queue_full(about, len(jobs), is_share=outcome == "share")
        try:
            batch = await self.get(about, new.owner)
        except QueueUnavailable as error:
            raise SubmissionInDoubt(str(error)) from error
        return SubmittedBatch(batch, is_new=outcome == "new")

    async def get(self, batch_id: str, owner: str | None = None) -> Batch:
        """Read a batch; of another owner than the one named, none is there.

        Raises: BatchNotFound.
        """
        async with explained_async(self._store.redis):
            fields = await self._store.redis.hgetall(keys.batch_key(batch_id))
        if not fields or (owner is not None and fields[b"owner"].decode() != owner):
            raise BatchNotFound(batch_id)
        return Batch.from_fields(batch_id, fields)

    async def list(self, owner: str, *, after: str | None = None, limit: int = 20) -> BatchPage:
        """List an owner's batches, newest first.

        Raises: QueueError for a cursor that no list gave out.
        """
        page = await read_page(
            *(self._store.redis, keys.batches_key(owner), self._summaries),
            after=after,
            limit=limit,
            num_at_once=limit + 1,
        )
        return BatchPage(*page)

    async def jobs(self, batch: Batch) -> dict[str, Job]:
        """Read a batch's jobs, without their results; one that is no longer kept is left out."""
        return await self._store.read_listed(batch.job_ids)

    async def pages(self, batch: Batch) -> AsyncIterator[Sequence[tuple[BatchEntry, Job | None]]]:
        """Read a batch's puzzles with their jobs, results too, a page at a time."""
        for start in range(0, len(batch.entries), PAGE):
            page = batch.entries[start : start + PAGE]
            found = await self._store.read_whole([e.job_id for e in page if e.job_id is not None])
            yield [(entry, found.get(entry.job_id or "")) for entry in page]

    async def cancel(self, batch_id: str, owner: str | None = None) -> Batch:
        """Cancel all jobs of a batch that have not ended.

        Raises: BatchNotFound.
        """
        batch = await self.get(batch_id, owner)
        arguments = [PREFIX, batch_id, self._store.limits.result_ttl_s, *batch.job_ids]
        async with explained_async(self._store.redis):
            await self._cancel(keys=[keys.batch_key(batch_id)], args=arguments)
        return await self.get(batch_id, owner)

    async def _summaries(self, batch_ids: Sequence[str]) -> Sequence[BatchSummary | None]:
        found = []
        # A script each: one for all of them would keep Redis from others for too long.
        for batch_id in batch_ids:
            async with explained_async(self._store.redis):
                reply = await self._count(keys=[keys.batch_key(batch_id)], args=[PREFIX, batch_id])
            found.append(read_summary(batch_id, reply) if reply else None)
        return found


def _number(
    new: NewBatch,
) -> tuple[tuple[BatchEntry, ...], Sequence[tuple[str, BatchJob]]]:
    """Give each puzzle that a job is to be made of the job's id."""
    entries, jobs = [], []
    for puzzle_id, puzzle in new.puzzles.items():
        if isinstance(puzzle, BatchJob):
            job_id = keys.new_id()
            entries.append(BatchEntry(puzzle_id, job_id))
            jobs.append((job_id, puzzle))
        else:
            entries.append(BatchEntry(puzzle_id, None, puzzle))
    return tuple(entries), jobs
