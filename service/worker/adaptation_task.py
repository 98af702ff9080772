"""An adaptation that jobs wait for, and its training."""

import time
from collections import Counter
from collections.abc import Generator, Iterable
from contextlib import ExitStack
from dataclasses import replace

import structlog

from augment import Dialect, Puzzle
from hrm_core import Adaptation, AdaptProgress, AdaptTurn, Checkpoint, Phase
from service.adaptation.cache import AdaptationKey
from service.wire.errors import AdaptationError
from service.wire.job import AdaptationProgress, Progress
from service.wire.options import Priority
from service.worker.messages import JOB_ERRORS, REPORT_EVERY_S

# These end an adaptation and the jobs that wait for it, and nothing else.
ENDING_ERRORS: tuple[type[Exception], ...] = (*JOB_ERRORS, OSError)


def for_callers(error: Exception) -> Exception:
    """Return the error with a message for callers: that of the file system may name paths."""
    if not isinstance(error, OSError):
        return error
    return AdaptationError(
        f"the adaptation could not be written ({error.strerror or type(error).__name__}): the "
        "service's state folder needs room, or a repair"
    )


class AdaptationTask:
    """An adaptation that jobs wait for, each with its puzzle.

    `key` is what the puzzles have in common. Those of the jobs are `puzzles`, until they are fixed:
    as training begins, or as it was begun before.

    Units: times by the monotonic clock, in seconds.
    """

    def __init__(
        self,
        key: AdaptationKey,
        base: Checkpoint,
        base_name: str,
        priority: Priority,
        fixed: tuple[Puzzle, ...] = (),
    ) -> None:
        self.key, self.base, self.base_name, self.priority = key, base, base_name, priority
        self.is_fixed = bool(fixed)
        self.opened_at, self.tried_at = time.monotonic(), 0.0
        self.jobs: dict[str, Puzzle] = {}
        self._set_puzzles(fixed)

    def add(self, job_id: str, puzzle: Puzzle) -> None:
        """Let a job wait; its puzzle is one of those that are fixed, or joins them."""
        self.jobs[job_id] = puzzle
        self._gather()

    def remove(self, job_id: str) -> bool:
        """Let a job wait no longer; return whether it did. What is fixed stays."""
        was_here = self.jobs.pop(job_id, None) is not None
        self._gather()
        return was_here

    def _gather(self) -> None:
        if not self.is_fixed:
            self._set_puzzles(unite(self.jobs.values()))

    def _set_puzzles(self, puzzles: tuple[Puzzle, ...]) -> None:
        # Kept: they are asked for in every turn, and hashing takes a while.
        self.puzzles = puzzles
        self.demonstrations = frozenset(puzzle.demonstrations_hash for puzzle in puzzles)
        self.id = self.key.entry_id(self.base_name, self.demonstrations)

    def reports(
        self,
        progress: AdaptProgress | None = None,
        note: str = "",
        *,
        num_devices: int = 1,
        expected_s: float | None = None,
        remaining_s: float | None = None,
    ) -> dict[str, bytes]:
        """Return the progress of each job that waits, as JSON.

        Before training starts it is None, and the times are what is expected; remaining with what
        goes first.
        """
        adaptation = AdaptationProgress(
            checkpoint=self.base_name,
            phase="waiting",
            used_share=0.0,
            steps=0,
            seconds=0.0,
            held_out_note=note,
            puzzles=len(self.puzzles),
            devices=num_devices,
            expected_s=expected_s,
            remaining_s=remaining_s,
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
                "expected_s": progress.expected_s,
                "remaining_s": progress.remaining_s,
            }
            adaptation = adaptation.model_copy(update=changes)
        return {
            job_id: Progress(
                outcomes=0,
                asked=0,
                decided=0,
                test_inputs=len(puzzle.test),
                adaptation=adaptation,
            ).to_json()
            for job_id, puzzle in self.jobs.items()
        }


