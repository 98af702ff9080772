"""The thread that owns the engines: jobs in, steps, ends out."""

import time
from collections.abc import Callable
from queue import Empty, SimpleQueue
from threading import Event, Thread
from typing import Any

import structlog

from hrm_core import DeviceMemoryError, Engine, used_memory
from service.jobs import CheckpointRecord, KnownPuzzle
from service.solving.members import Member
from service.solving.solve import Solving, hand_out
from service.wire.errors import SettingsError
from service.worker.adapting import Adaptations
from service.worker.enrolling import Enrolling
from service.worker.failures import JOB_ERRORS, deadline_exceeded, failure_of
from service.worker.messages import (
    Cancel,
    Cancelled,
    Drop,
    End,
    Failed,
    Order,
    Progressed,
    Released,
    Remove,
    Start,
    Stop,
    Succeeded,
    Suspend,
    Told,
)
from service.worker.metrics import WorkerMetrics
from service.worker.opening import open_checkpoints
from service.worker.pulse import Pulse
from service.worker.request import read_request
from service.worker.residents import Residents
from service.worker.running import Running

MEMORY_EVERY_S = 1.0
PREFERRED_DEFAULT = "demo"


class EngineThread:
    """Runs jobs through the engines of the resident checkpoints, many at once.

    Whatever is wrong with one job ends that job. Any other error ends the thread, and is kept in
    `error`: an engine is not to be trusted after it (errors of CUDA stay with the process).
    """

    def __init__(
        self,
        residents: Residents,
        deliver: Callable[[Told], None],
        metrics: WorkerMetrics,
        *,
        worker_id: str,
        adaptations: Adaptations | None = None,
        default_checkpoint: str | None = None,
        allow_unverified: bool = False,
    ) -> None:
        self.error: Exception | None = None
        self.pulse = Pulse()
        self.records: tuple[CheckpointRecord, ...] = ()
        self.puzzles: dict[str, tuple[KnownPuzzle, ...]] = {}
        self.num_slots: int | None = None
        self._residents = residents
        self._deliver = deliver
        self._metrics = metrics
        self._worker_id = worker_id
        self._adaptations = adaptations
        self._default_checkpoint = default_checkpoint
        self._allow_unverified = allow_unverified
        self._orders: SimpleQueue[Order] = SimpleQueue()
        self._starts: dict[str, Start] = {}
        # Taken up, in the order of arrival: those with members to enrol yet, and those that vote or
        # wait for a place on the device.
        self._enrolling: dict[str, Enrolling] = {}
        self._running: dict[str, Running] = {}
        self._is_ready, self._has_ended = Event(), Event()
        self._is_stopping = self._is_suspended = False
        self._measured_at = 0.0
        self._log: Any = structlog.get_logger(__name__)
        # A daemon: a hung device must not keep the process from ending.
        self._thread = Thread(target=self._run, name="engine", daemon=True)

    @property
    def is_ready(self) -> bool:
        """Whether the checkpoints are loaded and tested."""
        return self._is_ready.is_set()

    @property
    def has_ended(self) -> bool:
        """Whether the thread is over: it was stopped, or `error` says why."""
        return self._has_ended.is_set()

    def start(self) -> None:
        """Load and test the checkpoints, then run what is ordered."""
        self._thread.start()

    def order(self, order: Order) -> None:
        """Give an order, from any thread."""
        if isinstance(order, Stop):
            self._is_stopping = True  # at once, also while checkpoints are being tested
        self._orders.put(order)

    def join(self, timeout_s: float) -> bool:
        """Wait for the thread's end; tell whether it came."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def untouched(self) -> frozenset[str]:
        """The jobs ordered that nothing was done about. For when the thread has ended."""
        ordered = set(self._starts)
        while True:
            try:
                order = self._orders.get_nowait()
            except Empty:
                return frozenset(ordered)
            if isinstance(order, Start):
                ordered.add(order.job.id)

    # --- within the thread

    def _run(self) -> None:
        try:
            self._open_checkpoints()
            self._is_ready.set()
            while not self._is_stopping:
                self._take_orders()
                self._end_overdue()
                self._start_ordered()
                self._enrol_members()
                self._seat_waiting()
                self._adapt(self._step_all())
        except _StoppedError:
            pass
        except SettingsError as error:
            self.error = error
        except Exception as error:  # noqa: BLE001 - told in `error`, and ends the worker
            self.error = error
            self._log.exception("the engine thread ends")
        finally:
            self._has_ended.set()

    def _open_checkpoints(self) -> None:
        opened = open_checkpoints(
            self._residents, allow_unverified=self._allow_unverified, on_step=self._check_stop
        )
        self.records = tuple(one.record for one in opened)
        self.puzzles = {one.record.sha256: one.puzzles for one in opened}
        self._metrics.checkpoints_verified.set(
            sum(record.finding.is_verified for record in self.records)
        )
        self.num_slots = max(engine.num_slots for engine in self._residents.engines)

    def _check_stop(self) -> None:
        if self._is_stopping:
            raise _StoppedError

    def _take_orders(self) -> None:
        """Take what was ordered meanwhile; wait for an order when there is nothing to do."""
        is_idle = not (self._taken_up or self._starts)
        if is_idle:
            self.pulse.rest()
            self._metrics.count_rest()
            self._measure_memory()
        try:
            while True:
                self._take(self._orders.get(block=is_idle))
                is_idle = False
        except Empty:
            return

    def _take(self, order: Order) -> None:
        match order:
            case Start():
                self._starts[order.job.id] = order
            case Cancel(job_id):
                if self._forget(job_id):
                    self._end(Cancelled(job_id))
            case Drop(job_id):
                self._forget(job_id)
            case Remove(entry_id, when):
                self._remove(entry_id, when)
            case Suspend():
                self._suspend()
            case Stop():
                self._is_stopping = True

    def _forget(self, job_id: str) -> bool:
        """Drop a job wherever it is; tell whether it was here."""
        if self._adaptations is not None:
            self._adaptations.forget(job_id)
        if self._starts.pop(job_id, None) or self._enrolling.pop(job_id, None):
            return True
        running = self._running.pop(job_id, None)
        if running is not None:
            running.solving.leave()
        return running is not None

    def _end_overdue(self) -> None:
        now = time.monotonic()
        for one in (*self._taken_up, *self._starts.values()):
            if one.deadline is not None and now >= one.deadline:
                self._forget(one.job.id)
                when = "before the job ran" if isinstance(one, Start) else "while the job ran"
                self._end(Failed(one.job.id, deadline_exceeded(when)))

    def _start_ordered(self) -> None:
        for start in tuple(self._starts.values()):
            is_beside_lone = any(one.is_alone for one in self._taken_up)
            if is_beside_lone or (start.is_alone and self._taken_up):
                continue
            # First of all, so that a crash from here on is not taken for none of this job's doing.
            del self._starts[start.job.id]
            self._take_up(start)

    @property
    def _taken_up(self) -> tuple[Running | Enrolling, ...]:
        """The jobs that something was done about."""
        return (*self._running.values(), *self._enrolling.values())

    def _take_up(self, start: Start) -> None:
        job, taken_at = start.job, time.monotonic()
        try:
            request = read_request(job)
            options = request.options
            names = (options.checkpoint or self._default_name(), *options.ensemble)
            self._enrolling[job.id] = Enrolling(start, request, names, taken_at)
        except JOB_ERRORS as error:
            self._end(Failed(job.id, failure_of(error)))

    def _enrol_members(self) -> None:
        """Enrol the members of each job as far as that goes; those with all of them run."""
        for enrolling in tuple(self._enrolling.values()):
            job_id, name = enrolling.job.id, None
            try:
                while (name := enrolling.next_checkpoint) is not None:
                    member = self._enrol(enrolling, name)
                    if member is None:
                        break  # it is being adapted first
                    enrolling.members.append(member)
                else:
                    del self._enrolling[job_id]
                    self._running[job_id] = self._gather(enrolling)
            except JOB_ERRORS as error:
                self._fail_enrolling(enrolling, error)

    def _fail_enrolling(self, enrolling: Enrolling, error: Exception) -> None:
        is_ensemble = len(enrolling.checkpoints) > 1
        name = enrolling.next_checkpoint if is_ensemble else None
        self._forget(enrolling.job.id)
        self._end(Failed(enrolling.job.id, failure_of(error, name)))

    def _enrol(self, enrolling: Enrolling, name: str) -> Member | None:
        """Find the rows of a member, trained or adapted; None while they are being made.

        Raises: as `Residents.registrar` and `Member.enrol`.
        """
        request, puzzle = enrolling.request, enrolling.request.task.puzzle
        registrar = self._residents.registrar(name)
        adaptations = None if request.options.adapt == "never" else self._adaptations
        if adaptations is None or (request.options.adapt == "auto" and registrar.knows(puzzle)):
            return Member.enrol(registrar, puzzle, name=name)
        if self._is_suspended:
            self._release(enrolling.job.id)
            return None
        found = adaptations.find(enrolling.job.id, registrar.checkpoint, name, request)
        if found is None:
            return None
        entry, is_reused = found
        self._residents.admit(entry.id, entry.folder)
        return Member.enrol(
            self._residents.registrar(entry.id),
            puzzle,
            name=entry.id,
            adaptation=entry.record.summary(is_reused=is_reused),
        )

    def _gather(self, enrolling: Enrolling) -> Running:
        start, request = enrolling.start, enrolling.request
        records = {record.name: record for record in self.records}
        used = [records[name] for name in enrolling.checkpoints]
        return Running(
            job=start.job,
            request=request,
            solving=Solving(request.task.puzzle, enrolling.members, request.options),
            is_verified=all(record.finding.is_verified for record in used),
            warnings=[record.warning for record in used if record.warning is not None],
            is_alone=start.is_alone,
            deadline=start.deadline,
            taken_at=enrolling.taken_at,
        )

    def _default_name(self) -> str:
        names = self._residents.names
        for preferred in (self._default_checkpoint, PREFERRED_DEFAULT):
            if preferred in names:
                return preferred
        return names[0]

    def _seat_waiting(self) -> None:
        for running in tuple(self._running.values()):
            try:
                self._seat_members(running)
            except JOB_ERRORS as error:
                self._forget(running.job.id)
                self._end(Failed(running.job.id, failure_of(error)))
            else:
                if running.solving.is_done:
                    self._finish(running)

    def _seat_members(self, running: Running) -> None:
        """Let a job's members enter those engines that there is a place for."""
        solving = running.solving
        for place in solving.waiting:
            engine = self._seat(solving.members[place].name)
            if engine is not None:
                if len(solving.waiting) == len(solving.members):
                    self._metrics.queue_time.observe(running.queue_s)
                solving.enter(place, engine)
                self.pulse.work()

    def _seat(self, name: str) -> Engine | None:
        if self._residents.is_resident(name):
            return self._residents.seat(name)
        self.pulse.rest()  # loading, and compiling, take as long as they take
        try:
            return self._residents.seat(name)
        finally:
            if any(one.solving.is_in_engine for one in self._running.values()):
                self.pulse.work()

    def _step_all(self) -> float | None:
        """Let each engine that has work take a step, in turn.

        Units: gives the seconds that this took, None when no engine had work.
        """
        busy = [engine for engine in self._residents.engines if not engine.is_idle]
        started = time.monotonic()
        for engine in busy:
            self._step(engine)
        return time.monotonic() - started if busy else None

    def _adapt(self, engine_s: float | None) -> None:
        """Do some of an adaptation when it is its turn."""
        adaptations = self._adaptations
        if adaptations is None or not adaptations.is_due(engine_s):
            return
        if adaptations.may_compile:
            self.pulse.rest()
        else:
            self.pulse.work()
        num_waiting = adaptations.num_waiting
        for job_id, error in adaptations.turn().items():
            enrolling = self._enrolling.get(job_id)
            if enrolling is not None:
                self._fail_enrolling(enrolling, error)
        self.pulse.beat()
        if adaptations.num_waiting < num_waiting:
            self._make_room()

    def _make_room(self) -> None:
        """Remove what adapted checkpoints there is no room for; none that is in use or new."""
        if self._adaptations is not None:
            for entry_id in self._adaptations.evict(self._residents.busy):
                self._residents.expel(entry_id)
                self._log.info("adapted checkpoint evicted", entry=entry_id)

    def _remove(self, entry_id: str, when: float) -> None:
        """Remove an adapted checkpoint, unless it was made after that was asked for."""
        cache = None if self._adaptations is None else self._adaptations.cache
        entry = None if cache is None else cache.entry(entry_id)
        if cache is None or entry is None or entry.made_at > when:
            return
        is_gone = cache.remove(entry_id)
        self._residents.expel(entry_id)
        self._log.info("adapted checkpoint removed", entry=entry_id, gone=is_gone)

    def _suspend(self) -> None:
        """Let go of the jobs that wait for an adaptation: these take longer than a worker's end."""
        self._is_suspended = True
        if self._adaptations is not None:
            for job_id in self._adaptations.suspend():
                self._release(job_id)

    def _release(self, job_id: str) -> None:
        self._enrolling.pop(job_id, None)
        self._end(Released(job_id))

    def _step(self, engine: Engine) -> None:
        try:
            if engine.is_cold:  # its memory has run out, and fewer slots are another shape
                self.pulse.rest()
                engine.warm_up()
                self.pulse.work()
            started = time.monotonic()
            outcomes = engine.step()
        except DeviceMemoryError as error:
            self._fail_in(engine, error)
            return
        step_s = time.monotonic() - started
        self.pulse.step(step_s)
        num_seated = engine.num_seated + len(outcomes)
        self._metrics.count_step(step_s, num_seated, engine.num_slots, outcomes)
        self._measure_memory()
        hand_out(outcomes)
        for running in tuple(self._running.values()):
            if running.solving.is_done:
                self._finish(running)
            elif running.is_report_due and running.solving.progress.num_outcomes:
                self._deliver(Progressed(running.job.id, running.report()))

    def _fail_in(self, engine: Engine, error: DeviceMemoryError) -> None:
        """End the jobs in an engine that has no memory left, and that engine; others go on."""
        for running in tuple(self._running.values()):
            if running.solving.is_in(engine):
                self._forget(running.job.id)
                self._end(Failed(running.job.id, failure_of(error)))
        self._residents.dismiss(engine)

    def _finish(self, running: Running) -> None:
        del self._running[running.job.id]
        answer = running.answer(self._worker_id)
        self._metrics.count_answer(answer)
        result = answer.to_json()
        self._end(Succeeded(running.job.id, result, running.total_s))

    def _end(self, end: End) -> None:
        if self._adaptations is not None:
            self._adaptations.forget(end.job_id)
        # Before the end can be written: the log tells it even if Redis never hears of it.
        reason = end.failure.code if isinstance(end, Failed) else None
        self._log.info("job leaves the engine", job_id=end.job_id, end=_word(end), reason=reason)
        self._deliver(end)

    def _measure_memory(self) -> None:
        now = time.monotonic()
        if now - self._measured_at >= MEMORY_EVERY_S:
            self._measured_at = now
            for engine in self._residents.engines[:1]:  # all are on one device
                used = used_memory(engine.device)
                if used is not None:
                    self._metrics.gpu_memory.set(used)


class _StoppedError(Exception):
    """The thread was told to stop while it was loading."""


def _word(end: End) -> str:
    match end:
        case Succeeded():
            return "succeeded"
        case Failed():
            return "failed"
        case Cancelled():
            return "cancelled"
        case Released():
            return "released"
