"""The adaptations of a worker, one at a time, in turns with the engines."""

import time
from collections.abc import Callable, Collection
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import structlog

from hrm_core import Checkpoint
from service.adaptation.cache import AdaptationKey, AdaptedCache, Entry
from service.adaptation.prepare import AdaptOptions
from service.solving.members import Member
from service.solving.records import Budget
from service.worker.adaptation_queue import AdaptationQueue
from service.worker.adaptation_task import ENDING_ERRORS, AdaptationRun, AdaptationTask, for_callers
from service.worker.device_sharing import DeviceSharing
from service.worker.engine_pool import EnginePool
from service.worker.heartbeat import Watchdog
from service.worker.job_table import SolveRequest
from service.worker.messages import Change, Changed, Progressed, WorkerEvent
from service.worker.training_device import AdaptationPlan, TrainingDevice

# A step takes a second or two on a CPU; a slice keeps an engine waiting for a fraction of that.
RECIPE = AdaptOptions(slice_size=24)
IDLE_S = 0.01
# How often jobs that wait for an adaptation to begin are reported how long it may take.
WAITING_REPORT_EVERY_S = 5.0
# After a slice the engines, while they have work, get so much more time than it took.
ENGINE_SHARE = 2.0


class AdaptationTurns:
    """Enrols jobs with checkpoints, which it adapts to their puzzles first where they ask for that.

    The owner of the device calls `turn` repeatedly, while it `is_due`.

    Units: `trained_s`, how long all adaptations were trained, in seconds.
    """

    def __init__(
        self,
        pool: EnginePool,
        cache: AdaptedCache,
        deliver: Callable[[WorkerEvent], None],
        *,
        device: str,
        num_threads: int | None = None,
        snapshot_s: float = 20.0,
        compiles: bool = False,
        tuned_folder: Path | None = None,
        is_enabled: bool = True,
        gather_s: float = 0.0,
        max_s: float | None = None,
        max_devices: int | None = 1,
    ) -> None:
        """Prepare for adaptations; puzzles are gathered as `AdaptationQueue` does.

        `max_devices` as `DeviceSharing` has it.
        """
        self.is_suspended = False
        self.trained_s = 0.0
        self._pool = pool
        self._cache = cache
        self._deliver = deliver
        self._recipe = replace(RECIPE, snapshot_s=snapshot_s)
        self._trainer = TrainingDevice(
            cache, device, num_threads=num_threads, compiles=compiles, tuned_folder=tuned_folder
        )
        self.sharing = DeviceSharing(cache, pool, self._trainer, max_devices)
        self._is_enabled = is_enabled
        self._tasks = AdaptationQueue(cache, gather_s=gather_s, max_s=max_s)
        self._run: AdaptationRun | None = None
        # By job, the entries that were made for it.
        self._made_for: dict[str, set[str]] = {}
        self._owed_s = 0.0
        self._reported_at = 0.0
        self._log: Any = structlog.get_logger(__name__)

    @property
    def may_compile(self) -> bool:
        """Whether the next turn may take a minute, because it compiles the step of a phase."""
        return self._trainer.compiles and (self._run is None or self._run.may_compile)

    @property
    def num_waiting(self) -> int:
        """The number of adaptations that jobs wait for."""
        return len(self._tasks)

    @property
    def wait_s(self) -> float:
        """How long the next slice may wait for other workers, in seconds."""
        return 0.0 if self._run is None else self._run.wait_s

    def share_device(self, job_ids: Collection[str], watchdog: Watchdog, *, is_busy: bool) -> None:
        """Train another worker's adaptation while there is nothing else; give devices back else.

        `job_ids` are the jobs of this worker; `is_busy`: some are not for adaptations.
        """
        if is_busy:
            self.sharing.note_work()
            if self._run is not None:
                self._run.part()
        is_idle = not is_busy and not self.is_suspended and self._run is None

        def is_free_for(entry_id: str) -> bool:
            return is_idle and self._tasks.jobs_of(entry_id).issuperset(job_ids)

        self.sharing.help(is_free_for, watchdog)

    def enrol(self, job_id: str, request: SolveRequest, name: str) -> Member | None:
        """Enrol a checkpoint for a job, with trained rows or adapted; None while it is adapted.

        Once suspended, nothing is adapted any more, and the job is to be released.

        Raises: as `EnginePool.row_index` and `Member.find`.
        """
        puzzle, row_index = request.task.puzzle, self._pool.row_index(name)
        if (
            not self._is_enabled
            or not row_index.kind.has_own_rows
            or puzzle.kind != row_index.kind.name
            or request.options.adapt == "never"
            or (request.options.adapt == "auto" and row_index.knows(puzzle))
        ):
            return Member.find(row_index, puzzle, name=name)
        if self.is_suspended:
            return None
        try:
            entry = self._find(job_id, row_index.checkpoint, name, request)
        except OSError as error:
            raise for_callers(error) from error
        if entry is None:
            return None
        summary = entry.record.summary(
            is_reused=entry.id not in self._made_for.get(job_id, ()),
            demonstrations_hash=puzzle.demonstrations_hash,
        )
        return Member.find(
            self._pool.add_adapted(entry.id, entry.folder),
            puzzle,
            name=entry.id,
            adaptation=summary,
            calibration=row_index.calibration,
        )

    def forget(self, job_id: str) -> None:
        """Forget a job; an adaptation that no job waits for stops, and its last snapshot stays."""
        self._made_for.pop(job_id, None)
        for task in self._tasks:
            if task.remove(job_id) and not task.jobs:
                self._drop(task)

    def is_due(self, engine_s: float | None) -> bool:
        """Return whether it is an adaptation's turn on the device.

        Units: `engine_s` is how long the engines have just worked, None when they have no work.
        """
        # With no run, adaptations may all gather puzzles, or be another worker's.
        has_something_to_do = self._run is not None or self._tasks.has_ready()
        if (
            not self._tasks
            or self.sharing.is_helping
            or (engine_s is not None and not has_something_to_do)
        ):
            return False
        self._owed_s = 0.0 if engine_s is None else self._owed_s - engine_s
        return self._owed_s <= 0.0

    def turn(self) -> dict[str, Exception]:
        """Train one slice; return the jobs that fail by it, and why."""
        started = time.monotonic()
        task: AdaptationTask | None = None
        try:
            if self._run is None:
                task = self._tasks.next()
                if task is None:
                    time.sleep(IDLE_S)  # do not spin
                    return {}
                self._begin(task)
            if self._run is not None:
                task = self._run.task
                self._advance(self._run)
        except ENDING_ERRORS as error:
            if task is None:
                raise
            self._log.warning("adaptation failed", entry=task.id, reason=str(error))
            self._drop(task)
            return dict.fromkeys(task.jobs, for_callers(error))
        finally:
            self._owed_s = ENGINE_SHARE * (time.monotonic() - started)
        return {}

    def suspend(self) -> tuple[str, ...]:
        """End the step at hand, save a snapshot and adapt no more; return the jobs that waited."""
        self.is_suspended = True
        waiting = tuple(job_id for task in self._tasks for job_id in task.jobs)
        if self._run is not None:
            self._run.suspend()
        for task in self._tasks:
            self._drop(task)
        return waiting

    def end(self) -> None:
        """Part with the workers that an adaptation is trained with, this one's or another's."""
        if self._run is not None:
            self._drop(self._run.task)
        self.sharing.leave()

    def evict(self) -> None:
        """Remove what the cache has no room for, but nothing that is in use or was just made."""
        made = {entry_id for entries in self._made_for.values() for entry_id in entries}
        for entry_id in self._cache.evict({*self._pool.busy, *made, *self._tasks.ids}):
            self._pool.remove_adapted(entry_id)
            self._log.info("adapted checkpoint evicted", entry=entry_id)

    def remove(self, entry_id: str, requested_at: float) -> None:
        """Remove an adapted checkpoint, unless it was made after its removal was requested.

        Units: seconds since 1970.
        """
        entry = self._cache.entry(entry_id) if self._is_enabled else None
        if entry is None or entry.made_at > requested_at:
            return
        is_gone = self._cache.remove(entry_id)
        self._pool.remove_adapted(entry_id)
        self._log.info("adapted checkpoint removed", entry=entry_id, gone=is_gone)

    def _find(
        self, job_id: str, base: Checkpoint, base_name: str, request: SolveRequest
    ) -> Entry | None:
        """Return the adapted checkpoint for a job; None where the job now waits for it."""
        key = AdaptationKey(
            owner=request.owner,
            base_sha256=base.sha256,
            demonstrations_hash=request.task.puzzle.demonstrations_hash,
            num_variants=request.options.adapt_variants or self._recipe.num_variants,
            seconds=request.options.adapt_s,
            steps=request.options.adapt_steps,
        )
        if self._tasks.has(job_id, key):
            return None
        entry = self._cache.find(key)
        if entry is not None:
            self._cache.touch(entry.id)
            return entry
        self._tasks.join(job_id, request, key, base, base_name)
        self._deliver(Changed(job_id, Change.ADAPTING))
        self._deliver(Progressed(job_id, self._reports()[job_id]))
        return None

    def _begin(self, task: AdaptationTask) -> None:
        """Begin to train, unless another worker is at it, or has done it."""
        self._complete(task, self._tasks.met(task))
        if not task.jobs:
            return
        with ExitStack() as lock:
            if not lock.enter_context(self._cache.locked(task.id)):
                return
            entry = self._cache.entry(task.id)
            if entry is not None and entry.record.complete:
                self._complete(task, tuple(task.jobs))
                return
            key, budget = task.key, self._tasks.budget_of(task)
            options = replace(
                self._recipe,
                seconds=budget.seconds,
                steps=budget.steps,
                num_variants=key.num_variants,
            )
            plan = AdaptationPlan(
                task.id,
                task.base_name,
                key.base_sha256,
                key.owner,
                options,
                Budget(seconds=key.seconds, steps=key.steps),
            )
            self._cache.touch(task.id)
            adaptation = self._trainer.prepare(plan, task.base, task.puzzles)
            task.is_fixed = True
            self._log.info(
                "adaptation begins",
                entry=task.id,
                puzzles=len(task.puzzles),
                step=adaptation.run.step,
            )
            self._run = self.sharing.lead(task, adaptation, lock.pop_all(), plan)

    def _advance(self, run: AdaptationRun) -> None:
        task, adaptation = run.task, run.adaptation
        started = time.monotonic()
        has_more = run.advance()
        self.trained_s += time.monotonic() - started
        if run.has_new_snapshot():
            for job_id in task.jobs:
                self._deliver(Changed(job_id, Change.ADVANCED))
        if has_more:
            self._report(run)
            return
        self._log.info(
            "adaptation complete",
            entry=task.id,
            steps=adaptation.run.step,
            seconds=round(adaptation.run.seconds, 1),
            held_out_share=adaptation.held_out_share,
            ended_by=adaptation.ending,
        )
        for job_id in task.jobs:
            self._made_for.setdefault(job_id, set()).add(task.id)
        self._complete(task, tuple(task.jobs))

    def _report(self, run: AdaptationRun) -> None:
        """Deliver the progress of the jobs that wait, where it is due."""
        reports = run.new_reports()
        now = time.monotonic()
        if now - self._reported_at >= WAITING_REPORT_EVERY_S:
            self._reported_at = now
            reports = self._reports()
        for job_id, data in reports.items():
            self._deliver(Progressed(job_id, data))

    def _reports(self) -> dict[str, bytes]:
        """Return the progress of all jobs that wait for an adaptation, as JSON."""
        if self._run is None:
            return self._tasks.waiting_reports(None, None)
        task, progress = self._run.task, self._run.adaptation.progress
        self._tasks.note_speed(task, self._run.adaptation)
        waiting = self._tasks.waiting_reports(task, progress.remaining_s)
        return self._run.reports() | waiting

    def _complete(self, task: AdaptationTask, job_ids: Collection[str]) -> None:
        """Let jobs of a task be solved; the task is over once no job waits for it."""
        for job_id in job_ids:
            task.remove(job_id)
            self._deliver(Changed(job_id, Change.RUNNING))
        if not task.jobs:
            self._drop(task)

    def _drop(self, task: AdaptationTask) -> None:
        self._tasks.drop(task)
        if self._run is not None and self._run.task is task:
            self._tasks.note_speed(task, self._run.adaptation)
            self._run.close()
            self._run = None
