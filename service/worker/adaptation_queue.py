"""The adaptations that jobs wait for: who shares one, which is next, how long they take."""

import math
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from augment import Puzzle, choose_crop
from hrm_core import Adaptation, Checkpoint, expected_seconds
from service.adaptation.cache import AdaptationKey, AdaptedCache, Entry
from service.solving.records import Budget, read_index
from service.wire.errors import PuzzleIndexError
from service.wire.options import Priority
from service.worker.adaptation_task import AdaptationTask
from service.worker.job_table import SolveRequest

# How often to try for an entry that another worker holds.
TRY_EVERY_S = 1.0
# Rows, data and checks grow with them, and all wait for the whole. No more than a folder has probes
# for, from which an interrupted adaptation gets its puzzles back.
MAX_TOGETHER: Final = 16

_Size = tuple[str, tuple[int, ...]]


class AdaptationQueue:
    """The adaptations of a worker that are not over, in the order in which jobs asked for them.

    Puzzles of one owner, base, budget and priority that come within `gather_s`, or before their
    adaptation begins, are adapted to together; with 0 each gets its own. What was begun before is
    gone on with as it was, with the puzzles that it had.

    Units: seconds; `max_s` is the longest that several puzzles may take.
    """

    def __init__(
        self, cache: AdaptedCache, *, gather_s: float = 0.0, max_s: float | None = None
    ) -> None:
        self._cache = cache
        self._gather_s, self._max_s = gather_s, max_s
        self._tasks: list[AdaptationTask] = []
        # The seconds that a step took, by base and size.
        self._steps_s: dict[_Size, float] = {}

    def __len__(self) -> int:
        return len(self._tasks)

    def __iter__(self) -> Iterator[AdaptationTask]:
        """Iterate over a copy, so that tasks can be dropped meanwhile."""
        return iter(tuple(self._tasks))

    @property
    def ids(self) -> frozenset[str]:
        """The cache entries of the tasks."""
        return frozenset(task.id for task in self._tasks)

    def jobs_of(self, entry_id: str) -> frozenset[str]:
        """Return the jobs that wait for the adaptation of a cache entry."""
        return frozenset(job for task in self._tasks if task.id == entry_id for job in task.jobs)

    def has(self, job_id: str, key: AdaptationKey) -> bool:
        """Return whether a job waits for an adaptation of a key."""
        return any(job_id in task.jobs and task.key == key.shared for task in self._tasks)

    def join(
        self,
        job_id: str,
        request: SolveRequest,
        key: AdaptationKey,
        base: Checkpoint,
        base_name: str,
    ) -> None:
        """Let a job wait for an adaptation to its puzzle, perhaps one that others wait for."""
        puzzle, priority = request.task.puzzle, request.options.priority
        task = self._task_for(puzzle, key, priority)
        if task is None:
            begun = self._begun_before(puzzle, key, base_name)
            task = AdaptationTask(key.shared, base, base_name, priority, begun)
            self._tasks.append(task)
        task.add(job_id, puzzle)

    def met(self, task: AdaptationTask) -> tuple[str, ...]:
        """Return the jobs of a task that an adaptation which is complete by now is enough for."""
        entries = self._cache.entries()
        is_met = {
            digest: any(
                replace(task.key, demonstrations_hash=digest).is_met_by(entry.record)
                for entry in entries
            )
            for digest in task.demonstrations
        }
        return tuple(
            job_id
            for job_id, puzzle in task.jobs.items()
            if is_met.get(puzzle.demonstrations_hash, False)
        )

    def drop(self, task: AdaptationTask) -> None:
        """Remove a task, if it is here."""
        if task in self._tasks:
            self._tasks.remove(task)

    def has_ready(self) -> bool:
        """Return whether a task may be tried now."""
        now = time.monotonic()
        return any(self._is_ready(task, now) for task in self._tasks)

    def next(self) -> AdaptationTask | None:
        """Return the first task that may be tried now: others gather, or are another worker's."""
        now = time.monotonic()
        for task in self._tasks:
            if self._is_ready(task, now):
                task.tried_at = now
                return task
        return None

    def budget_of(self, task: AdaptationTask) -> Budget:
        """Return the budget of a task, which depends on the number of its puzzles."""
        asked = Budget(seconds=task.key.seconds, steps=task.key.steps)
        return budget_together(asked, len(task.puzzles), self._max_s)

    def note_speed(self, task: AdaptationTask, adaptation: Adaptation) -> None:
        """Remember how fast a task was trained, for those of its size."""
        if adaptation.step_s is not None:
            self._steps_s[_size_of(task)] = adaptation.step_s

    def waiting_reports(
        self, running: AdaptationTask | None, remaining_s: float | None
    ) -> dict[str, bytes]:
        """Return the progress of the jobs that wait for an adaptation to begin, as JSON.

        Units: `remaining_s` of the one that is trained now.
        """
        ahead_s = 0.0 if running is None else remaining_s
        reports: dict[str, bytes] = {}
        for task in self._tasks:
            if task is running:
                continue
            budget, step_s = self.budget_of(task), self._steps_s.get(_size_of(task))
            expected_s = expected_seconds(budget.steps, budget.seconds, step_s)
            ahead_s = None if ahead_s is None or expected_s is None else ahead_s + expected_s
            reports |= task.reports(expected_s=expected_s, remaining_s=ahead_s)
        return reports

    def _task_for(
        self, puzzle: Puzzle, key: AdaptationKey, priority: Priority
    ) -> AdaptationTask | None:
        """Return the task that a puzzle shares, or may join."""
        alike = [task for task in self._tasks if task.key == key.shared]
        for task in alike:
            if key.demonstrations_hash in task.demonstrations:
                return task
        for task in alike:
            # What is urgent does not wait for a batch; a puzzle that does not fit fails alone.
            if task.priority == priority and self._is_open(task) and _fits(task, puzzle):
                return task
        return None

    def _is_open(self, task: AdaptationTask) -> bool:
        is_gathering = self._gather_s > 0 and not task.is_fixed
        return is_gathering and len(task.puzzles) < MAX_TOGETHER

    def _is_ready(self, task: AdaptationTask, now: float) -> bool:
        if now - task.tried_at < TRY_EVERY_S:
            return False
        return not self._is_open(task) or now - task.opened_at >= self._gather_s

    def _begun_before(
        self, puzzle: Puzzle, key: AdaptationKey, base_name: str
    ) -> tuple[Puzzle, ...]:
        """Return the puzzles of an adaptation of this one that was interrupted; none without."""
        for entry in self._cache.find_begun(key):
            is_this_bases = entry.id == key.entry_id(base_name, entry.record.puzzles.values())
            puzzles = puzzles_of(entry, puzzle) if is_this_bases else None
            if puzzles is not None:
                return puzzles
        return ()


