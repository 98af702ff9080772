"""The thread that keeps a worker's jobs its own, and hears which of them are to be cancelled."""

import time
from collections.abc import Callable, Collection
from threading import Event, Thread
from typing import Any

import structlog

from service.jobs import Claims, WorkerRecord
from service.wire.errors import QueueUnavailable
from service.worker.leases import Leases

BEAT_EVERY_S = 1.0


class Heartbeat:
    """Renews leases and registers the worker each second, and listens for cancels in between.

    `on_unpublished` gets the hashes of checkpoints that have no list of puzzles in Redis.

    `on_removed` hears of adapted checkpoints that are to be removed, and when that was asked for:
    each once, and at the start those of the last hour too.

    While the engine is stalled no lease is renewed, so that other workers take the jobs over.
    """

    def __init__(
        self,
        claims: Claims,
        leases: Leases,
        *,
        record: Callable[[], WorkerRecord],
        is_stalled: Callable[[], bool],
        on_cancel: Callable[[str], None],
        on_lost: Callable[[str], None],
        on_removed: Callable[[str, float], None],
        on_unpublished: Callable[[Collection[str]], None],
    ) -> None:
        self._claims = claims
        self._leases = leases
        self._record = record
        self._is_stalled = is_stalled
        self._on_cancel = on_cancel
        self._on_lost = on_lost
        self._on_removed = on_removed
        self._on_unpublished = on_unpublished
        self._removed: dict[str, float] = {}
        self._stopping = Event()
        self._is_away = False
        self._log: Any = structlog.get_logger(__name__)
        self._thread = Thread(target=self._run, name="heartbeat", daemon=True)

    @property
    def is_alive(self) -> bool:
        """Whether the thread goes on."""
        return self._thread.is_alive()

    def start(self) -> None:
        """Begin to beat."""
        self._thread.start()

    def stop(self, timeout_s: float) -> None:
        """Renew nothing more."""
        self._stopping.set()
        self._thread.join(timeout_s)

    def _run(self) -> None:
        while not self._stopping.is_set():
            due = time.monotonic() + BEAT_EVERY_S
            try:
                self._beat()
                self._listen(due)
            except QueueUnavailable as error:
                if not self._is_away:
                    self._log.warning("Redis is away; work goes on", reason=str(error))
                self._is_away = True
                self._stopping.wait(BEAT_EVERY_S / 4)
            else:
                if self._is_away:
                    self._log.info("Redis is back")
                self._is_away = False

    def _beat(self) -> None:
        if not self._is_stalled():
            renewal = self._claims.renew(self._leases.job_ids)
            for job_id in renewal.lost:
                # It may have ended between the two: then it is discarded already.
                if job_id in self._leases:
                    self._on_lost(job_id)
            for job_id in renewal.cancelled:
                self._on_cancel(job_id)
        self._hear_of_removals()
        unpublished = self._claims.register(self._record())
        if unpublished:
            self._on_unpublished(unpublished)

    def _hear_of_removals(self) -> None:
        before, self._removed = self._removed, self._claims.removed_adapted()
        for adapted_id, when in self._removed.items():
            if before.get(adapted_id) != when:
                self._on_removed(adapted_id, when)

    def _listen(self, due: float) -> None:
        while not self._stopping.is_set() and (left_s := due - time.monotonic()) > 0:
            for job_id in self._claims.listen(left_s):
                if job_id in self._leases:
                    self._on_cancel(job_id)
