"""Samples and outcomes, the order in which samples enter slots, and who has which; no tensors."""

from collections import deque
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum, IntEnum
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from hrm_core.errors import EngineError

# While both kinds wait, every so many admissions one is batch, so that batch never starves.
BATCH_EVERY = 8


class Halting(Enum):
    """The rule by which a sample halts.

    `ACT`: once q calls its answer right (q_halt > 0) and the answer has settled. `FIXED`: after all
    segments, as the reference evaluates. Training's rule, q_halt > q_continue, does not serve for
    stopping early: q_continue learns the best q still to come, which for a settled answer is its
    own, so the two alternate by chance, and answers that would still change stop. Each is one vote
    of many, but where votes are divided a single one moves an attempt.
    """

    ACT = "act"
    FIXED = "fixed"


@dataclass(frozen=True, slots=True)
class HaltRule:
    """A sample's halting, and the number of segments it may take."""

    halting: Halting
    max_segments: int


# Whether a sample, by its id, is meant.
SampleFilter = Callable[[Any], bool]


def any_sample(sample_id: object) -> bool:
    """Match every sample."""
    return True


@dataclass(frozen=True, slots=True)
class Sample:
    """One canvas with its puzzle row; `sample_id` is unique within its job.

    Of a traced sample the outcome has the predictions of every segment, which are copied to the
    host as they come.

    Shapes: tokens int32 [S]; puzzle_row float32 [puzzle_emb_ndim].
    """

    sample_id: Any
    tokens: npt.NDArray[np.int32]
    puzzle_row: npt.NDArray[np.float32]
    is_traced: bool = False


class Outcome(NamedTuple):
    """A halted sample's answer, with the job and the id that it was added with.

    A tuple, since a busy engine makes tens of thousands a second.

    `predictions` are the tokens after each segment, of a traced sample; the last are `tokens`.

    Shapes: tokens uint8 [S]; predictions uint8 [steps, S].

    Units: `steps` in segments.
    """

    job: Any
    sample_id: Any
    tokens: npt.NDArray[np.uint8]
    q_halt_logit: float
    q_continue_logit: float
    steps: int
    predictions: npt.NDArray[np.uint8] | None = None


def group_by_job(outcomes: Iterable[Outcome]) -> dict[Any, list[Outcome]]:
    """Group outcomes by the job that they were added with."""
    by_job: dict[Any, list[Outcome]] = {}
    for outcome in outcomes:
        by_job.setdefault(outcome.job, []).append(outcome)
    return by_job


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
            queues = self._queues[priority]
            job = next(iter(queues))
            queue = queues.pop(job)
            taken.append(queue.popleft())
            if queue:
                queues[job] = queue  # goes to the back of the turn order
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


class SlotTable:
    """A fixed number of slots, each free or taken by one entry."""

    def __init__(self, num_slots: int) -> None:
        self._entries: list[Entry | None] = [None] * num_slots

    @property
    def num_taken(self) -> int:
        """Number of taken slots."""
        return len(self.taken())

    def taken(self) -> list[int]:
        """Return the taken slots, lowest first."""
        return [slot for slot, entry in enumerate(self._entries) if entry is not None]

    def free(self) -> list[int]:
        """Return the free slots, lowest first."""
        return [slot for slot, entry in enumerate(self._entries) if entry is None]

    @property
    def jobs(self) -> frozenset[Hashable]:
        """The jobs of the entries."""
        return frozenset(entry.job for entry in self._entries if entry is not None)

    def seat(self, entries: Sequence[Entry]) -> list[int]:
        """Assign each entry a free slot, of which there must be enough, and return the slots."""
        slots = self.free()[: len(entries)]
        for slot, entry in zip(slots, entries, strict=True):
            self._entries[slot] = entry
        return slots

    def release(self, slot: int) -> Entry:
        """Free a taken slot and return its entry.

        Raises: EngineError when the slot is free.
        """
        entry = self._entries[slot]
        if entry is None:
            raise EngineError(f"slot {slot} is already free")
        self._entries[slot] = None
        return entry

    def clear(self) -> list[Entry]:
        """Free every slot and return their entries, lowest slot first."""
        return [self.release(slot) for slot in self.taken()]

    def evict(self, job: Hashable, wanted: SampleFilter = any_sample) -> list[int]:
        """Free the slots of a job, or of its samples with a wanted id, and return them."""
        slots = [
            slot
            for slot, entry in enumerate(self._entries)
            if entry and entry.job == job and wanted(entry.sample.sample_id)
        ]
        for slot in slots:
            self.release(slot)
        return slots