def _fits(task: AdaptationTask, puzzle: Puzzle) -> bool:
    canvas = task.base.config.canvas
    return all(one.fits(canvas) for one in (*task.puzzles, puzzle))


def _size_of(task: AdaptationTask) -> _Size:
    """Return what the time of a step depends on: the base, and the sides of the squares."""
    config, puzzles = task.base.config, task.puzzles
    sides = {config.canvas}
    if config.crop and _fits(task, puzzles[0]):
        sides = {choose_crop(puzzle, config.canvas).size for puzzle in puzzles}
    return task.key.base_sha256, tuple(sorted(sides))


def budget_together(asked: Budget, num_puzzles: int, max_s: float | None) -> Budget:
    """Return the budget for several puzzles: what each asked for, times the root of their number.

    Puzzles help each other, and a batch holds samples of all of them, so four take twice as long as
    one and not four times. It is at most `max_s`, but never less than was asked.

    Units: seconds.
    """
    factor = math.sqrt(num_puzzles)
    seconds, steps = asked.seconds, asked.steps
    if seconds is not None:
        longest_s = math.inf if max_s is None else max(seconds, max_s)
        seconds = min(seconds * factor, longest_s)
    return Budget(seconds=seconds, steps=None if steps is None else math.ceil(steps * factor))


def puzzles_of(entry: Entry, puzzle: Puzzle | None = None) -> tuple[Puzzle, ...] | None:
    """Return the puzzles of an entry, of which one may be given; None where some are not there.

    They are there as they were trained: another upload may have them in another order.
    """
    try:
        index = read_index(entry.folder)
    except PuzzleIndexError:
        return None
    known = {} if puzzle is None else {puzzle.demonstrations_hash: puzzle}
    known |= {probe.demonstrations_hash: probe for probe in (index.probes if index else ())}
    found = [
        replace(known[digest], name=name)
        for name, digest in entry.record.puzzles.items()
        if digest in known
    ]
    return tuple(found) if len(found) == len(entry.record.puzzles) else None
