"""A worker: claims jobs while it has places for them, and answers for each until its end."""

import os
import secrets
import signal
import socket
import time
from collections.abc import Collection, Iterable
from functools import partial
from types import FrameType
from typing import Any, Literal

import structlog

from hrm_core import keep_compiled, pick_device
from service.adaptation.cache import FOLDER_NAME as ADAPTED_FOLDER
from service.adaptation.cache import AdaptedCache
from service.jobs import Claim, Claims, Job, WorkerRecord
from service.runtime.devices import show_device
from service.runtime.folders import tuned_folder
from service.runtime.settings import Settings
from service.runtime.timing import Backoff
from service.solving.engines import make_engine as make_configured_engine
from service.solving.engines import wants_compile
from service.wire.errors import QueueUnavailable, SettingsError
from service.worker.adapting import Adaptations
from service.worker.delivery import Delivery
from service.worker.engine_thread import EngineThread
from service.worker.heartbeat import Heartbeat
from service.worker.leases import Leases, is_lone
from service.worker.messages import Cancel, Drop, Remove, Start, Stop, Suspend
from service.worker.metrics import WorkerMetrics
from service.worker.residents import MakeEngine, Residents
from service.worker.shelf import Shelf

EXIT_STOPPED = 0
EXIT_NOTHING_SERVED = 2
# The engine is dead: whoever supervises starts a new process. Nothing less helps, for an error of
# CUDA stays with the process that met it.
EXIT_ENGINE_DEAD = 70

# Every so many places one is for a batch job first, as in the engine.
BATCH_EVERY = 8
CLAIM_BLOCK_S = 1.0
RECLAIMS_PER_LEASE = 5
STEP_PATIENCE_S = 4.0
WRITE_PATIENCE_S = 2.5

# Samples on the device at once, at most; on CUDA the engine measures how many are worth it. A step
# takes as long as it has slots, taken or not, and every answer waits for whole steps; variants that
# are not seated yet when the vote is decided never run at all; and several checkpoints' engines
# must fit beside each other.
MAX_SLOTS = {"cuda": 256, "cpu": 64}


