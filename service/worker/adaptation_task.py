"""An adaptation that jobs wait for, and its training."""

import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field

import structlog

from augment import Puzzle
from hrm_core import Adaptation, AdaptProgress, AdaptTurn, Checkpoint, Phase
from service.adaptation.cache import AdaptationKey
from service.wire.job import AdaptationProgress, Progress
from service.worker.messages import JOB_ERRORS, REPORT_EVERY_S

# These end an adaptation and the jobs that wait for it, and nothing else.
ENDING_ERRORS: tuple[type[Exception], ...] = (*JOB_ERRORS, OSError)


@dataclass(slots=True, eq=False)
class AdaptationTask:
    """An adaptation that jobs wait for; `id` is that of its entry in the cache.

    Units: `tried_at` by the monotonic clock, in seconds.
    """

    id: str
    key: AdaptationKey
    base: Checkpoint
    base_name: str
    puzzle: Puzzle
    job_ids: list[str] = field(default_factory=list)
    tried_at: float = 0.0

    def report(self, progress: AdaptProgress | None = None, note: str = "") -> bytes:
        """Return the progress of the jobs that wait, as JSON; None before training starts."""
        adaptation = AdaptationProgress(
            checkpoint=self.base_name,
            phase="waiting",
            used_share=0.0,
            steps=0,
            seconds=0.0,
            held_out_note=note,
        )
        if progress is not None:
            train = progress.train
            changes = {
                "phase": progress.phase.value,
                "used_share": progress.used_share,
                "steps": progress.step,
                "seconds": progress.seconds,
                "loss": None if train is None else train.lm_loss,
                "right_share": None if train is None else train.right_share,
                "held_out_share": progress.held_out_share,
            }
            adaptation = adaptation.model_copy(update=changes)
        return Progress(
            outcomes=0,
            asked=0,
            decided=0,
            test_inputs=len(self.puzzle.test),
            adaptation=adaptation,
        ).to_json()


class AdaptationRun:
    """The training of a task, a slice of a step at a time; it holds the lock of the cache entry."""

    def __init__(self, task: AdaptationTask, adaptation: Adaptation, lock: ExitStack) -> None:
        self.task = task
        self.adaptation = adaptation
        self._lock = lock
        self._turns: Iterator[AdaptTurn] = adaptation.turns()
        self._is_between_steps = True
        self._num_saves = 0
        self._reported_at = 0.0
        self._stepped_phases: set[Phase] = set()

    @property
    def may_compile(self) -> bool:
        """Whether no step of this phase was taken, so that the next slice may compile it."""
        return self.adaptation.phase not in self._stepped_phases

    def advance(self) -> bool:
        """Train one slice; return whether there is more to do."""
        phase = self.adaptation.phase
        turn = next(self._turns, None)
        if turn is None:
            return False
        self._is_between_steps = turn.is_between_steps
        if turn.is_between_steps:
            self._stepped_phases.add(phase)
        return True

    def suspend(self) -> None:
        """Train to the end of the step and save a snapshot; if that fails, the last one remains."""
        log = structlog.get_logger(__name__)
        try:
            while not self._is_between_steps and self.advance():
                continue
            if self._is_between_steps and not self.adaptation.is_complete:
                self.adaptation.save()
                log.info("adaptation suspended", entry=self.task.id)
        except ENDING_ERRORS as error:
            log.warning(
                "adaptation suspended without a snapshot", entry=self.task.id, reason=str(error)
            )

    def has_new_snapshot(self) -> bool:
        """Return whether a snapshot was saved since the last call."""
        before, self._num_saves = self._num_saves, self.adaptation.num_saves
        return self._num_saves > before

    def new_report(self) -> bytes | None:
        """Return the progress of the jobs that wait, or None where the last is not a second old."""
        now = time.monotonic()
        if now - self._reported_at < REPORT_EVERY_S:
            return None
        self._reported_at = now
        note = str(self.adaptation.record["held_out_note"])
        return self.task.report(self.adaptation.progress, note)

    def close(self) -> None:
        """Release the lock."""
        self._lock.close()
