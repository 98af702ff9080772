"""The order in which waiting samples enter slots; no tensors."""

from collections import deque
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum

from hrm_core.engine.samples import HaltRule, Sample, SampleFilter, any_sample

# While both kinds wait, every so many admissions one is batch, so that batch never starves.
BATCH_EVERY = 8


class Priority(IntEnum):
    """The class of a job; interactive samples go first."""

    INTERACTIVE = 0
    BATCH = 1


@dataclass(frozen=True, slots=True)
class Entry:
    """A waiting or seated sample with its job, its halting and its priority."""

    job: Hashable
    sample: Sample
    rule: HaltRule
    priority: Priority


class Scheduler:
    """Queues of samples by priority and job; jobs of one priority take turns."""

    def __init__(self) -> None:
        self._queues: dict[Priority, dict[Hashable, deque[Entry]]] = {p: {} for p in Priority}
        self._num_interactive_in_a_row = 0

    def __len__(self) -> int:
        return sum(len(queue) for queues in self._queues.values() for queue in queues.values())

    def add(
        self, job: Hashable, samples: Iterable[Sample], rule: HaltRule, priority: Priority
    ) -> None:
        """Queue a job's samples in the order given, behind those it has waiting."""
        queue = self._queues[priority].setdefault(job, deque())
        queue.extend(Entry(job, sample, rule, priority) for sample in samples)
        if not queue:
            del self._queues[priority][job]

    def put_back(self, entries: Sequence[Entry]) -> None:
        """Queue taken entries again, ahead of what their jobs have waiting."""
        for entry in reversed(entries):
            self._queues[entry.priority].setdefault(entry.job, deque()).appendleft(entry)

    def cancel(self, job: Hashable, wanted: SampleFilter = any_sample) -> int:
        """Drop a job's waiting samples, or those with a wanted id; return how many."""
        num_before = len(self)
        for queues in self._queues.values():
            if job in queues:
                queues[job] = deque(e for e in queues[job] if not wanted(e.sample.sample_id))
                if not queues[job]:
                    del queues[job]
        return num_before - len(self)

    def take(self, num: int) -> list[Entry]:
        """Take up to `num` entries: interactive first, jobs in turn, batch now and then."""
        taken: list[Entry] = []
        while len(taken) < num:
            priority = self._next_priority()
            if priority is None:
                break
            taken.append(self._take_from(self._queues[priority]))
        return taken

    def _next_priority(self) -> Priority | None:
        interactive, batch = (bool(self._queues[priority]) for priority in Priority)
        if interactive and not batch:
            self._num_interactive_in_a_row = 0
            return Priority.INTERACTIVE
        if interactive and self._num_interactive_in_a_row < BATCH_EVERY - 1:
            self._num_interactive_in_a_row += 1
            return Priority.INTERACTIVE
        self._num_interactive_in_a_row = 0
        return Priority.BATCH if batch else None

    def _take_from(self, queues: dict[Hashable, deque[Entry]]) -> Entry:
        job = next(iter(queues))
        queue = queues.pop(job)
        entry = queue.popleft()
        if queue:
            queues[job] = queue  # goes to the back of the turn order
        return entry
