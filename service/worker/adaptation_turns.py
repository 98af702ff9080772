"""The adaptations of a worker, one at a time, in turns with the engines."""

import time
from collections.abc import Callable, Collection
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import structlog

from hrm_core import Checkpoint, can_compile, pick_device
from service.adaptation.cache import AdaptationKey, AdaptedCache, Entry
from service.adaptation.prepare import AdaptOptions, prepare_adaptation
from service.solving.members import Member
from service.solving.records import Budget
from service.wire.errors import AdaptationError
from service.worker.adaptation_queue import AdaptationQueue
from service.worker.adaptation_task import ENDING_ERRORS, AdaptationRun, AdaptationTask
from service.worker.engine_pool import EnginePool
from service.worker.job_table import SolveRequest
from service.worker.messages import Change, Changed, Progressed, WorkerEvent

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
    ) -> None:
        """Prepare for adaptations; puzzles are gathered as `AdaptationQueue` does."""
        self.is_suspended = False
        self.trained_s = 0.0
        self._pool = pool
        self._cache = cache
        self._deliver = deliver
        self._device, self._num_threads = device, num_threads
        self._recipe = replace(RECIPE, snapshot_s=snapshot_s)
        self._compiles = compiles and can_compile(pick_device(device))
        self._tuned_folder = tuned_folder
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
        return self._compiles and (self._run is None or self._run.may_compile)

    @property
    def num_waiting(self) -> int:
        """The number of adaptations that jobs wait for."""
        return len(self._tasks)

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
            raise _for_callers(error) from error
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
        if not self._tasks or (engine_s is not None and not has_something_to_do):
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
            return dict.fromkeys(task.jobs, _for_callers(error))
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
            self._cache.touch(task.id)
            adaptation = prepare_adaptation(
                task.base,
                task.base.config,
                task.puzzles,
                self._cache.folder(task.id),
                options,
                device=self._device,
                compile_step=None if self._compiles else False,
                num_threads=self._num_threads,
                owner=key.owner,
                budget_each=Budget(seconds=key.seconds, steps=key.steps),
                tuned_folder=self._tuned_folder,
            )
            task.is_fixed = True
            self._log.info(
                "adaptation begins",
                entry=task.id,
                puzzles=len(task.puzzles),
                step=adaptation.run.step,
            )
            self._run = AdaptationRun(task, adaptation, lock.pop_all())

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


def _for_callers(error: Exception) -> Exception:
    """Return the error with a message for callers: that of the file system may name paths."""
    if not isinstance(error, OSError):
        return error
    return AdaptationError(
        f"the adaptation could not be written ({error.strerror or type(error).__name__}): the "
        "service's state folder needs room, or a repair"
    )
