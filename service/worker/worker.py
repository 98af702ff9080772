"""A worker: a process that runs jobs of the queue on one device."""

import os
import socket
import time
from collections.abc import Collection, Mapping
from typing import Any, Literal

import structlog

from hrm_core import pick_device
from service.adaptation.cache import AdaptedCache
from service.jobs import Claims, WorkerRecord, is_shard
from service.runtime.devices import show_device
from service.runtime.folders import state_subfolder
from service.runtime.settings import Settings
from service.runtime.timing import Backoff
from service.runtime.tracing import Tracer
from service.solving.engines import wants_compile
from service.wire.errors import QueueUnavailable, SettingsError
from service.worker.adaptation_turns import AdaptationTurns
from service.worker.delivery import Delivery
from service.worker.engine_loop import EngineLoop
from service.worker.engine_pool import EnginePool, MakeEngine, engine_maker
from service.worker.heartbeat import Heartbeat
from service.worker.intake import Intake, Leases
from service.worker.job_spans import JobSpans
from service.worker.messages import Control, ReloadCheckpoints, StopJob
from service.worker.metrics import WorkerMetrics
from service.worker.opening import ServedCheckpoint
from service.worker.served_set import ServedSet
from service.worker.shards import Divider

EXIT_STOPPED = 0
EXIT_NOTHING_SERVED = 2
# The engine is dead, and the supervisor has to start a new process: a CUDA error stays with the
# process in which it occurred.
EXIT_ENGINE_DEAD = 70

STEP_TIMEOUT_S = 4.0
WRITE_TIMEOUT_S = 2.5
SWEEP_EVERY_S = 2.0