class SlicedTraining:
    """The training of an adaptation, a slice of a step at a time."""

    def __init__(self, adaptation: Adaptation) -> None:
        self.adaptation = adaptation
        self.is_between_steps = True
        self._turns: Generator[AdaptTurn, None, None] = adaptation.turns()
        self._stepped_phases: set[Phase] = set()

    @property
    def may_compile(self) -> bool:
        """Whether no step of this phase was taken, so that the next slice may compile it."""
        return self.adaptation.phase not in self._stepped_phases

    def restart(self, adaptation: Adaptation) -> None:
        """Go on with the same adaptation, as resumed from its snapshot."""
        self._turns.close()
        self.adaptation, self._turns = adaptation, adaptation.turns()
        self.is_between_steps = True
        self._stepped_phases.clear()

    def advance(self) -> bool:
        """Train one slice; return whether there is more to do."""
        phase = self.adaptation.phase
        turn = next(self._turns, None)
        if turn is None:
            return False
        self.is_between_steps = turn.is_between_steps
        if turn.is_between_steps:
            self._stepped_phases.add(phase)
        return True


class AdaptationRun(SlicedTraining):
    """The training of a task; it holds the lock of the cache entry."""

    def __init__(self, task: AdaptationTask, adaptation: Adaptation, lock: ExitStack) -> None:
        super().__init__(adaptation)
        self.task = task
        self._lock = lock
        self._num_saves_seen = 0
        self._reported_at = 0.0

    @property
    def wait_s(self) -> float:
        """How long a slice may wait for other workers, in seconds."""
        return 0.0

    @property
    def num_saves(self) -> int:
        """The number of snapshots of this run."""
        return self.adaptation.num_saves

    def suspend(self) -> None:
        """Train to the end of the step and save a snapshot; if that fails, the last one remains."""
        log = structlog.get_logger(__name__)
        try:
            while not self.is_between_steps and self.advance():
                continue
            if self.is_between_steps and not self.adaptation.is_complete:
                self.adaptation.save()
                log.info("adaptation suspended", entry=self.task.id)
        except ENDING_ERRORS as error:
            log.warning(
                "adaptation suspended without a snapshot", entry=self.task.id, reason=str(error)
            )

    def has_new_snapshot(self) -> bool:
        """Return whether a snapshot was saved since the last call."""
        before, self._num_saves_seen = self._num_saves_seen, self.num_saves
        return self._num_saves_seen > before

    def new_reports(self) -> dict[str, bytes]:
        """Return the progress of the jobs that wait; none where the last is not a second old."""
        now = time.monotonic()
        if now - self._reported_at < REPORT_EVERY_S:
            return {}
        self._reported_at = now
        return self.reports()

    def reports(self) -> dict[str, bytes]:
        """Return the progress of the jobs that wait, as JSON."""
        note = str(self.adaptation.record["held_out_note"])
        num_devices = self.adaptation.run.ranks.size
        return self.task.reports(self.adaptation.progress, note, num_devices=num_devices)

    def part(self) -> None:
        """Give the devices of other workers back; without any there is nothing to do."""

    def close(self) -> None:
        """Release the lock."""
        self._lock.close()


def unite(puzzles: Iterable[Puzzle]) -> tuple[Puzzle, ...]:
    """Return each puzzle once, in an order that does not depend on who came first.

    Of several, those are renamed that share a name, or have one that reads as a variant of another.
    """
    by_hash: dict[str, Puzzle] = {}
    for puzzle in puzzles:
        by_hash.setdefault(puzzle.demonstrations_hash, puzzle)
    ordered = sorted(by_hash.items())
    if len(ordered) < 2:
        return tuple(by_hash.values())
    names = Counter(puzzle.name for puzzle in by_hash.values())
    return tuple(
        puzzle
        if names[puzzle.name] == 1 and _is_plain(puzzle.name)
        else replace(puzzle, name=f"puzzle-{digest[:16]}")
        for digest, puzzle in ordered
    )


def _is_plain(name: str) -> bool:
    return Dialect.TRM.separator not in name and Dialect.HRM.puzzle_of(name) == name
