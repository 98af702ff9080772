"""The delivery of the engine loop's events to Redis, which may be away for a while."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from queue import SimpleQueue
from threading import Event, Lock, Thread
from typing import Any, TypeVar

import structlog

from service.jobs import Claims
from service.runtime.timing import Backoff
from service.wire.errors import QueueUnavailable
from service.worker.intake import Leases
from service.worker.messages import (
    Change,
    Changed,
    Divided,
    Failed,
    Progressed,
    Succeeded,
    Voted,
    WorkerEvent,
)
from service.worker.metrics import WorkerMetrics
from service.worker.shards import judge

T = TypeVar("T")


# Written whatever happens, unlike progress.
Written = Changed | Succeeded | Failed | Divided | Voted


@dataclass(slots=True, eq=False)
class _Latest:
    """The latest progress of a job; its position in the queue is that of the first unwritten."""

    job_id: str
    data: bytes


class Delivery(Thread):
    """A thread that writes events in their order: each until it is written, progress if possible.

    Separate from the main thread, which waits in Redis for new jobs while results must not wait.
    """

    def __init__(self, claims: Claims, leases: Leases, metrics: WorkerMetrics) -> None:
        super().__init__(name="delivery", daemon=True)
        self._claims = claims
        self._leases = leases
        self._metrics = metrics
        # None ends the thread.
        self._queue: SimpleQueue[_Latest | Written | None] = SimpleQueue()
        self._progress: dict[str, _Latest] = {}
        self._lock = Lock()
        self._gives_up = Event()
        self._log: Any = structlog.get_logger(__name__)

    def put(self, event: WorkerEvent) -> None:
        """Queue an event, from any thread; only the latest unwritten progress of a job is kept."""
        with self._lock:
            if not isinstance(event, Progressed):
                # Later progress is written after this event, and not in place of earlier progress.
                self._progress.pop(event.job_id, None)
                self._queue.put(event)
            elif (latest := self._progress.get(event.job_id)) is not None:
                latest.data = event.data
            else:
                latest = self._progress[event.job_id] = _Latest(event.job_id, event.data)
                self._queue.put(latest)

    def close(self, timeout_s: float) -> None:
        """Write what is queued and end, or give up after a while."""
        self._queue.put(None)
        self.join(timeout_s)
        self._gives_up.set()

    def run(self) -> None:
        """Write events until the delivery is closed."""
        claims = self._claims
        while (event := self._queue.get()) is not None:
            match event:
                case _Latest():
                    self._write_progress(event)
                case Changed(job_id, Change.RELEASED):
                    self._release(job_id)
                case Changed(job_id, Change.CANCELLED):
                    self._write_end(job_id, "cancelled", partial(claims.cancelled, job_id))
                case Changed(job_id, change):
                    self._write_change(job_id, change)
                case Divided():
                    self._divide(event)
                case Voted():
                    self._count_votes(event)
                case Failed(job_id, failure):
                    self._write_end(job_id, failure.code, partial(claims.fail, job_id, failure))
                case Succeeded(job_id, result, total_s):
                    write = partial(claims.succeed, job_id, result)
                    if self._write_end(job_id, "succeeded", write):
                        self._metrics.e2e_latency.observe(total_s)

    def _write_progress(self, latest: _Latest) -> None:
        job_id = latest.job_id
        with self._lock:
            if self._progress.get(job_id) is latest:
                del self._progress[job_id]
        if job_id in self._leases:
            try:
                self._claims.progress(job_id, latest.data)
            except QueueUnavailable:
                return  # newer progress follows, or the end

    def _write_change(self, job_id: str, change: Change) -> None:
        write = {
            Change.ADAPTING: self._claims.adapts,
            Change.RUNNING: self._claims.runs,
            Change.ADVANCED: self._claims.forgive,
        }[change]
        self._retry(job_id, lambda: job_id not in self._leases or write(job_id))

    def _release(self, job_id: str) -> None:
        # Discarded first: were this worker to claim the job again before, it would take the job
        # for one that still runs here, and then drop it.
        self._leases.discard(job_id)
        if self._retry(job_id, lambda: self._claims.hand_back(job_id, charge=False)):
            self._metrics.jobs_handed_back.inc()
            self._log.info("job handed back", job_id=job_id, charged=False)

    def _divide(self, event: Divided) -> None:
        self._leases.discard(event.job_id)  # first, as in _release
        arguments = (event.checkpoint_sha256, event.parts, event.num_variants, event.progress)
        split = partial(self._claims.shards.split, event.job_id, *arguments)
        if self._retry(event.job_id, split):
            self._log.info("job divided", job_id=event.job_id, shards=len(event.parts))

    def _count_votes(self, event: Voted) -> None:
        """Count a shard's votes; if this worker dies after, the next shard settles the vote."""
        shards, job_id, shard = self._claims.shards, event.job_id, event.shard
        counted = self._retry(job_id, lambda: shards.count(job_id, shard, event.votes))
        self._leases.discard(job_id)
        if counted:
            report, is_decided = judge(event, counted)
            self._retry(job_id, lambda: shards.settle(job_id, shard, report, is_decided=is_decided))

    def _write_end(self, job_id: str, name: str, write: Callable[[], bool]) -> bool:
        """Write the end of a job that is held; return whether it is the end that counts."""
        is_first = self._retry(job_id, write)
        if is_first is None:
            return False
        was_held = self._leases.discard(job_id)
        # False: another worker was faster, or the job was ended meanwhile.
        self._metrics.jobs_ended.labels(name if is_first else "superseded").inc()
        return was_held and is_first

    def _retry(self, job_id: str, write: Callable[[], T]) -> T | None:
        """Write until Redis answers; return its answer, or None once the thread gives up."""
        backoff = Backoff()
        while not self._gives_up.is_set():
            try:
                return write()
            except QueueUnavailable as error:
                pause_s = backoff.next_s()
                self._log.warning(
                    "an event waits for Redis",
                    job_id=job_id,
                    reason=str(error),
                    seconds=round(pause_s, 2),
                )
                self._gives_up.wait(pause_s)
        return None