class Worker:
    """Runs jobs of the queue on one device until it is stopped.

    It has four threads: the main one claims jobs, the engine loop runs them, the delivery writes
    how they end, and the heartbeat renews leases. All but the engine loop may wait for Redis.
    """

    def __init__(
        self,
        settings: Settings,
        claims: Claims,
        make_engine: MakeEngine | None = None,
        tracer: Tracer | None = None,
    ) -> None:
        """Prepare a worker; no thread is started yet.

        Raises: EngineError for the device.
        """
        self.metrics = WorkerMetrics()
        self._settings = settings
        self._claims = claims
        self._log: Any = structlog.get_logger(__name__)
        device = str(pick_device(settings.device))
        self._shown_device = show_device(device, os.environ)
        pool = EnginePool(
            {}, make_engine or engine_maker(settings, self._log.warning), settings.max_resident
        )
        spans = JobSpans(tracer, claims.worker_id)
        self._leases = Leases(spans)
        self.metrics.requests_running.set_function(lambda: len(self._leases))
        self._delivery = Delivery(claims, self._leases, self.metrics)
        self._adapted = AdaptedCache(
            state_subfolder("adapted", settings.state_folder),
            settings.adapt_cache_bytes,
        )
        adaptations = AdaptationTurns(
            pool,
            self._adapted,
            self._delivery.put,
            device=device,
            num_threads=settings.threads,
            snapshot_s=settings.adapt_snapshot_s,
            compiles=wants_compile(settings.device, settings.compile),
            tuned_folder=state_subfolder("tuned", settings.state_folder),
            is_enabled=settings.adapt_max_s > 0,
            gather_s=settings.adapt_gather_s,
            max_s=settings.adapt_max_s,
            max_devices=None if settings.adapt_devices == "all" else settings.adapt_devices,
        )
        self.metrics.adaptations_waiting.set_function(lambda: adaptations.num_waiting)
        checkpoints = ServedSet(
            pool,
            settings.folders_by_name,
            default_checkpoint=settings.default_checkpoint,
            allow_unverified=settings.allow_unverified,
            adapts=settings.adapt_max_s > 0,
        )
        self._engine = EngineLoop(
            pool,
            checkpoints,
            adaptations,
            self._delivery.put,
            self.metrics,
            worker_id=claims.worker_id,
            divider=Divider(settings.shard_above, lambda sha256: self._heartbeat.num_ready(sha256)),
            spans=spans,
        )
        self._intake = Intake(
            *(claims, self._leases, self.metrics, self._engine.send),
            max_jobs=settings.max_jobs,
            is_stalled=lambda: self._engine.watchdog.is_stalled,
            is_stopping=lambda: self._num_stops > 0,
        )
        self._heartbeat = Heartbeat(
            claims,
            self._leases,
            record=self._record,
            is_stalled=lambda: self._engine.watchdog.is_stalled,
            send=self._engine.send,
            on_lost=self._lose,
            on_gone=self._drop,
            on_unpublished=self._publish_again,
        )
        self._started_at = time.time()
        self._num_stops = 0
        # Those in the record: callers are answered by their lists of puzzles.
        self._published: Mapping[str, ServedCheckpoint] | None = None
        self._next_sweep = 0.0

    @property
    def is_engine_stuck(self) -> bool:
        """Whether the engine loop did not end when it was stopped, because the device hangs."""
        return not self._engine.ended.is_set()

    def stop(self) -> None:
        """Stop in order; at the second call, hand jobs back at once. Safe in a signal handler."""
        self._num_stops += 1  # neither lock nor event: the handler may interrupt their holder

    def abandon(self) -> None:
        """Stop, and hand jobs back at once. From any thread."""
        self._num_stops = 2

    def reload(self) -> None:
        """Serve what is in the checkpoint folders now. Safe in a signal handler."""
        self._engine.send(ReloadCheckpoints())  # its queue may be entered again by a handler

    def run(self) -> int:
        """Work until stopped; return the exit code of the process."""
        self._delivery.start()
        self._heartbeat.start()
        self._engine.start()
        try:
            while not (self._engine.ready.is_set() or self._must_end):
                time.sleep(0.05)
            self._work()
        finally:
            code = self._end()
        return code

    def _work(self) -> None:
        backoff = Backoff()
        while not self._must_end:
            try:
                self._publish_new()
                self._sweep_if_due()
                self._intake.take_jobs()
                backoff.reset()
            except QueueUnavailable as error:
                self._log.warning("no jobs can be claimed", reason=str(error))
                time.sleep(backoff.next_s())

    def _sweep_if_due(self) -> None:
        if (now := time.monotonic()) >= self._next_sweep:
            self._claims.sweep()
            self._next_sweep = now + SWEEP_EVERY_S

    def _warn_of_eviction(self) -> None:
        policy = self._claims.eviction_policy()
        if policy is not None:
            self._log.warning(
                "Redis removes keys when memory is full, and jobs with them: set its "
                "maxmemory-policy to noeviction",
                policy=policy,
            )

    @property
    def _must_end(self) -> bool:
        return self._num_stops > 0 or self._is_dead

    @property
    def _is_dead(self) -> bool:
        """Whether one of the threads has ended or hangs."""
        are_alive = self._heartbeat.is_alive() and self._delivery.is_alive()
        return self._engine.ended.is_set() or self._is_hung or not are_alive

    @property
    def _is_hung(self) -> bool:
        """Whether the engine has stalled for so long that other workers have its jobs."""
        return self._engine.watchdog.stalled_s > 2 * self._settings.lease_s

    def _publish_new(self) -> None:
        """Publish the puzzles of checkpoints that are served since the last call."""
        served, before = self._engine.checkpoints.served, self._published or {}
        for name, one in served.items():
            if before.get(name) is not one:
                self._claims.publish_puzzles(one.record.sha256, one.puzzles)
        if served is not self._published:
            self._claims.serve(one.record.sha256 for one in served.values())
        if self._published is None:
            self._warn_of_eviction()
        self._published = served

    def _publish_again(self, hashes: Collection[str]) -> None:
        """Publish puzzles that are missing: the server was emptied, or replaced by another."""
        self._log.warning("puzzles published again: gone from Redis", checkpoints=len(hashes))
        for one in (self._published or {}).values():
            if one.record.sha256 in hashes:
                self._claims.publish_puzzles(one.record.sha256, one.puzzles)

    def _lose(self, job_id: str) -> None:
        if not self._leases.discard(job_id):
            return
        if is_shard(job_id):
            self._log.info("shard dropped: it is another worker's, or not wanted", job_id=job_id)
        else:
            self._log.warning("lease lost: another worker has the job", job_id=job_id)
            self.metrics.jobs_lost.inc()
        self._engine.send(StopJob(job_id, is_lost=True))

    def _drop(self, job_id: str) -> None:
        if self._leases.discard(job_id):
            self._log.info("job dropped: it has ended, or is gone from Redis", job_id=job_id)
            self._engine.send(StopJob(job_id, is_lost=True))

    def _record(self) -> WorkerRecord:
        published, checkpoints = self._published or {}, self._engine.checkpoints
        reloaded_at = checkpoints.reloaded_at  # before it is asked whether that is published
        return WorkerRecord(
            id=self._claims.worker_id,
            host=socket.gethostname(),
            device=self._shown_device,
            state=self.state,
            num_running=len(self._leases),
            num_slots=self._engine.num_slots,
            checkpoints=tuple(one.record for one in published.values()),
            refused=checkpoints.refused,
            reloaded_at=reloaded_at if published is checkpoints.served else 0.0,
            started_at=self._started_at,
            adapted=self._adapted.records(),
        )

    @property
    def state(self) -> Literal["starting", "ready", "stalled", "draining"]:
        """What the worker says of itself."""
        if self._num_stops > 0:
            return "draining"
        if self._engine.ended.is_set() or self._engine.watchdog.is_stalled:
            return "stalled"
        # A ready worker is asked for the puzzles it knows, so they are published before.
        return "starting" if self._published is None else "ready"

    def _end(self) -> int:
        """Let running jobs end, hand the others back, and leave; return the exit code."""
        is_dead = self._is_dead
        if not is_dead:
            self._drain()
            is_dead = self._is_dead  # not by a stop: none was sent yet
        code, reason = self._verdict() if is_dead else (EXIT_STOPPED, "")
        self._engine.send(Control.STOP)
        self._engine.ended.wait(STEP_TIMEOUT_S)
        self._delivery.close(WRITE_TIMEOUT_S)
        self._heartbeat.stop(WRITE_TIMEOUT_S)
        untouched = self._engine.untouched() if self._engine.ended.is_set() else frozenset()
        for job in self._leases.jobs:
            charge = is_dead and job.id not in untouched
            self._intake.hand_back(job, charge=charge, reason=reason)
            self._leases.discard(job.id)
        try:
            self._claims.leave()
        except QueueUnavailable as error:
            self._log.warning("left without deregistering", reason=str(error))
        self._log.info("worker ends", exit_code=code)
        return code

    def _drain(self) -> None:
        """Wait for the running jobs, as long as the grace time allows."""
        self._engine.send(Control.SUSPEND)
        deadline = time.monotonic() + self._settings.grace_s
        self._log.info("draining", running=len(self._leases), grace_s=self._settings.grace_s)
        while self._num_stops < 2 and not self._is_dead and time.monotonic() < deadline:
            if not self._engine.ready.is_set() or self._leases.wait_until_empty(0.1):
                return

    def _verdict(self) -> tuple[int, str]:
        """Return the exit code of a dead worker, and the reason that callers get."""
        error = self._engine.error
        if isinstance(error, SettingsError):
            self._log.error(str(error))
            return EXIT_NOTHING_SERVED, ""
        # The message of an unexpected error is for the log; callers get its kind.
        if error is not None:
            what = f"the engine failed ({type(error).__name__})"
        else:
            what = "the engine stalled" if self._is_hung else "a thread ended unexpectedly"
        self._log.error(
            f"{what}; this process ends so that a new one can start clean",
            running=len(self._leases),
        )
        return EXIT_ENGINE_DEAD, f"worker {self._claims.worker_id}: {what}"
