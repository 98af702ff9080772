"""Whatever callers and workers do in whatever order, every job is accounted for."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import pytest
import redis
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, precondition, rule
from hypothesis.stateful import run_state_machine_as_test as run_machine

from service.jobs import Claims, Failure, JobState, JobStore, NewJob
from service.wire.errors import QueueFull

T = TypeVar("T")
WORKERS = ("one", "two")
OWNERS = ("anna", "ben")
MAX_QUEUED, SHARE, MAX_ATTEMPTS = 6, 4, 3


class JobLives(RuleBasedStateMachine):
    """Compares the job layer with a dictionary of what each job must be."""

    url = ""
    ids = Bundle("ids")

    def __init__(self) -> None:
        super().__init__()
        self.client = redis.Redis.from_url(self.url)
        self.client.flushall()
        self.workers = {
            name: Claims(self.url, worker_id=name, lease_s=0.001, max_attempts=MAX_ATTEMPTS)
            for name in WORKERS
        }
        self.states: dict[str, JobState] = {}
        self.owners: dict[str, str] = {}
        self.attempts: dict[str, int] = {}
        self.held_by: dict[str, str] = {}
        # What each worker works on: also what another one has taken over meanwhile.
        self.works_on: dict[str, set[str]] = {name: set() for name in WORKERS}
        self.results: dict[str, bytes] = {}

    def teardown(self) -> None:
        for claims in self.workers.values():
            claims.close()
        self.client.close()

    def ask(self, call: Callable[[JobStore], Coroutine[Any, Any, T]]) -> T:
        async def run() -> T:
            store = JobStore.connect(self.url, max_queued=MAX_QUEUED)
            try:
                return await call(store)
            finally:
                await store.close()

        return asyncio.run(run())

    def waiting(self, owner: str | None = None) -> list[str]:
        return [
            job_id
            for job_id, state in self.states.items()
            if state is JobState.QUEUED and owner in (None, self.owners[job_id])
        ]

    @rule(
        target=ids,
        owner=st.sampled_from(OWNERS),
        priority=st.sampled_from(["interactive", "batch"]),
    )
    def submit(self, owner: str, priority: Any) -> str:
        new = NewJob(
            owner=owner,
            name="p",
            options=b"{}",
            fingerprint="f",
            share=SHARE,
            priority=priority,
            task=b"{}",
        )
        has_place = len(self.waiting()) < MAX_QUEUED and len(self.waiting(owner)) < SHARE
        try:
            job_id = self.ask(lambda store: store.submit(new)).job.id
        except QueueFull:
            assert not has_place
            return ""
        assert has_place
        self.states[job_id], self.owners[job_id] = JobState.QUEUED, owner
        self.attempts[job_id] = 0
        return job_id

    @rule(name=st.sampled_from(WORKERS), num=st.integers(1, 3), num_batch=st.integers(0, 2))
    def claim(self, name: str, num: int, num_batch: int) -> None:
        before = self.waiting()
        claims = self.workers[name].claim(num, 0, num_batch_places=num_batch)
        assert len(claims) <= num
        for claim in claims:
            assert claim.id in before
            self._started(name, claim.id, claim.attempts)

    @rule(name=st.sampled_from(WORKERS))
    def take_over(self, name: str) -> None:
        time.sleep(0.003)
        mine = set(self.held_by) & self.works_on[name]
        others = set(self.held_by) - mine
        claims = self.workers[name].reclaim(100, self.works_on[name])
        found = {claim.id for claim in claims}
        assert found <= others
        self.held_by.update(dict.fromkeys(mine, name))  # and no attempt is charged
        for job_id in others - found:  # out of attempts
            assert self.attempts[job_id] == MAX_ATTEMPTS
            self._ended(job_id, JobState.FAILED)
        for claim in claims:
            self._started(name, claim.id, claim.attempts)

    @rule(name=st.sampled_from(WORKERS))
    def crash(self, name: str) -> None:
        """Forget what the worker works on, as a new process under its name would."""
        self.works_on[name].clear()

    @rule(name=st.sampled_from(WORKERS), job_id=ids)
    def succeed(self, name: str, job_id: str) -> None:
        is_first = job_id in self.states and not self.states[job_id].is_final
        assert self.workers[name].succeed(job_id, name.encode()) == is_first
        if is_first:
            self.results[job_id] = name.encode()
            self._ended(job_id, JobState.SUCCEEDED)

    @rule(name=st.sampled_from(WORKERS), job_id=ids)
    def fail(self, name: str, job_id: str) -> None:
        is_mine = self.held_by.get(job_id) == name
        assert self.workers[name].fail(job_id, Failure("engine_failed", "x")) == is_mine
        if is_mine:
            self._ended(job_id, JobState.FAILED)

    @rule(name=st.sampled_from(WORKERS), job_id=ids, charge=st.booleans())
    def hand_back(self, name: str, job_id: str, charge: bool) -> None:
        is_mine = self.held_by.get(job_id) == name
        assert self.workers[name].hand_back(job_id, charge=charge) == is_mine
        if is_mine:
            del self.held_by[job_id]
            self.works_on[name].discard(job_id)
            self.states[job_id] = JobState.QUEUED
            self.attempts[job_id] -= 0 if charge else 1

    @rule(name=st.sampled_from(WORKERS), job_id=ids, adapts=st.booleans())
    def turn(self, name: str, job_id: str, adapts: bool) -> None:
        is_mine = self.held_by.get(job_id) == name
        claims = self.workers[name]
        assert (claims.adapts if adapts else claims.runs)(job_id) == is_mine
        if is_mine:
            self.states[job_id] = JobState.ADAPTING if adapts else JobState.RUNNING

    @rule(name=st.sampled_from(WORKERS), job_id=ids)
    def forgive(self, name: str, job_id: str) -> None:
        is_mine = self.held_by.get(job_id) == name
        assert self.workers[name].forgive(job_id) == is_mine
        if is_mine:
            self.attempts[job_id] = 1

    @rule(job_id=ids)
    @precondition(lambda self: self.waiting())
    def cancel_waiting(self, job_id: str) -> None:
        if self.states.get(job_id) is JobState.QUEUED:
            assert self.ask(lambda store: store.cancel(job_id)).state is JobState.CANCELLED
            self._ended(job_id, JobState.CANCELLED)

    @invariant()
    def every_job_is_what_it_must_be(self) -> None:
        for job_id in list(self.states):
            job = self.ask(lambda store, job_id=job_id: store.get(job_id))
            if job.state is JobState.FAILED and self.states[job_id] is JobState.QUEUED:
                # Out of attempts, found when it was next claimed.
                assert self.attempts[job_id] == MAX_ATTEMPTS
                self._ended(job_id, JobState.FAILED)
            assert job.state is self.states[job_id]
            assert job.attempts == self.attempts[job_id]
            assert job.result == self.results.get(job_id)

    @invariant()
    def what_is_counted_is_what_there_is(self) -> None:
        counted = self.client.hgetall("{hrm-arc}:waiting")
        assert int(counted.get(b"", 0)) == len(self.waiting())
        for owner in OWNERS:
            assert int(counted.get(f"of:{owner}".encode(), 0)) == len(self.waiting(owner))
        depth = self.ask(lambda store: store.depth())
        assert sum(depth.waiting.values()) == len(self.waiting())
        assert depth.running == len(self.held_by)

    def _started(self, name: str, job_id: str, attempt: int) -> None:
        self.states[job_id], self.held_by[job_id] = JobState.RUNNING, name
        self.works_on[name].add(job_id)
        self.attempts[job_id] += 1
        assert attempt == self.attempts[job_id]

    def _ended(self, job_id: str, state: JobState) -> None:
        self.states[job_id] = state
        self.held_by.pop(job_id, None)


@pytest.mark.parametrize("num_examples", [15, pytest.param(200, marks=pytest.mark.full)])
def test_jobs_are_neither_lost_nor_run_twice(valkey_url: str, num_examples: int) -> None:
    class OnThisServer(JobLives):
        url = valkey_url

    run_machine(
        OnThisServer,
        settings=settings(
            max_examples=num_examples,
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
