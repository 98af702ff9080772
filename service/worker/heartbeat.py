"""The heartbeat, which keeps the leases of a worker's jobs, and the watchdog that can stop it."""

import time
from collections import deque
from collections.abc import Callable, Collection
from statistics import median
from threading import Event, Thread
from typing import Any

import structlog

from hrm_core import Engine, Outcome
from service.jobs import Claims, WorkerRecord, is_shard
from service.wire.errors import QueueUnavailable
from service.worker.intake import Leases
from service.worker.messages import EngineCommand, ReloadCheckpoints, RemoveAdapted, StopJob

BEAT_EVERY_S = 1.0
STALLED_AFTER_S = 60.0
STALLED_AFTER_STEPS = 10.0
_NUM_STEPS_KEPT = 101


class Watchdog:
    """Detects an engine that has work but takes no steps.

    Written by the engine loop, read by other threads.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._expected_since: float | None = None
        self._steps_s: deque[float] = deque(maxlen=_NUM_STEPS_KEPT)
        self._allowed_s = STALLED_AFTER_S

    def expect_step(self) -> None:
        """Expect a step from now on, unless one is expected already."""
        if self._expected_since is None:
            self._expected_since = self._clock()

    def watch_step(self, engine: Engine) -> tuple[list[Outcome], float]:
        """Watch an engine take a step; return its outcomes, and how long it took in seconds."""
        if engine.is_cold:  # it ran out of memory, and compiles again for fewer slots
            self.pause()
            engine.warm_up()
            self.expect_step()
        started = time.monotonic()
        outcomes = engine.step()
        step_s = time.monotonic() - started
        self.note_step(step_s)
        return outcomes, step_s

    def note_step(self, step_s: float) -> None:
        """Note that a step was taken, and expect the next one."""
        self._steps_s.append(step_s)
        # Here, because a reader in another thread must not iterate over a deque that changes.
        self._allowed_s = max(STALLED_AFTER_S, STALLED_AFTER_STEPS * median(self._steps_s))
        self._expected_since = self._clock()

    def note_training(self, wait_s: float = 0.0) -> None:
        """Note that a slice of training was done in place of a step.

        Units: `wait_s`, how much longer the next may take because it waits for other workers.
        """
        self._expected_since = self._clock() + wait_s

    def pause(self) -> None:
        """Expect no step: there is no work, or a checkpoint is being loaded or compiled."""
        self._expected_since = None

    @property
    def stalled_s(self) -> float:
        """Seconds beyond the time that a step may take; 0 while the engine works."""
        expected_since = self._expected_since
        if expected_since is None:
            return 0.0
        return max(0.0, self._clock() - expected_since - self._allowed_s)

    @property
    def is_stalled(self) -> bool:
        """Whether a step is overdue."""
        return self.stalled_s > 0


class Heartbeat(Thread):
    """Renews leases and registers the worker each second, and listens for cancellations.

    `send` takes commands for the engine loop: one for each removal of an adapted checkpoint and for
    each request to reload checkpoints, at the start for those of the last hour. `on_unpublished`
    gets the hashes of checkpoints without a list of puzzles in Redis.

    While `is_stalled`, no lease is renewed, so that other workers take the jobs over.
    """

    def __init__(
        self,
        claims: Claims,
        leases: Leases,
        *,
        record: Callable[[], WorkerRecord],
        is_stalled: Callable[[], bool],
        send: Callable[[EngineCommand], None],
        on_lost: Callable[[str], None],
        on_gone: Callable[[str], None],
        on_unpublished: Callable[[Collection[str]], None],
    ) -> None:
        super().__init__(name="heartbeat", daemon=True)
        self._claims = claims
        self._leases = leases
        self._record = record
        self._is_stalled = is_stalled
        self._send = send
        self._on_lost = on_lost
        self._on_gone = on_gone
        self._on_unpublished = on_unpublished
        self._removals: dict[str, float] = {}
        self._num_ready: dict[str, int] = {}
        self._reloaded_at = 0.0
        self._stopping = Event()
        self._is_disconnected = False
        self._log: Any = structlog.get_logger(__name__)

    def stop(self, timeout_s: float) -> None:
        """Stop renewing leases, and wait for the thread."""
        self._stopping.set()
        self.join(timeout_s)

    def num_ready(self, checkpoint_sha256: str) -> int:
        """Return how many workers were ready at the last beat to answer with a checkpoint."""
        return self._num_ready.get(checkpoint_sha256, 0)

    def run(self) -> None:
        """Beat until stopped."""
        while not self._stopping.is_set():
            due = time.monotonic() + BEAT_EVERY_S
            try:
                self._beat()
                self._listen(due)
            except QueueUnavailable as error:
                if not self._is_disconnected:
                    self._log.warning("Redis is away; work goes on", reason=str(error))
                self._is_disconnected = True
                self._stopping.wait(BEAT_EVERY_S / 4)
            else:
                if self._is_disconnected:
                    self._log.info("Redis is back")
                self._is_disconnected = False

    def _beat(self) -> None:
        if not self._is_stalled():
            renewal = self._claims.renew(self._leases.job_ids)
            for job_id in renewal.lost:
                # A job that ended between the two calls is no longer among the leases.
                if job_id in self._leases:
                    self._on_lost(job_id)
            for job_id in renewal.gone:
                if job_id in self._leases:
                    self._on_gone(job_id)
            for job_id in renewal.cancelled:
                self._send(StopJob(job_id))
        self._forward_requests()
        found = self._claims.register(self._record())
        self._num_ready = found.num_ready
        if found.unpublished:
            self._on_unpublished(found.unpublished)

    def _forward_requests(self) -> None:
        before, self._removals = self._removals, self._claims.removed_adapted()
        for entry_id, requested_at in self._removals.items():
            if before.get(entry_id) != requested_at:
                self._send(RemoveAdapted(entry_id, requested_at))
        requested_at = self._claims.reload_requested_at()
        if requested_at > self._reloaded_at:
            self._reloaded_at = requested_at
            self._send(ReloadCheckpoints(requested_at))

    def _listen(self, due: float) -> None:
        while not self._stopping.is_set() and (left_s := due - time.monotonic()) > 0:
            for job_id in self._claims.listen(left_s):
                if job_id not in self._leases:
                    continue
                if is_shard(job_id):  # its job is over by now, or its vote
                    self._on_lost(job_id)
                else:
                    self._send(StopJob(job_id))
