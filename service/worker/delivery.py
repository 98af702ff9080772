"""Brings what the engine has to tell to Redis, also when Redis is away for a while."""

from collections.abc import Callable
from queue import SimpleQueue
from threading import Event, Lock, Thread
from typing import Any

import structlog

from service.errors import QueueUnavailable
from service.jobs import Claims
from service.worker.backoff import Backoff
from service.worker.leases import Leases
from service.worker.messages import Cancelled, End, Failed, Progressed, Succeeded
from service.worker.metrics import WorkerMetrics


class Delivery:
    """A thread that writes ends, each until it is written, and progress, when that is possible.

    A thread of its own: the main one waits in Redis for new jobs, and results shall not.
    """

    def __init__(self, claims: Claims, leases: Leases, metrics: WorkerMetrics) -> None:
        self._claims = claims
        self._leases = leases
        self._metrics = metrics
        # A job's id stands for its latest progress; None ends the thread.
        self._queue: SimpleQueue[End | str | None] = SimpleQueue()
        self._progress: dict[str, bytes] = {}
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

    def put(self, message: End | Progressed) -> None:
        """Hand something over, from any thread; of a job's progress only the latest is kept."""
        if not isinstance(message, Progressed):
            self._queue.put(message)
            return
        with self._lock:
            is_new = message.job_id not in self._progress
            self._progress[message.job_id] = message.data
        if is_new:
            self._queue.put(message.job_id)

    def close(self, timeout_s: float) -> bool:
        """Write what was handed over and end; False when there was no time for all of it."""
        self._queue.put(None)
        self._thread.join(timeout_s)
        self._gives_up.set()
        return not self._thread.is_alive()

    def _run(self) -> None:
        while (message := self._queue.get()) is not None:
            if isinstance(message, str):
                self._write_progress(message)
            else:
                self._write_end(message)

    def _write_progress(self, job_id: str) -> None:
        with self._lock:
            data = self._progress.pop(job_id, None)
        if data is not None and job_id in self._leases:
            try:
                self._claims.progress(job_id, data)
            except QueueUnavailable:
                return  # there will be newer progress, or the end

    def _write_end(self, end: End) -> None:
        with self._lock:
            self._progress.pop(end.job_id, None)
        name, write = self._writing(end)
        backoff = Backoff()
        while not self._gives_up.is_set():
            try:
                is_first = write()
            except QueueUnavailable as error:
                wait_s = backoff.next_s()
                self._log.warning(
                    "the end of a job waits for Redis",
                    job_id=end.job_id,
                    reason=str(error),
                    seconds=round(wait_s, 2),
                )
                self._gives_up.wait(wait_s)
                continue
            claim = self._leases.discard(end.job_id)
            self._metrics.requests_running.set(len(self._leases))
            # False: another worker was faster, or the job was ended meanwhile.
            self._metrics.jobs_ended.labels(name if is_first else "superseded").inc()
            if claim is not None and is_first and isinstance(end, Succeeded):
                self._metrics.e2e_latency.observe(end.total_s)
            return

    def _writing(self, end: End) -> tuple[str, Callable[[], bool]]:
        match end:
            case Succeeded(job_id, result, _):
                return "succeeded", lambda: self._claims.succeed(job_id, result)
            case Failed(job_id, failure):
                return failure.code, lambda: self._claims.fail(job_id, failure)
            case Cancelled(job_id):
                return "cancelled", lambda: self._claims.cancelled(job_id)
