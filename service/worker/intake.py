"""The intake of jobs: which are claimed, and the leases of those that are held."""

import time
from collections.abc import Callable, Iterable
from threading import Condition
from typing import Any

import structlog

from service.jobs import Claims, Job
from service.wire.errors import QueueUnavailable
from service.worker.job_spans import JobSpans
from service.worker.messages import StartJob
from service.worker.metrics import WorkerMetrics

# From this attempt on a job runs isolated: it may be what crashed the attempts before.
ISOLATED_FROM_ATTEMPT = 3
# One job in so many is a batch job, as in the engine.
BATCH_EVERY = 8
CLAIM_BLOCK_S = 1.0
RECLAIMS_PER_LEASE = 5
# One to compute, and one that follows without a pause; the rest are for other workers.
MAX_SHARDS_HELD = 2
# Beside one: when it ends there is room for another, maybe of a queue that is not waited for.
SHARDS_BLOCK_S = 0.05


class Leases:
    """The jobs that a worker holds, from the claim until their end is written; thread-safe.

    Their `spans` begin and end with it.
    """

    def __init__(self, spans: JobSpans | None = None) -> None:
        self._jobs: dict[str, Job] = {}
        self._spans = spans or JobSpans()
        self._changed = Condition()  # may be entered again by the thread that holds it

    def __len__(self) -> int:
        with self._changed:
            return len(self._jobs)

    def __contains__(self, job_id: str) -> bool:
        with self._changed:
            return job_id in self._jobs

    @property
    def jobs(self) -> tuple[Job, ...]:
        """The jobs, the longest held first."""
        with self._changed:
            return tuple(self._jobs.values())

    @property
    def job_ids(self) -> tuple[str, ...]:
        """The ids of the jobs."""
        with self._changed:
            return tuple(self._jobs)

    @property
    def num_batch(self) -> int:
        """The number of batch jobs."""
        with self._changed:
            return sum(job.priority == "batch" for job in self._jobs.values())

    @property
    def num_shards(self) -> int:
        """The number of shards of divided jobs."""
        with self._changed:
            return sum(job.shard is not None for job in self._jobs.values())

    @property
    def has_isolated(self) -> bool:
        """Whether one of the jobs must run isolated."""
        with self._changed:
            return any(map(is_isolated, self._jobs.values()))

    def num_free(self, max_jobs: int) -> int:
        """Return how many more jobs may be claimed; none beside an isolated one."""
        with self._changed:
            return 0 if self.has_isolated else max(0, max_jobs - len(self._jobs))

    def add(self, job: Job) -> None:
        """Hold a job."""
        with self._changed:
            self._jobs[job.id] = job
        self._spans.begin(job)

    def discard(self, job_id: str) -> bool:
        """Hold a job no longer; return whether it was held."""
        with self._changed:
            was_held = self._jobs.pop(job_id, None) is not None
            if was_held:
                self._spans.end(job_id)
            self._changed.notify_all()
            return was_held

    def wait_until_free(self, max_jobs: int, timeout_s: float) -> None:
        """Wait until one more job may be claimed."""
        with self._changed:
            self._changed.wait_for(lambda: self.num_free(max_jobs) > 0, timeout_s)

    def wait_until_empty(self, timeout_s: float) -> bool:
        """Wait until no job is held; return whether that is so."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._jobs, timeout_s)


class Intake:
    """Claims as many jobs as there is room for, and starts them.

    Orphaned jobs go before new ones. Some of the room is kept for batch jobs, so that they never
    starve, and some for interactive jobs, which must not wait until a batch has ended.

    Nothing is claimed while the engine `is_stalled`; what was claimed as the worker `is_stopping`
    is handed back.
    """

    def __init__(
        self,
        claims: Claims,
        leases: Leases,
        metrics: WorkerMetrics,
        start: Callable[[StartJob], None],
        *,
        max_jobs: int,
        is_stalled: Callable[[], bool],
        is_stopping: Callable[[], bool],
    ) -> None:
        self._claims = claims
        self._leases = leases
        self._metrics = metrics
        self._start = start
        self._max_jobs = max_jobs
        self._is_stalled, self._is_stopping = is_stalled, is_stopping
        self._next_reclaim = 0.0
        self._num_since_batch = 0
        self._claims_one = False
        self._log: Any = structlog.get_logger(__name__)

    def take_jobs(self) -> None:
        """Claim and start jobs, waiting about a second for room or for a job.

        Raises: QueueUnavailable.
        """
        num_free = self._leases.num_free(self._max_jobs)
        if self._claims_one:
            num_free = min(1, num_free)
        if num_free == 0 or self._is_stalled():
            self._leases.wait_until_free(self._max_jobs, CLAIM_BLOCK_S)
            if self._is_stalled():
                time.sleep(CLAIM_BLOCK_S)
            return
        now, most_shards = time.monotonic(), max(0, MAX_SHARDS_HELD - self._leases.num_shards)
        if now >= self._next_reclaim:
            jobs = self._claims.reclaim(num_free, self._leases.job_ids, most_shards=most_shards)
            # Set here only: while there is no room the reclaim stays due, and comes first after.
            self._next_reclaim = now + self._claims.lease_s / RECLAIMS_PER_LEASE
            self._accept(jobs, is_reclaimed=True)
            if jobs:
                return
        block_s = SHARDS_BLOCK_S if self._leases.num_shards else CLAIM_BLOCK_S
        jobs = self._claims.claim(
            num_free,
            block_s=max(0.0, min(block_s, self._next_reclaim - now)),
            num_batch_places=self._min_batch(num_free),
            most_batch=self._max_batch(),
            most_shards=most_shards,
        )
        self._accept(jobs, is_reclaimed=False)

    def hand_back(self, job: Job, *, charge: bool, reason: str = "") -> None:
        """Put a job back into the queue; should Redis be away, its lease runs out instead."""
        try:
            self._claims.hand_back(job.id, charge=charge, reason=reason)
        except QueueUnavailable as error:
            self._log.warning("job not handed back", job_id=job.id, reason=str(error))
            return
        self._metrics.jobs_handed_back.inc()
        self._log.info("job handed back", job_id=job.id, charged=charge)

    def _accept(self, jobs: Iterable[Job], *, is_reclaimed: bool) -> None:
        """Start claimed jobs; of those to be isolated, at most one is held at a time."""
        self._claims_one = False
        for job in sorted(jobs, key=is_isolated):
            if job.id in self._leases:
                continue  # its lease ran out while Redis was away, and it still runs here
            is_batch = job.priority == "batch"
            self._num_since_batch = 0 if is_batch else self._num_since_batch + 1
            if is_reclaimed:
                self._metrics.jobs_reclaimed.inc()
            if self._is_stopping() or (is_isolated(job) and self._leases.has_isolated):
                # If it waited here, it would be charged for a crash of the isolated job before it.
                # From now on jobs are claimed one by one, until none is handed back.
                self.hand_back(job, charge=False)
                self._claims_one = True
                continue
            self._leases.add(job)
            self._log.info(
                "job claimed", job_id=job.id, attempt=job.attempts, reclaimed=is_reclaimed
            )
            self._start(StartJob(job, _local_deadline(job), is_isolated(job)))

    def _min_batch(self, num_free: int) -> int:
        """Return how many jobs to claim from batches first, also when room frees up one by one."""
        is_due = self._num_since_batch >= BATCH_EVERY - 1
        return max(num_free // BATCH_EVERY, int(is_due))

    def _max_batch(self) -> int:
        """Return how many batch jobs may be claimed, with room left for interactive ones."""
        num_kept = max(1, self._max_jobs // BATCH_EVERY) if self._max_jobs > 1 else 0
        return max(0, self._max_jobs - num_kept - self._leases.num_batch)


def is_isolated(job: Job) -> bool:
    """Return whether a job must run with no other beside it."""
    return job.attempts >= ISOLATED_FROM_ATTEMPT


def _local_deadline(job: Job) -> float | None:
    """Return a job's deadline by the monotonic clock; both ends of the interval are Redis's."""
    if job.deadline_at is None or job.started_at is None:
        return None
    return time.monotonic() + job.deadline_at - job.started_at
