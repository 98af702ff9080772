"""The scheduler: the order of samples and jobs, and that no sample waits for ever."""

from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hrm_core import EngineError, Halting, Priority, Sample
from hrm_core.engine.scheduler import BATCH_EVERY, Entry, HaltRule, Scheduler, SlotTable

RULE = HaltRule(Halting.FIXED, 1)
NOTHING = np.zeros(0, dtype=np.int32)
ROW = np.zeros(0, dtype=np.float32)

jobs = st.integers(0, 4)
sizes = st.integers(0, 12)
queues = st.lists(st.tuples(jobs, sizes, st.sampled_from(Priority)), min_size=1, max_size=10)


def samples(first: int, num: int) -> list[Sample]:
    return [Sample(i, NOTHING, ROW) for i in range(first, first + num)]


def fill(scheduler: Scheduler, queues: list[tuple[int, int, Priority]]) -> dict[int, Priority]:
    """Add batches of samples, numbered in order of arrival; gives each number's priority."""
    priorities: dict[int, Priority] = {}
    for job, num, priority in queues:
        first = len(priorities)
        scheduler.add(job, samples(first, num), RULE, priority)
        priorities.update(dict.fromkeys(range(first, first + num), priority))
    return priorities


@given(queues=queues, chunks=st.lists(st.integers(0, 7), max_size=60))
def test_each_entry_is_taken_once_and_each_job_s_in_order_of_arrival(
    queues: list[tuple[int, int, Priority]], chunks: list[int]
) -> None:
    scheduler = Scheduler()
    priorities = fill(scheduler, queues)
    taken: list[Entry] = []
    for num in [*chunks, len(priorities)]:
        num_waiting = len(scheduler)
        part = scheduler.take(num)
        assert len(part) == min(num, num_waiting)
        assert len(scheduler) == num_waiting - len(part)
        taken += part
    assert sorted(entry.sample.sample_id for entry in taken) == list(range(len(priorities)))
    by_queue: dict[tuple[object, Priority], list[int]] = defaultdict(list)
    for entry in taken:
        by_queue[entry.job, priorities[entry.sample.sample_id]].append(entry.sample.sample_id)
    assert all(ids == sorted(ids) for ids in by_queue.values())


@given(queues=queues, chunk=st.integers(1, 9))
def test_while_both_wait_one_in_eight_is_batch_and_the_others_are_interactive(
    queues: list[tuple[int, int, Priority]], chunk: int
) -> None:
    scheduler = Scheduler()
    priorities = fill(scheduler, queues)
    num_left = {p: list(priorities.values()).count(p) for p in Priority}
    kinds: list[Priority] = []  # of those taken while both kinds waited
    while len(scheduler):
        for entry in scheduler.take(chunk):
            kind = priorities[entry.sample.sample_id]
            if all(num_left.values()):
                kinds.append(kind)
            num_left[kind] -= 1
    expected = [
        Priority.BATCH if (i + 1) % BATCH_EVERY == 0 else Priority.INTERACTIVE
        for i in range(len(kinds))
    ]
    assert kinds == expected


def test_batch_does_not_jump_the_queue_because_interactive_was_first_before() -> None:
    scheduler = Scheduler()
    scheduler.add("now", samples(0, 40), RULE, Priority.INTERACTIVE)
    scheduler.take(20)
    scheduler.add("later", samples(100, 2), RULE, Priority.BATCH)
    ids = [entry.sample.sample_id for entry in scheduler.take(9)]
    assert ids == [*range(20, 27), 100, 27]


@given(
    sizes=st.lists(st.integers(1, 9), min_size=2, max_size=6),
    priority=st.sampled_from(Priority),
    chunk=st.integers(1, 5),
)
def test_jobs_of_one_priority_take_turns(sizes: list[int], priority: Priority, chunk: int) -> None:
    scheduler = Scheduler()
    for job, num in enumerate(sizes):
        scheduler.add(job, samples(0, num), RULE, priority)
    taken: list[object] = []
    while len(scheduler):
        taken += [entry.job for entry in scheduler.take(chunk)]
    turns = [job for turn in range(max(sizes)) for job, num in enumerate(sizes) if num > turn]
    assert taken == turns


@given(queues=queues, cancelled=st.sets(jobs), num_before=st.integers(0, 30))
def test_a_cancelled_job_is_never_taken_and_the_others_lose_nothing(
    queues: list[tuple[int, int, Priority]], cancelled: set[int], num_before: int
) -> None:
    scheduler = Scheduler()
    priorities = fill(scheduler, queues)
    taken = scheduler.take(num_before)
    for job in cancelled:
        num_waiting = len(scheduler)
        assert scheduler.cancel(job) == num_waiting - len(scheduler)
    after = scheduler.take(len(priorities))
    assert not cancelled & {entry.job for entry in after}
    jobs_of = [job for job, num, _ in queues for _ in range(num)]
    num_kept = sum(job not in cancelled for job in jobs_of)
    assert sum(entry.job not in cancelled for entry in [*taken, *after]) == num_kept
    assert len(scheduler) == 0


def test_cancelling_some_samples_keeps_the_job_s_turn() -> None:
    scheduler = Scheduler()
    scheduler.add("a", samples(0, 3), RULE, Priority.BATCH)
    scheduler.add("b", samples(10, 2), RULE, Priority.BATCH)
    assert scheduler.cancel("a", lambda sample_id: sample_id in (0, 2, 10)) == 2
    assert [entry.sample.sample_id for entry in scheduler.take(9)] == [1, 10, 11]


def test_a_seat_is_given_back_once() -> None:
    slots = SlotTable(3)
    entries = [Entry("a", sample, RULE, Priority.BATCH) for sample in samples(0, 2)]
    assert slots.seat(entries) == [0, 1]
    assert (slots.taken(), slots.free()) == ([0, 1], [2])
    assert slots.release(0) is entries[0]
    with pytest.raises(EngineError, match="slot 0 is already free"):
        slots.release(0)
    assert slots.evict("b") == []
    assert slots.evict("a") == [1]
    assert slots.num_taken == 0
