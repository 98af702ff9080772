"""The engine loop: one thread that owns the engines, and what happens in each of its turns."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from queue import Empty, SimpleQueue
from threading import Event, Thread
from typing import Any

import structlog

from hrm_core import DeviceMemoryError, Engine
from service.jobs import Failure
from service.wire.errors import SettingsError, UnknownCheckpoint
from service.worker.adaptation_turns import AdaptationTurns
from service.worker.engine_pool import EnginePool
from service.worker.heartbeat import Watchdog
from service.worker.job_spans import JobSpans
from service.worker.job_table import ActiveJob, JobTable, Stage
from service.worker.messages import (
    JOB_ERRORS,
    Change,
    Changed,
    Control,
    Divided,
    EngineCommand,
    Failed,
    Progressed,
    ReloadCheckpoints,
    RemoveAdapted,
    StartJob,
    StopJob,
    Succeeded,
    Voted,
    WorkerEvent,
)
from service.worker.metrics import WorkerMetrics
from service.worker.served_set import ServedSet
from service.worker.shards import Divider, begin_solving, collect_votes


class EngineLoop(Thread):
    """The thread that runs jobs through the engines of a pool, many at once.

    An error of JOB_ERRORS ends the job that it concerns. Any other error ends the loop and is kept
    in `error`, since an engine is not reliable after it (a CUDA error stays with the process).
    `ready` is set once the checkpoints are loaded and tested, `ended` when the loop has ended.
    """

    def __init__(
        self,
        pool: EnginePool,
        checkpoints: ServedSet,
        adaptations: AdaptationTurns,
        deliver: Callable[[WorkerEvent], None],
        metrics: WorkerMetrics,
        *,
        worker_id: str,
        divider: Divider | None = None,
        spans: JobSpans | None = None,
    ) -> None:
        # A daemon, so that a device that hangs does not keep the process from ending.
        super().__init__(name="engine", daemon=True)
        self.ready, self.ended = Event(), Event()
        self.error: Exception | None = None
        self.watchdog = Watchdog()
        self.checkpoints = checkpoints
        self.num_slots: int | None = None
        self._pool = pool
        self._adaptations = adaptations
        self._deliver = deliver
        self._metrics = metrics
        metrics.checkpoints_verified.set_function(lambda: checkpoints.num_verified)
        self._worker_id = worker_id
        self._divider = divider
        self._spans = spans or JobSpans()
        self._commands: SimpleQueue[EngineCommand] = SimpleQueue()
        self._jobs = JobTable()
        self._is_stopping = False
        self._log: Any = structlog.get_logger(__name__)

    def send(self, command: EngineCommand) -> None:
        """Queue a command, from any thread."""
        if command is Control.STOP:
            self._is_stopping = True  # now, also while checkpoints are being tested
        self._commands.put(command)

    def untouched(self) -> frozenset[str]:
        """Return the jobs that nothing was done about, once the loop has ended."""
        job_ids = {job.id for job in self._jobs.in_stage(Stage.WAITING)}
        while not self._commands.empty():
            command = self._commands.get()
            if isinstance(command, StartJob):
                job_ids.add(command.job.id)
        return frozenset(job_ids)

    def run(self) -> None:
        """Load and test the checkpoints, then obey commands."""
        try:
            self._open_checkpoints()
            self.ready.set()
            while not self._is_stopping:
                self._turn()
            self._adaptations.end()
        except _StoppedError:
            pass
        except SettingsError as error:
            self.error = error
        except Exception as error:  # noqa: BLE001 - it is logged and kept, and ends the worker
            self._keep_error(error)
        finally:
            self.ended.set()

    def _open_checkpoints(self) -> None:
        def check_stop() -> None:
            if self._is_stopping:
                raise _StoppedError

        self.checkpoints.open_all(check_stop)
        self.num_slots = max(engine.num_slots for engine in self._pool.engines)

    def _turn(self) -> None:
        is_training = self._adaptations.sharing.is_helping
        has_work = self._jobs or self.checkpoints.is_reloading or is_training
        self._obey_commands(waits=not has_work)
        self._advance_jobs()
        self.checkpoints.advance(self._jobs.used_checkpoints, self._work_meanwhile)

    def _work_meanwhile(self) -> None:
        """Let jobs go on while a checkpoint is opened; its own steps have no limit of time."""
        if self._is_stopping:
            raise _StoppedError
        try:
            self._obey_commands(waits=False)
            self._advance_jobs()
        except Exception as error:  # the opening must not take it for the checkpoint's
            self._keep_error(error)
            raise _StoppedError from error
        self.watchdog.pause()

    def _keep_error(self, error: Exception) -> None:
        self.error = error
        self._log.exception("the engine thread ends")

    def _advance_jobs(self) -> None:
        self._end_overdue()
        self._start_waiting()
        self._enrol_checkpoints()
        is_busy = self.checkpoints.is_reloading or self._jobs.needs_device
        self._adaptations.share_device(self._jobs.ids, self.watchdog, is_busy=is_busy)
        self._enter_engines()
        self._adapt(self._step_engines())

    def _obey_commands(self, *, waits: bool) -> None:
        """Obey the commands queued so far; wait for one when there is nothing else to do."""
        if waits:
            self.watchdog.pause()
            self._metrics.count_idle()
            self._metrics.read_memory(self._pool.engines)
        try:
            while True:
                self._obey(self._commands.get(waits, self._adaptations.sharing.look_every_s))
                waits = False
        except Empty:
            return

    def _obey(self, command: EngineCommand) -> None:
        match command:
            case StartJob(job, deadline, is_isolated):
                self._jobs.add(ActiveJob(job, deadline, is_isolated))
            case StopJob(job_id, is_lost=True):
                self._remove(job_id)
            case StopJob(job_id) if job_id in self._jobs:
                self._end(Changed(job_id, Change.CANCELLED))
            case RemoveAdapted(entry_id, requested_at):
                self._adaptations.remove(entry_id, requested_at)
            case ReloadCheckpoints(requested_at):
                self.checkpoints.ask(requested_at)
            case Control.SUSPEND:
                for job_id in self._adaptations.suspend():
                    self._end(Changed(job_id, Change.RELEASED))
            case Control.STOP:
                self._is_stopping = True

    def _end_overdue(self) -> None:
        for job in self._jobs:
            if job.is_overdue:
                when = "before" if job.stage is Stage.WAITING else "while"
                reason = f"the deadline passed {when} the job ran"
                self._end(Failed(job.id, Failure("deadline_exceeded", reason)))

    def _start_waiting(self) -> None:
        while (job := self._jobs.next_to_start()) is not None:
            # Moved first: if reading the request crashes the process, this job is charged for it.
            self._jobs.move(job, Stage.ENROLLING)
            job.started_at = time.monotonic()
            self._spans.enter(job.id, "enrol")
            with self._failing(job):
                job.resolve_request(self.checkpoints.chooser.choose)

    def _enrol_checkpoints(self) -> None:
        """Enrol each job's checkpoints as far as possible; jobs with all of them are solved."""
        for job in self._jobs.in_stage(Stage.ENROLLING):
            with self._failing(job):
                job.is_admitted = job.is_admitted or self.checkpoints.check(job.checkpoints)
                if not job.is_admitted:
                    continue
                while (name := job.next_checkpoint) is not None:
                    member = self._adaptations.enrol(job.id, job.request, name)
                    if member is None:
                        self._spans.enter(job.id, "adapt", checkpoint=name)
                        if self._adaptations.is_suspended:
                            self._end(Changed(job.id, Change.RELEASED))
                        break
                    self._spans.note_member(job.id, member)
                    job.members.append(member)
                else:
                    self._begin(job)

    def _begin(self, job: ActiveJob) -> None:
        """Let an enrolled job be solved, here or divided among workers."""
        record = self.checkpoints.records.get(job.members[0].name)
        divided = None if self._divider is None else self._divider.divide(job, record)
        if divided is not None:
            self._metrics.queue_time.observe(job.queue_s)
            self._end(divided)
            return
        job.solving = begin_solving(job)
        self._spans.enter(job.id, "engine")
        self._jobs.move(job, Stage.SOLVING)

    def _enter_engines(self) -> None:
        """Queue the samples of members with an engine on the device, or with room for one."""
        for job in self._jobs.in_stage(Stage.SOLVING):
            with self._failing(job):
                for index in job.solving.waiting:
                    engine = self._acquire(job.solving.members[index].name)
                    if engine is not None:
                        is_first = len(job.solving.waiting) == len(job.members)
                        if is_first and job.job.shard is None:
                            self._metrics.queue_time.observe(job.queue_s)
                        self._spans.enter(job.id, "encode")
                        job.solving.enter(index, engine)
                        self._spans.enter(job.id, "seat")
                        self.watchdog.expect_step()
                if job.solving.is_done:
                    self._finish(job)

    def _acquire(self, name: str) -> Engine | None:
        if not self._pool.has_engine(name):
            self.watchdog.pause()  # loading and compiling have no time limit
        try:
            return self._pool.acquire(name)
        finally:
            if any(job.solving.engines for job in self._jobs.in_stage(Stage.SOLVING)):
                self.watchdog.expect_step()

    def _step_engines(self) -> float | None:
        """Take a step with each engine that has work; return the seconds it took, None without."""
        busy = [engine for engine in self._pool.engines if not engine.is_idle]
        started = time.monotonic()
        for engine in busy:
            try:
                self._step(engine)
            except DeviceMemoryError as error:
                # Its jobs fail, and it is released; other engines go on.
                for job in self._jobs.in_engine(engine):
                    self._end(Failed.from_error(job.id, error))
                self._pool.discard(engine)
        return time.monotonic() - started if busy else None

    def _step(self, engine: Engine) -> None:
        outcomes, step_s = self.watchdog.watch_step(engine)
        num_seated = engine.num_seated + len(outcomes)
        self._metrics.count_step(step_s, num_seated, engine.num_slots, outcomes)
        self._metrics.read_memory(self._pool.engines)
        self._spans.note_step(self._jobs.in_stage(Stage.SOLVING), engine, outcomes, step_s)
        self.watchdog.pause()  # a vote on a larger crop may compile
        for job, error in self._jobs.receive(outcomes):
            self._fail(job, error)
        self.watchdog.expect_step()
        for job in self._jobs.in_stage(Stage.SOLVING):
            if job.solving.is_done:
                self._finish(job)
            elif (report := job.new_report()) is not None:
                self._deliver(Progressed(job.id, report))

    def _adapt(self, engine_s: float | None) -> None:
        """Train a slice of an adaptation when it is due."""
        adaptations = self._adaptations
        if not adaptations.is_due(engine_s):
            return
        if adaptations.may_compile:
            self.watchdog.pause()
        else:
            self.watchdog.expect_step()
        num_waiting, trained_s = adaptations.num_waiting, adaptations.trained_s
        for job_id, error in adaptations.turn().items():
            self._fail(self._jobs[job_id], error)
        self.watchdog.note_training(adaptations.wait_s)
        self._metrics.adaptation_s.inc(adaptations.trained_s - trained_s)
        if adaptations.num_waiting < num_waiting:
            adaptations.evict()

    def _finish(self, job: ActiveJob) -> None:
        with self._failing(job):
            self._spans.enter_vote(job)
            voted = collect_votes(job)
            if voted is not None:
                self._end(voted)
                return
            answer = job.answer(self._worker_id, self.checkpoints.records)
            self._metrics.count_answer(answer)
            self._end(Succeeded(job.id, answer.to_json(), job.total_s))

    @contextmanager
    def _failing(self, job: ActiveJob) -> Iterator[None]:
        """End the job, and nothing else, with an error that concerns only this job."""
        try:
            yield
        except JOB_ERRORS as error:
            self._fail(job, error)

    def _fail(self, job: ActiveJob, error: Exception) -> None:
        if job.job.shard is not None and isinstance(error, UnknownCheckpoint):
            # For another worker that serves it. Where none does, the job is put together again.
            self._end(Changed(job.id, Change.RELEASED))
            return
        # Of several checkpoints, the one that could not be enrolled is named.
        is_ensemble = job.stage is Stage.ENROLLING and len(job.checkpoints) > 1
        self._end(Failed.from_error(job.id, error, job.next_checkpoint if is_ensemble else None))

    def _end(self, event: Changed | Failed | Succeeded | Divided | Voted) -> None:
        """Remove a job, and deliver how it ended."""
        self._remove(event.job_id)
        end = event.change.value if isinstance(event, Changed) else type(event).__name__.lower()
        reason = event.failure.code if isinstance(event, Failed) else None
        # Logged before the delivery: Redis may never receive it.
        self._log.info("job leaves the engine", job_id=event.job_id, end=end, reason=reason)
        self._spans.leave(event.job_id, end, reason)
        self._deliver(event)

    def _remove(self, job_id: str) -> None:
        self._adaptations.forget(job_id)
        self._jobs.remove(job_id)


class _StoppedError(Exception):
    """The loop was stopped, or failed, while a checkpoint was being loaded."""