class Worker:
    """Runs jobs of the queue on one device until told to stop.

    Four threads: this one claims, the engine's computes, the delivery's writes ends, the
    heartbeat's renews leases. Any of them but the engine's may wait for Redis.
    """

    def __init__(
        self, settings: Settings, claims: Claims, make_engine: MakeEngine | None = None
    ) -> None:
        """Prepare a worker; nothing starts yet.

        Raises: SettingsError for checkpoints that are not there; EngineError for the device.
        """
        self.metrics = WorkerMetrics()
        self._settings = settings
        self._claims = claims
        self._device = str(pick_device(settings.device))
        self._shown_device = show_device(self._device, os.environ)
        self._log: Any = structlog.get_logger(__name__)
        folders = {folder.resolve().name: folder for folder in settings.checkpoint_folders()}
        self._leases = Leases()
        self._delivery = Delivery(claims, self._leases, self.metrics)
        self._shelf = Shelf(
            AdaptedCache(
                settings.state_folder.expanduser().absolute() / ADAPTED_FOLDER,
                settings.adapt_cache_bytes,
            )
        )
        self._engine = EngineThread(
            Residents(folders, make_engine or self._configured_engine(), settings.max_resident),
            self._delivery.put,
            self.metrics,
            worker_id=claims.worker_id,
            adaptations=self._adaptations(),
            default_checkpoint=settings.default_checkpoint,
            allow_unverified=settings.allow_unverified,
        )
        self._heartbeat = Heartbeat(
            claims,
            self._leases,
            record=self._record,
            is_stalled=lambda: self._engine.pulse.is_stalled,
            on_cancel=lambda job_id: self._engine.order(Cancel(job_id)),
            on_lost=self._lose,
            on_removed=lambda entry_id, when: self._engine.order(Remove(entry_id, when)),
            on_unpublished=self._publish_again,
        )
        self._started_at = time.time()
        self._num_stops = 0
        self._has_published = False
        self._next_reclaim = 0.0
        self._num_since_batch = 0
        self._is_wary = False

    @property
    def is_engine_stuck(self) -> bool:
        """Whether the engine's thread did not end when told to: the device hangs."""
        return not self._engine.has_ended

    def stop(self) -> None:
        """Stop in order; asked a second time, hand back at once. Safe in a signal handler."""
        self._num_stops += 1  # no lock and no event: the handler may interrupt whoever holds it

    def run(self) -> int:
        """Work until told to stop; gives the process's exit code."""
        self._delivery.start()
        self._heartbeat.start()
        self._engine.start()
        try:
            self._wait_until_ready()
            self._work()
        finally:
            code = self._end()
        return code

    def _wait_until_ready(self) -> None:
        while not (self._engine.is_ready or self._must_end):
            time.sleep(0.05)

    def _work(self) -> None:
        backoff = Backoff()
        while not self._must_end:
            try:
                if not self._has_published:
                    self._publish(self._engine.puzzles)
                    self._has_published = True
                self._take_jobs()
                backoff.reset()
            except QueueUnavailable as error:
                self._log.warning("no jobs can be claimed", reason=str(error))
                time.sleep(backoff.next_s())

    @property
    def _must_end(self) -> bool:
        return self._num_stops > 0 or self._is_dead

    @property
    def _is_dead(self) -> bool:
        """Whether a part that the others rely on has ended or hangs."""
        is_whole = self._heartbeat.is_alive and self._delivery.is_alive
        return self._engine.has_ended or self._is_hung or not is_whole

    @property
    def _is_hung(self) -> bool:
        """Whether the engine has stalled for so long that its jobs are others' by now."""
        return self._engine.pulse.stalled_s > 2 * self._settings.lease_s

    def _publish(self, checkpoints: Iterable[str]) -> None:
        for sha256 in checkpoints:
            self._claims.publish_puzzles(sha256, self._engine.puzzles[sha256])

    def _publish_again(self, checkpoints: Collection[str]) -> None:
        """Publish puzzles that are gone: the server was emptied, or another one took its place."""
        if self._has_published:
            self._log.warning(
                "puzzles published again: gone from Redis", checkpoints=len(checkpoints)
            )
            self._publish(checkpoints)

    def _take_jobs(self) -> None:
        """Claim what there are places for, orphaned jobs before others; wait for either."""
        num_places = self._leases.num_places(self._settings.max_jobs)
        if self._is_wary:
            num_places = min(1, num_places)
        if num_places == 0 or self._engine.pulse.is_stalled:
            self._leases.wait_for_place(self._settings.max_jobs, CLAIM_BLOCK_S)
            if self._engine.pulse.is_stalled:
                time.sleep(CLAIM_BLOCK_S)
            return
        now = time.monotonic()
        if now >= self._next_reclaim:
            claims = self._claims.reclaim(num_places, self._leases.job_ids)
            # Only now: while there is no place the reclaim stays due, and gets the next one free.
            self._next_reclaim = now + self._settings.lease_s / RECLAIMS_PER_LEASE
            self._accept(claims, is_reclaimed=True)
            if claims:
                return
        block_s = max(0.0, min(CLAIM_BLOCK_S, self._next_reclaim - now))
        claims = self._claims.claim(
            num_places,
            block_s,
            num_batch_places=self._num_batch_places(num_places),
            most_batch=self._most_batch(),
        )
        self._accept(claims, is_reclaimed=False)

    def _most_batch(self) -> int:
        """Leave every eighth place to interactive jobs: these must not wait for a batch to end."""
        most = self._settings.max_jobs
        kept = max(1, most // BATCH_EVERY) if most > 1 else 0
        return max(0, most - kept - self._leases.num_batch)

    def _num_batch_places(self, num_places: int) -> int:
        """Keep every eighth place for batch jobs, also when places become free one by one."""
        is_due = self._num_since_batch >= BATCH_EVERY - 1
        return max(num_places // BATCH_EVERY, int(is_due))

    def _accept(self, claims: Iterable[Claim], *, is_reclaimed: bool) -> None:
        """Start what was claimed; of jobs that must run alone, one at a time."""
        self._is_wary = False
        for claim in sorted(claims, key=is_lone):  # the harmless first, then one alone
            job = claim.job
            if job.id in self._leases:
                continue  # its lease ran out while Redis was away, and it still runs here
            is_batch = job.priority == "batch"
            self._num_since_batch = 0 if is_batch else self._num_since_batch + 1
            if is_reclaimed:
                self.metrics.jobs_reclaimed.inc()
            if self._num_stops > 0 or (is_lone(claim) and self._leases.has_lone):
                # A lone one kept waiting here would be blamed for a crash of the one before it.
                self._hand_back(job, charge=False)
                self._is_wary = True
                continue
            self._leases.add(claim)
            self.metrics.requests_running.set(len(self._leases))
            self._log.info(
                "job claimed", job_id=job.id, attempt=claim.attempt, reclaimed=is_reclaimed
            )
            self._engine.order(Start(job, _local_deadline(job), is_lone(claim)))

    def _hand_back(self, job: Job, *, charge: bool, reason: str = "") -> None:
        try:
            self._claims.hand_back(job.id, charge=charge, reason=reason)
        except QueueUnavailable as error:
            # Its lease runs out, which has the same effect a little later.
            self._log.warning("job not handed back", job_id=job.id, reason=str(error))
            return
        self.metrics.jobs_handed_back.inc()
        self._log.info("job handed back", job_id=job.id, charged=charge)

    def _lose(self, job_id: str) -> None:
        if self._leases.discard(job_id) is not None:
            self._log.warning("lease lost: another worker has the job", job_id=job_id)
            self.metrics.jobs_lost.inc()
            self.metrics.requests_running.set(len(self._leases))
            self._engine.order(Drop(job_id))

    def _record(self) -> WorkerRecord:
        engine = self._engine
        return WorkerRecord(
            id=self._claims.worker_id,
            host=socket.gethostname(),
            device=self._shown_device,
            state=self._state(),
            num_running=len(self._leases),
            num_slots=engine.num_slots,
            checkpoints=engine.records,
            started_at=self._started_at,
            adapted=self._shelf.records(),
        )

    def _state(self) -> Literal["starting", "ready", "stalled", "draining"]:
        engine = self._engine
        if self._num_stops > 0:
            return "draining"
        if engine.has_ended or engine.pulse.is_stalled:
            return "stalled"
        # Who is ready is asked for what it knows: that must be told before.
        return "ready" if self._has_published else "starting"

    def _end(self) -> int:
        """Let running jobs end, hand the rest back, and leave."""
        is_dead = self._is_dead
        if not is_dead:
            self._drain()
            is_dead = self._is_dead  # of itself: nothing was told to end yet
        code, reason = self._verdict() if is_dead else (EXIT_STOPPED, "")
        self._engine.order(Stop())
        self._engine.join(STEP_PATIENCE_S)
        self._delivery.close(WRITE_PATIENCE_S)
        self._heartbeat.stop(WRITE_PATIENCE_S)
        blameless = self._engine.untouched() if self._engine.has_ended else frozenset()
        for claim in self._leases.claims:
            charge = is_dead and claim.job.id not in blameless
            self._hand_back(claim.job, charge=charge, reason=reason)
            self._leases.discard(claim.job.id)
        try:
            self._claims.leave()
        except QueueUnavailable as error:
            self._log.warning("left without saying so", reason=str(error))
        self._log.info("worker ends", exit_code=code)
        return code

    def _drain(self) -> None:
        """Wait for the running jobs, as long as the grace time allows."""
        self._engine.order(Suspend())
        deadline = time.monotonic() + self._settings.grace_s
        self._log.info("draining", running=len(self._leases), grace_s=self._settings.grace_s)
        while self._num_stops < 2 and not self._is_dead and time.monotonic() < deadline:
            if not self._engine.is_ready or self._leases.wait_until_empty(0.1):
                return

    def _verdict(self) -> tuple[int, str]:
        error = self._engine.error
        if isinstance(error, SettingsError):
            self._log.error(str(error))
            return EXIT_NOTHING_SERVED, ""
        # What an unexpected error says is for the log; of it, callers learn the kind.
        if error is not None:
            what = f"the engine failed ({type(error).__name__})"
        else:
            what = "the engine stalled" if self._is_hung else "a thread ended unexpectedly"
        self._log.error(
            f"{what}; this process ends so that a new one can start clean",
            running=len(self._leases),
        )
        return EXIT_ENGINE_DEAD, f"worker {self._claims.worker_id}: {what}"

    def _adaptations(self) -> Adaptations | None:
        settings = self._settings
        if settings.adapt_max_s == 0:
            return None
        return Adaptations(
            self._shelf.cache,
            self._delivery.put,
            device=self._device,
            num_threads=settings.threads,
            snapshot_s=settings.adapt_snapshot_s,
            compiles=wants_compile(settings.device, settings.compile),
            tuned_folder=tuned_folder(settings.state_folder),
        )

    def _configured_engine(self) -> MakeEngine:
        settings = self._settings
        return partial(
            make_configured_engine,
            options=settings.engine_options,
            say=self._log.warning,
            max_slots=MAX_SLOTS[pick_device(settings.device).type],
            tuned_folder=tuned_folder(settings.state_folder),
        )


def run_worker(settings: Settings, make_engine: MakeEngine | None = None) -> int:
    """Run a worker until SIGTERM or SIGINT; gives the exit code.

    0: stopped in order. 2: nothing can be served. 70: the engine is dead, start a new process.

    Raises: SettingsError for settings that no worker can run with; OSError for the metrics' port.
    """
    url = settings.queue_url
    # Beside the jobs: a restarted worker finds its compiled network there instead of making it.
    keep_compiled(settings.state_folder.expanduser().absolute() / "compiled")
    claims = Claims(
        url,
        worker_id=_make_id(settings),
        lease_s=settings.lease_s,
        max_attempts=settings.max_attempts,
        result_ttl_s=settings.result_ttl_s,
    )
    worker = Worker(settings, claims, make_engine)

    def stop(_number: int, _frame: FrameType | None) -> None:
        worker.stop()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    log: Any = structlog.get_logger(__name__)
    if settings.worker_metrics_port is not None:
        server = worker.metrics.serve(settings.host, settings.worker_metrics_port)
        log.info("metrics", host=settings.host, port=server.server_port)
    log.info("worker starts", worker=claims.worker_id, device=settings.device)
    code = worker.run()
    if worker.is_engine_stuck:
        os._exit(code)  # an ordinary end would wait for the device, perhaps for ever
    claims.close()
    return code


def _make_id(settings: Settings) -> str:
    """Name this process: a restarted worker is another one, whose leases are not the old one's."""
    return f"{settings.worker_id or socket.gethostname()}-{secrets.token_hex(3)}"


def _local_deadline(job: Job) -> float | None:
    """Give a job's deadline by the monotonic clock; Redis has told both ends of the interval."""
    if job.deadline_at is None or job.started_at is None:
        return None
    return time.monotonic() + job.deadline_at - job.started_at
