"""Brings what the engine has to tell to Redis, also when Redis is away for a while."""

from collections.abc import Callable
from dataclasses import dataclass
from queue import SimpleQueue
from threading import Event, Lock, Thread
from typing import Any

import structlog

from service.jobs import Claims
from service.runtime.timing import Backoff
from service.wire.errors import QueueUnavailable
from service.worker.leases import Leases
from service.worker.messages import (
    Adapts,
    Advanced,
    Cancelled,
    Change,
    Ended,
    Failed,
    Progressed,
    Released,
    Runs,
    Succeeded,
    Told,
)
from service.worker.metrics import WorkerMetrics


@dataclass(slots=True, eq=False)
class _Latest:
    """A job's latest progress, at the place in the queue where the first of it was put."""

    job_id: str
    data: bytes


class Delivery:
    """A thread that writes ends and changes, each until it is written, and progress where it can.

    A thread of its own: the main one waits in Redis for new jobs, and results shall not.
    """

    def __init__(self, claims: Claims, leases: Leases, metrics: WorkerMetrics) -> None:
        self._claims = claims
        self._leases = leases
        self._metrics = metrics
        # None ends the thread.
        self._queue: SimpleQueue[_Latest | Change | Ended | Released | None] = SimpleQueue()
        self._progress: dict[str, _Latest] = {}
        self._lock = Lock()
        self._gives_up = Event()
        self._log: Any = structlog.get_logger(__name__)
        self._thread = Thread(target=self._run, name="delivery", daemon=True)

    @property
    def is_alive(self) -> bool:
        """Whether the thread goes on."""
        return self._thread.is_alive()

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def put(self, message: Told) -> None:
        """Hand something over, from any thread; of a job's progress only the latest is kept."""
        with self._lock:
            if not isinstance(message, Progressed):
                # Progress that comes after this is written after it, never in place of older.
                self._progress.pop(message.job_id, None)
                self._queue.put(message)
            elif (latest := self._progress.get(message.job_id)) is not None:
                latest.data = message.data
            else:
                latest = self._progress[message.job_id] = _Latest(message.job_id, message.data)
                self._queue.put(latest)

    def close(self, timeout_s: float) -> bool:
        """Write what was handed over and end; False when there was no time for all of it."""
        self._queue.put(None)
        self._thread.join(timeout_s)
        self._gives_up.set()
        return not self._thread.is_alive()

    def _run(self) -> None:
        while (message := self._queue.get()) is not None:
            match message:
                case _Latest():
                    self._write_progress(message)
                case Adapts() | Runs() | Advanced():
                    self._write_change(message)
                case Released(job_id):
                    self._release(job_id)
                case Succeeded() | Failed() | Cancelled():
                    self._write_end(message)

    def _write_progress(self, latest: _Latest) -> None:
        job_id = latest.job_id
        with self._lock:
            if self._progress.get(job_id) is latest:
                del self._progress[job_id]
        if job_id in self._leases:
            try:
                self._claims.progress(job_id, latest.data)
            except QueueUnavailable:
                return  # there will be newer progress, or the end

    def _write_change(self, change: Change) -> None:
        job_id = change.job_id
        self._until_written(
            job_id, lambda: job_id not in self._leases or self._writing_change(change)
        )

    def _writing_change(self, change: Change) -> bool:
        match change:
            case Adapts(job_id):
                return self._claims.adapts(job_id)
            case Runs(job_id):
                return self._claims.runs(job_id)
            case Advanced(job_id):
                return self._claims.forgive(job_id)

    def _release(self, job_id: str) -> None:
        # Before it can be claimed again: were it by this worker, it would be taken for running
        # here, and forgotten afterwards.
        self._leases.discard(job_id)
        self._metrics.requests_running.set(len(self._leases))
        if self._until_written(job_id, lambda: self._claims.hand_back(job_id, charge=False)):
            self._metrics.jobs_handed_back.inc()
            self._log.info("job handed back", job_id=job_id, charged=False)

    def _write_end(self, end: Ended) -> None:
        name, write = self._writing_end(end)
        is_first = self._until_written(end.job_id, write)
        if is_first is None:
            return
        claim = self._leases.discard(end.job_id)
        self._metrics.requests_running.set(len(self._leases))
        # False: another worker was faster, or the job was ended meanwhile.
        self._metrics.jobs_ended.labels(name if is_first else "superseded").inc()
        if claim is not None and is_first and isinstance(end, Succeeded):
            self._metrics.e2e_latency.observe(end.total_s)

    def _until_written(self, job_id: str, write: Callable[[], bool]) -> bool | None:
        """Try until Redis has answered; gives its answer, None when there was no time for one."""
        backoff = Backoff()
        while not self._gives_up.is_set():
            try:
                return write()
            except QueueUnavailable as error:
                wait_s = backoff.next_s()
                self._log.warning(
                    "news of a job waits for Redis",
                    job_id=job_id,
                    reason=str(error),
                    seconds=round(wait_s, 2),
                )
                self._gives_up.wait(wait_s)
        return None

    def _writing_end(self, end: Ended) -> tuple[str, Callable[[], bool]]:
        match end:
            case Succeeded(job_id, result, _):
                return "succeeded", lambda: self._claims.succeed(job_id, result)
            case Failed(job_id, failure):
                return failure.code, lambda: self._claims.fail(job_id, failure)
            case Cancelled(job_id):
                return "cancelled", lambda: self._claims.cancelled(job_id)
