"""The job layer as callers see it: submit, look up, list, cancel."""

import asyncio
import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from service.jobs import keys
from service.jobs.connection import Scripts, Submissions, connect_async, explained_async
from service.jobs.listing import Page, read_page
from service.jobs.record import Event, Job, NewJob, NewWork, event_order, pairs
from service.jobs.served import ServedStore
from service.wire.errors import (
    BatchTooLarge,
    IdempotencyConflict,
    JobNotFound,
    QueueError,
    QueueFull,
)
from service.wire.job import JobState
from service.wire.options import PRIORITIES, Priority

_LISTED = (
    *(b"owner", b"name", b"state", b"priority", b"options", b"created_ms", b"started_ms"),
    *(b"finished_ms", b"deadline_ms", b"attempts", b"worker", b"cancel", b"failure_code"),
    *(b"failure_detail", b"last_event", b"progress"),
)
_LIST_PAGE = 200
_EVENTS_PAGE = 500


@dataclass(frozen=True, slots=True)
class Submitted:
    """A job as queued, or the one that the same idempotency key queued before."""

    job: Job
    is_new: bool


@dataclass(frozen=True, slots=True)
class Depth:
    """How many jobs wait and run; `dead` used up their attempts and are still kept.

    Units: oldest_waiting_s in seconds, 0 where nothing waits.
    """

    waiting: dict[Priority, int]
    running: int
    oldest_waiting_s: dict[Priority, float]
    dead: int


