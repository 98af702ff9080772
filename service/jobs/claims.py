"""The job layer as a worker sees it: claim, renew, report, finish."""

import time
from collections import Counter, deque
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from service.jobs import keys
from service.jobs.connection import Scripts, connect, explained
from service.jobs.group import Consumer, Entries
from service.jobs.record import Job, Shard, entry_job_id, pairs
from service.jobs.registration import Registration, publish_puzzles, register
from service.jobs.served import WorkerRecord
from service.jobs.shards import Shards
from service.jobs.upkeep import eviction_policy, sweep
from service.wire.checkpoint import KnownPuzzle
from service.wire.errors import QueueUnavailable
from service.wire.job import Failure, JobState
from service.wire.options import PRIORITIES, Priority

# Each look at the shards of a checkpoint is a command. After one that found none, a worker that
# claims jobs all the time looks again so much later.
_SHARDS_EVERY_S = 0.02


@dataclass(frozen=True, slots=True)
class Renewal:
    """What renewing leases found.

    `lost`: jobs that are another worker's by now. `gone`: jobs that no worker has, since they have
    ended, wait again or are not kept. `cancelled`: jobs to be cancelled.
    """

    lost: frozenset[str]
    gone: frozenset[str]
    cancelled: frozenset[str]


class Claims:
    """Jobs in Redis, for a worker's threads. Every method may be called from any of them.

    Raises, everywhere: QueueUnavailable while Redis is away.
    """

    def __init__(
        self,
        url: str,
        *,
        worker_id: str,
        lease_s: float = 12.0,
        max_attempts: int = 5,
        result_ttl_s: int = 7 * 86_400,
        max_ended: int = 50_000,
    ) -> None:
        self.worker_id = worker_id
        self.lease_s = lease_s
        self._max_attempts = max_attempts
        self._result_ttl_s, self._max_ended = result_ttl_s, max_ended
        self._redis = connect(url)
        self._scripts = Scripts(self._redis)
        self._consumer = Consumer(self._redis, self._scripts, worker_id)
        self.shards = Shards(self._run, worker_id, result_ttl_s)
        # In turn, so that the shards of no checkpoint starve; of none until `serve`.
        self._shard_priorities: deque[str] = deque()
        self._next_shards = 0.0  # by the monotonic clock
        self._are_empty = False  # all queues, after the last look
        self._cancels_position: bytes | None = None

    def close(self) -> None:
        """Give the connections back."""
        self._redis.close()

    def serve(self, checkpoints: Iterable[str]) -> None:
        """Take shards from now on of jobs that these checkpoints answer, given by hash."""
        self._shard_priorities = deque(map(keys.shard_priority, sorted(set(checkpoints))))

    def claim(
        self,
        num_places: int,
        block_s: float,
        *,
        num_batch_places: int = 0,
        most_batch: int | None = None,
        most_shards: int = 0,
    ) -> list[Job]:
        """Take waiting jobs, interactive ones first; wait for one when there is none.

        Up to `most_shards` shards go before them, since their jobs have begun. `num_batch_places`
        of the places go to batch jobs first, so that these never starve, and `most_batch` at the
        most, so that they leave some to interactive jobs that are to come. Jobs past their deadline
        or out of attempts are ended on the way.
        """
        jobs: list[Job] = []
        most_shards = min(most_shards, num_places)
        most_batch = num_places if most_batch is None else min(most_batch, num_places)
        self._claim_shards(most_shards, jobs)
        may_wait = not jobs and num_places > 0 and block_s > 0
        # COUNT is per stream, so with one place left only one stream can be waited for.
        waited = PRIORITIES if num_places > 1 and most_batch > 0 else PRIORITIES[:1]
        # Queues that were empty at the last look usually still are: wait without reading each.
        looks = not (self._are_empty and may_wait and waited == PRIORITIES)
        self._are_empty = False
        first = min(num_batch_places, most_batch)
        shares: tuple[tuple[Priority, int], ...] = (
            ("batch", first),
            ("interactive", num_places),
            ("batch", most_batch - first),
        )
        with self._keeping(jobs):
            for priority, share in shares if looks else ():
                num = min(share, num_places - len(jobs))
                if num > 0:
                    self._start_all(self._consumer.read((priority,), num, None), jobs)
            if may_wait and not jobs:
                shards = tuple(self._shard_priorities)[: min(most_shards, num_places - len(waited))]
                num = num_places // len((*waited, *shards))
                if waited == PRIORITIES:
                    num = min(num, most_batch)
                if shards:
                    num = min(num, most_shards // len(shards))
                entries = self._consumer.read((*waited, *shards), num, block_s)
                found = Counter(priority for priority, *_ in entries)
                self._are_empty = max(found.values(), default=0) < num
                self._start_all(entries, jobs)
        return jobs

    def _claim_shards(self, most: int, jobs: list[Job]) -> None:
        """Take up to `most` shards, one of each checkpoint in turn."""
        self._shard_priorities.rotate(-1)
        now = time.monotonic()
        if not most or now < self._next_shards:
            return
        with self._keeping(jobs):
            for priority in self._shard_priorities:  # usually only one of them has shards
                if len(jobs) < most:
                    self._start_all(self._consumer.read((priority,), 1, None), jobs)
        self._next_shards = now if jobs else now + _SHARDS_EVERY_S

    def reclaim(
        self, num_places: int, held: Collection[str] = (), *, most_shards: int = 0
    ) -> list[Job]:
        """Take over jobs, and up to `most_shards` shards, of workers that have not renewed a lease.

        Of the jobs `held`, which this worker works on, the leases are renewed, and no attempt is
        charged: they are not among those returned.
        """
        jobs: list[Job] = []
        with self._keeping(jobs):
            for priority in (*self._shard_priorities, *PRIORITIES):
                limit = num_places
                if priority not in PRIORITIES:
                    limit = min(limit, most_shards)
                start = b"0-0"
                while len(jobs) < limit:
                    start, entries = self._consumer.take_over(
                        priority, self.lease_s, start, limit - len(jobs)
                    )
                    self._start_all(entries, jobs, held)
                    if start == b"0-0":
                        break
        return jobs

    def renew(self, job_ids: Collection[str]) -> Renewal:
        """Keep jobs for another lease."""
        ordered = list(job_ids)
        if not ordered:
            return Renewal(frozenset(), frozenset(), frozenset())
        verdicts = self._run("renew", self.worker_id, *ordered)
        by_verdict: dict[bytes, set[str]] = {}
        for job_id, verdict in zip(ordered, verdicts, strict=True):
            by_verdict.setdefault(verdict, set()).add(job_id)
        return Renewal(
            lost=frozenset(by_verdict.get(b"lost", ())),
            gone=frozenset(by_verdict.get(b"gone", ())),
            cancelled=frozenset(by_verdict.get(b"cancelled", ())),
        )

    def listen(self, block_s: float) -> frozenset[str]:
        """Wait for requests to cancel jobs, of any worker. For one thread only."""
        with explained(self._redis):
            if self._cancels_position is None:
                newest = self._redis.xrevrange(keys.CANCELS, count=1)
                self._cancels_position = newest[0][0] if newest else b"0-0"
            reply = self._redis.xread(
                {keys.CANCELS: self._cancels_position}, block=max(1, int(block_s * 1000))
            )
        found = set()
        for _, entries in reply or ():
            for entry_id, fields in entries:
                self._cancels_position = entry_id
                found.add(entry_job_id(fields))
        return frozenset(found)

    def progress(self, job_id: str, data: bytes) -> None:
        """Report how far a job is, as a JSON document."""
        self._run("progress", self.worker_id, job_id, data)

    def adapts(self, job_id: str) -> bool:
        """Report that a checkpoint is adapted for a job now; False when it is no longer this one's.

        Its progress until now is dropped. Reporting it again changes nothing.
        """
        return bool(self._run("turn", self.worker_id, job_id, JobState.ADAPTING.value))

    def runs(self, job_id: str) -> bool:
        """Report that a job is solved now, adapting being over; as `adapts` otherwise."""
        return bool(self._run("turn", self.worker_id, job_id, JobState.RUNNING.value))

    def forgive(self, job_id: str) -> bool:
        """Count this attempt as the first; False when the job is no longer this worker's.

        For work that the next attempt goes on from: however often its worker is killed, such a job
        gets nearer to its end.
        """
        return bool(self._run("forgive", self.worker_id, job_id))

    def succeed(self, job_id: str, result: bytes) -> bool:
        """Write a job's result; False when it has ended already."""
        return bool(self._run("succeed", self.worker_id, job_id, result, self._result_ttl_s))

    def fail(self, job_id: str, failure: Failure) -> bool:
        """End a job as failed; False when it is no longer this worker's."""
        return self._end(job_id, "failed", failure.code, failure.detail)

    def cancelled(self, job_id: str) -> bool:
        """End a job as cancelled; False when it is no longer this worker's."""
        return self._end(job_id, "cancelled", "", "")

    def hand_back(self, job_id: str, *, charge: bool, reason: str = "") -> bool:
        """Put a job back into the queue; False when it is no longer this worker's.

        Uncharged, the attempt does not count. The reason is reported should attempts run out.
        """
        charged = "1" if charge else "0"
        arguments = (self.worker_id, job_id, charged, reason, self._result_ttl_s)
        return bool(self._run("hand_back", *arguments))

    def register(self, record: WorkerRecord) -> Registration:
        """Report that this worker lives; it counts as gone when this stops."""
        with explained(self._redis):
            return register(self._redis, record)

    def publish_puzzles(self, sha256: str, puzzles: Iterable[KnownPuzzle]) -> None:
        """Publish which puzzles a checkpoint has rows for."""
        with explained(self._redis):
            publish_puzzles(self._redis, sha256, puzzles)

    def removed_adapted(self) -> dict[str, float]:
        """List the adapted checkpoints asked to be removed within the last hour, and when.

        Units: seconds since 1970 by the clock of Redis.
        """
        with explained(self._redis):
            since = self._redis.time()[0] - keys.REQUESTS_KEPT_S
            entries = self._redis.zrangebyscore(
                keys.ADAPTED_REMOVED, since, "+inf", withscores=True
            )
        return {member.decode(): when for member, when in entries}

    def sweep(self) -> None:
        """Do what is due for the jobs of all workers; to be called every few seconds."""
        sweep(
            self._run,
            PRIORITIES,
            tuple(self._shard_priorities),
            result_ttl_s=self._result_ttl_s,
            max_ended=self._max_ended,
        )

    def eviction_policy(self) -> str | None:
        """Return by which rule Redis removes keys when memory is full; None where it does not."""
        with explained(self._redis):
            return eviction_policy(self._redis.info("memory"))

    def reload_requested_at(self) -> float:
        """Return when the workers were asked last to reload their checkpoints; 0: not of late.

        Units: seconds since 1970 by the clock of Redis.
        """
        with explained(self._redis):
            return float(self._redis.get(keys.RELOAD) or 0.0)

    def leave(self) -> None:
        """Report that this worker ends; its unfinished jobs are handed back before."""
        with explained(self._redis):
            self._redis.zrem(keys.WORKERS, self.worker_id)
            self._redis.delete(keys.worker_key(self.worker_id))
            self._consumer.leave((*PRIORITIES, *self._shard_priorities))

    def _end(self, job_id: str, state: str, code: str, detail: str) -> bool:
        arguments = (self.worker_id, job_id, state, code, detail, self._result_ttl_s)
        return bool(self._run("end", *arguments))

    @contextmanager
    def _keeping(self, jobs: Collection[Job]) -> Iterator[None]:
        """Raise QueueUnavailable unless jobs were started before: they would run nowhere.

        The entries that were read but not started are taken over once their lease has run out.
        """
        try:
            with explained(self._redis):
                yield
        except QueueUnavailable:
            if not jobs:
                raise

    def _start_all(self, entries: Entries, jobs: list[Job], held: Collection[str] = ()) -> None:
        """Start delivered entries, and add the jobs that are to be run."""
        for priority, entry_id, fields in entries:
            if not fields:
                continue  # deleted while pending: the server has dropped it
            job_id = entry_job_id(fields)
            verdict, *record = self._run(
                *("start", self.worker_id, priority, entry_id, job_id),
                *(self._max_attempts, self._result_ttl_s, int(job_id in held)),
            )
            if verdict == b"run":
                fields, counts = map(pairs, record)
                job = Job.from_fields(job_id, fields)
                if keys.is_shard(job_id):
                    job = replace(job, shard=Shard.from_fields(fields, counts))
                jobs.append(job)

    def _run(self, name: str, *arguments: Any) -> Any:
        with explained(self._redis):
            return self._scripts(name, *arguments)