class JobStore:
    """Jobs in Redis, for an event loop; `served` is what the workers serve.

    Raises: QueueUnavailable, in every method, when Redis does not answer.
    """

    def __init__(
        self,
        client: Any,
        *,
        max_queued: int = 10_000,
        result_ttl_s: int = 7 * 86_400,
        idempotency_ttl_s: int = 86_400,
        strict_durability: bool = False,
    ) -> None:
        self.redis = client
        self.result_ttl_s = result_ttl_s
        self._max_queued, self._idempotency_ttl_s = max_queued, idempotency_ttl_s
        self.scripts = Scripts(client)
        self.submissions = Submissions(client, self.scripts, is_strict=strict_durability)
        self.served = ServedStore(client)
        self._reading = asyncio.Lock()

    @classmethod
    def connect(cls, url: str, **limits: Any) -> "JobStore":
        """Make a store of the Redis at an address; it connects when first used."""
        return cls(connect_async(url), **limits)

    async def close(self) -> None:
        """Give the connections back."""
        await self.redis.aclose()

    async def submit(self, new: NewJob) -> Submitted:
        """Queue a job, once per idempotency key.

        Raises: QueueFull; IdempotencyConflict for a key that came with another body before;
        SubmissionInDoubt; NotDurable.
        """
        about, is_new, record = await self.queue(
            *("submit", new),
            [keys.new_id(), new.owner, new.priority, new.name, new.task, new.options],
        )
        return Submitted(Job.from_fields(about, pairs(record[0])), is_new)

    async def queue(
        self,
        script: str,
        new: NewWork,
        head: Sequence[Any],
        tail: Sequence[Any] = (),
        *,
        num_jobs: int = 1,
    ) -> tuple[str, bool, Sequence[Any]]:
        """Run a script that queues, with its own arguments before and after those of each.

        Returns the id of what it queued, or of what the same idempotency key queued before; whether
        it is new; and the rest of the reply.

        Raises: as `submit`; BatchTooLarge.
        """
        arguments = [
            *(*head, new.fingerprint, new.idempotency_key or ""),
            *(self._idempotency_ttl_s, self.result_ttl_s),
            *("" if new.deadline_s is None else new.deadline_s, self._max_queued),
            *("" if new.share is None else new.share, new.traceparent, *tail),
        ]
        reply = await self.submissions.run(script, arguments)
        outcome, about, rest = reply[0], reply[1].decode(), reply[2:]
        if outcome == b"conflict":
            kind = "job" if isinstance(new, NewJob) else "batch"
            raise IdempotencyConflict(
                f"idempotency key {new.idempotency_key!r} was used before with another body "
                f"({kind} {about}): send the same body again, or a new key"
            )
        if outcome in (b"full", b"share"):
            bound = min(self._max_queued, new.share or self._max_queued)
            if num_jobs > bound:
                raise BatchTooLarge(
                    f"the batch has {num_jobs} jobs, and {bound} of yours may wait at once: send "
                    "it in parts. HRM_ARC_MAX_QUEUED and HRM_ARC_MAX_QUEUE_SHARE are the bounds"
                )
            is_share = outcome == b"share"
            which = "of yours wait, your part of the queue" if is_share else "wait"
            what = "another one" if num_jobs == 1 else f"{num_jobs} more"
            raise QueueFull(
                f"{about} jobs {which}: no place for {what} now. Try again later",
                retry_after_s=await self._retry_after_s(),
                is_share=is_share,
            )
        return about, outcome == b"new", rest

    async def get(self, job_id: str, owner: str | None = None) -> Job:
        """Read a job; of another owner than the one named, none is there.

        Raises: JobNotFound.
        """
        async with explained_async(self.redis):
            fields = await self.redis.hgetall(keys.job_key(job_id))
        if not fields or (owner is not None and fields[b"owner"].decode() != owner):
            raise JobNotFound(job_id)
        return Job.from_fields(job_id, fields)

    async def has_ended(self, job_id: str) -> bool:
        """Return whether a job has ended, or is not kept; cheaper than to read it."""
        async with explained_async(self.redis):
            state = await self.redis.hget(keys.job_key(job_id), "state")
        return state is None or JobState(state.decode()).is_final

    async def list(
        self,
        owner: str,
        *,
        states: Collection[JobState] = (),
        after: str | None = None,
        limit: int = 50,
    ) -> Page[Job]:
        """List an owner's jobs, newest first, without results.

        Raises: QueueError for a cursor that no list gave out.
        """

        async def read(job_ids: Sequence[str]) -> dict[str, Job]:
            jobs = await self.read(job_ids)
            return {job.id: job for job in jobs.values() if not states or job.state in states}

        return await read_page(
            *(self.redis, keys.jobs_key(owner), read),
            after=after,
            limit=limit,
            num_at_once=_LIST_PAGE,
        )

    async def cancel(self, job_id: str, owner: str | None = None) -> Job:
        """Cancel a queued job at once, ask for it of a running one; leave an ended one alone.

        Raises: JobNotFound.
        """
        await self.get(job_id, owner)
        async with explained_async(self.redis):
            await self.scripts("cancel", job_id, self.result_ttl_s)
        return await self.get(job_id)

    async def requeue(self, job_id: str) -> Job:
        """Queue a failed job again, with all its attempts and without its deadline.

        Raises: JobNotFound; QueueError for a job that did not fail.
        """
        async with explained_async(self.redis):
            before = await self.scripts("requeue", job_id)
        if before is None:
            raise JobNotFound(job_id)
        if before != b"failed":
            raise QueueError(
                f"job {job_id} is {before.decode()}: only failed jobs can be queued again"
            )
        return await self.get(job_id)

    async def dead(self, limit: int = 100) -> tuple[Job, ...]:
        """List jobs that used up their attempts, the latest first."""
        async with explained_async(self.redis):
            members = await self.redis.zrevrange(keys.DEAD, 0, limit - 1)
            jobs = await self.read([member.decode() for member in members])
            gone = [member for member in members if member.decode() not in jobs]
            if gone:
                await self.redis.zrem(keys.DEAD, *gone)
        return tuple(jobs.values())

    async def events_since(self, job_id: str, event_id: str) -> tuple[Event, ...] | None:
        """Read a job's events after one; None when that one is older than what is kept.

        Raises: QueueError for an id that is none of an event.
        """
        after = event_order(event_id)
        async with explained_async(self.redis):
            pipeline = self.redis.pipeline(transaction=False)
            pipeline.hget(keys.job_key(job_id), "last_event")
            pipeline.xrange(keys.EVENTS, count=1)
            last, oldest = await pipeline.execute()
            if last is None or event_order(last.decode()) <= after:
                return ()
            if not oldest or event_order(oldest[0][0].decode()) > after:
                return None
            return await self._read_events(job_id, event_id, last.decode())

    async def depth(self) -> Depth:
        """Count what waits and runs."""
        waiting: dict[Priority, int] = {}
        oldest: dict[Priority, float] = {}
        num_running = 0
        async with explained_async(self.redis):
            seconds, microseconds = await self.redis.time()
            now = seconds + microseconds / 1e6
            for priority in PRIORITIES:
                queue = keys.queue_key(priority)
                length = await self.redis.xlen(queue)
                groups = await self.redis.xinfo_groups(queue) if length else []
                pending = sum(group["pending"] for group in groups)
                delivered = groups[0]["last-delivered-id"].decode() if groups else "0-0"
                first = await self.redis.xrange(queue, min=f"({delivered}", count=1)
                waiting[priority] = max(0, length - pending)
                num_running += pending
                age = now - event_order(first[0][0].decode())[0] / 1000 if first else 0.0
                oldest[priority] = max(0.0, age)
            num_running += await self.redis.scard(keys.DIVIDED)
            num_dead = int(await self.redis.zcard(keys.DEAD))
        return Depth(waiting, num_running, oldest, num_dead)

    async def read_listed(self, job_ids: Sequence[str]) -> dict[str, Job]:
        """Read jobs as lists show them, without results; those that are not kept are left out."""
        found = {}
        for start in range(0, len(job_ids), _LIST_PAGE):
            found.update(await self.read(job_ids[start : start + _LIST_PAGE]))
        return found

    async def read(self, job_ids: Sequence[str], *, is_whole: bool = False) -> dict[str, Job]:
        """Read those of the jobs that are kept, unless whole without task and result."""
        async with explained_async(self.redis):
            pipeline = self.redis.pipeline(transaction=False)
            for job_id in job_ids:
                if is_whole:
                    pipeline.hgetall(keys.job_key(job_id))
                else:
                    pipeline.hmget(keys.job_key(job_id), _LISTED)
            rows = await pipeline.execute()
        found = {}
        for job_id, row in zip(job_ids, rows, strict=True):
            entries = row.items() if is_whole else zip(_LISTED, row, strict=True)
            fields = {name: value for name, value in entries if value is not None}
            if b"state" in fields:
                found[job_id] = Job.from_fields(job_id, fields)
        return found

    async def _read_events(self, job_id: str, after: str, last: str) -> tuple[Event, ...]:
        """Read a job's events after one up to its last, from among those of all jobs."""
        found: list[Event] = []
        while after:
            # A page at a time in the whole process, so that Redis and its connections stay free
            # for others however many ask.
            async with self._reading:
                following, entries = await self.scripts("events", job_id, after, last, _EVENTS_PAGE)
            found += (Event.from_fields(entry_id, pairs(flat)) for entry_id, flat in entries)
            after = following.decode()
        return tuple(found)

    async def _retry_after_s(self) -> int:
        """Seconds until a place may be free, judging by how long the oldest waiting job has."""
        depth = await self.depth()
        num_waiting = max(1, sum(depth.waiting.values()))
        return max(1, math.ceil(max(depth.oldest_waiting_s.values()) / num_waiting))
