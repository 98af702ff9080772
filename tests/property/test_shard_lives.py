"""Whatever happens to divided jobs in whatever order, each shard counts once, and each job ends."""

import asyncio
import json
import random
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, TypeVar

import pytest
import redis
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from hypothesis.stateful import run_state_machine_as_test as run_machine

from service.jobs import Claims, Failure, Job, JobState, JobStore, NewJob
from service.jobs.keys import DIVIDED, PREFIX, job_key, queue_key, shard_priority

T = TypeVar("T")
WORKERS = ("one", "two", "three")
MAX_ATTEMPTS, MAX_JOBS = 3, 5
NUM_STEPS = 250
FATES = ("count", "count", "count", "count", "hand back", "crash", "keep")
CHECKPOINT = "c0ffee"
PROGRESS = json.dumps({"outcomes": 0, "tests": []}, separators=(",", ":")).encode()

workers = st.sampled_from(WORKERS)
# Mostly by the one that holds it, and mostly of what was claimed last.
holders = st.sampled_from((None, None, None, *WORKERS))
fates = st.sampled_from(FATES)
rarely = st.sampled_from((False, False, False, False, True))
picks = st.sampled_from((0, 0, 0, 1, 1, 2, 3, 5, 8))


@dataclass
class Entry:
    """A job, a shard or a closing that waits in a stream or is held by a worker."""

    attempts: int = 0
    holder: str | None = None
    outcomes: int = 0


@dataclass
class ModelJob:
    """A job as it must be; `counted` has the worker that brought each shard's votes."""

    state: JobState = JobState.QUEUED
    attempts: int = 0
    num_divisions: int = 0
    is_divided: bool = False
    counted: dict[int, str] = field(default_factory=dict)
    progress: int = 0

    @property
    def votes(self) -> dict[str, int]:
        if not self.counted:
            return {}
        numbers = {f"{self.num_divisions} {number}": 1 for number in self.counted}
        return numbers | {"outcomes": len(self.counted)}


class ShardLives(RuleBasedStateMachine):
    """Compares the job layer with a dictionary of what each job and each shard must be."""

    url = ""

    def __init__(self) -> None:
        super().__init__()
        self.client = redis.Redis.from_url(self.url)
        self.client.flushall()
        self.workers: dict[str, Claims] = {}
        for name in WORKERS:
            claims = Claims(self.url, worker_id=name, lease_s=0.001, max_attempts=MAX_ATTEMPTS)
            claims.serve([CHECKPOINT])
            self.workers[name] = claims
        self.jobs: dict[str, ModelJob] = {}
        self.entries: dict[str, Entry] = {}
        # All that was ever claimed, with the division that it is of: workers come back late.
        self.claimed: list[tuple[Job, int]] = []
        self.works_on: dict[str, set[str]] = {name: set() for name in WORKERS}

    def teardown(self) -> None:
        for claims in self.workers.values():
            claims.close()
        self.client.close()

    def ask(self, call: Callable[[JobStore], Coroutine[Any, Any, T]]) -> T:
        async def run() -> T:
            store = JobStore.connect(self.url)
            try:
                return await call(store)
            finally:
                await store.close()

        return asyncio.run(run())

    def read(self, job_id: str) -> Job:
        return Job.from_fields(job_id, self.client.hgetall(job_key(job_id)))

    def pick(self, number: int, name: str | None) -> tuple[Job, int, str]:
        """Return what was claimed some time ago, its division, and the worker that acts on it."""
        if not self.claimed:
            self.claim(WORKERS[0], 1, 0)
        claim, division = self.claimed[-1 - number % len(self.claimed)]
        entry = self.entries.get(claim.id)
        return claim, division, name or (entry and entry.holder) or WORKERS[0]

    @initialize(num_shards=st.integers(2, 4))
    def start(self, num_shards: int) -> None:
        self.submit()
        self.begin(WORKERS[0], num_shards)
        self.submit()

    @rule()
    @precondition(lambda self: len(self.jobs) < MAX_JOBS)
    def submit(self) -> None:
        new = NewJob(
            owner="anna",
            name="p",
            options=b"{}",
            fingerprint="f",
            priority="interactive",
            task=b"{}",
        )
        job_id = self.ask(lambda store: store.submit(new)).job.id
        self.jobs[job_id], self.entries[job_id] = ModelJob(), Entry()

    @rule(name=workers, num=st.integers(1, 3), most_shards=st.sampled_from((0, 1, 2, 2)))
    def claim(self, name: str, num: int, most_shards: int) -> None:
        waiting = {one for one, entry in self.entries.items() if entry.holder is None}
        claims = self.workers[name].claim(num, 0, most_shards=most_shards)
        assert len(claims) <= num
        assert sum(claim.shard is not None for claim in claims) <= most_shards
        self.started(name, claims, waiting)

    @rule(name=workers, num_shards=st.integers(2, 4))
    def begin(self, name: str, num_shards: int) -> None:
        """Claim a job that waits, and divide it."""
        num_before = len(self.claimed)
        self.claim(name, 1, 0)
        if len(self.claimed) > num_before:
            self.divide(name, 0, num_shards)

    @rule(name=workers, fates=st.lists(fates, min_size=2, max_size=2))
    def work(self, name: str, fates: list[str]) -> None:
        """Claim shards, and do with each what its fate is; whole jobs are divided."""
        num_before = len(self.claimed)
        self.claim(name, 2, 2)
        for index, fate in zip(range(num_before, len(self.claimed)), fates, strict=False):
            number = len(self.claimed) - 1 - index
            shard = self.claimed[index][0].shard
            if shard is None:
                self.divide(name, number, 3)
            elif fate == "count" and shard.is_closing:
                self.succeed(name, number)
            elif fate == "count":
                self.count(name, number)
            elif fate == "hand back":
                self.hand_back(name, number, charge=True)
            elif fate == "crash":
                self.works_on[name].discard(self.claimed[index][0].id)

    @rule(name=workers)
    def take_over(self, name: str) -> None:
        time.sleep(0.003)
        held = {one for one, entry in self.entries.items() if entry.holder is not None}
        mine = held & self.works_on[name]
        claims = self.workers[name].reclaim(100, self.works_on[name], most_shards=100)
        for entry_id in mine & set(self.entries):
            self.entries[entry_id].holder = name  # and no attempt is charged
        self.started(name, claims, held - mine)

    @rule(name=workers)
    def crash(self, name: str) -> None:
        """Forget what the worker works on, as a new process under its name would."""
        self.works_on[name].clear()

    @rule(name=holders, number=picks, num_shards=st.integers(1, 4))
    def divide(self, name: str | None, number: int, num_shards: int) -> None:
        claim, _, name = self.pick(number, name)
        job_id = claim.id.partition(".")[0]
        parts = [range(index, index + 1) for index in range(num_shards)]
        entry, job = self.entries.get(job_id), self.jobs[job_id]
        is_mine = entry is not None and entry.holder == name
        shards = self.workers[name].shards
        assert shards.split(job_id, CHECKPOINT, parts, num_shards, PROGRESS) == is_mine
        if is_mine:
            del self.entries[job_id]
            self.works_on[name].discard(job_id)
            job.is_divided, job.counted, job.num_divisions = True, {}, job.num_divisions + 1
            self.entries |= {f"{job_id}.{index + 1}": Entry() for index in range(num_shards)}
            self.add_up(job_id)

    @rule(name=holders, number=picks)
    def count(self, name: str | None, number: int) -> None:
        claim, division, name = self.pick(number, name)
        if claim.shard is None or claim.shard.is_closing:
            return
        job_id, _, shard = claim.id.partition(".")
        job = self.jobs[job_id]
        votes = {f"{division} {shard}": 1, "outcomes": 1}
        counted = self.workers[name].shards.count(claim.id, claim.shard, votes)
        if claim.id not in self.entries or division != job.num_divisions:
            assert counted == {}
            return
        del self.entries[claim.id]
        job.counted[int(shard)] = name
        assert counted == job.votes
        self.add_up(job_id)
        if not self.shards_of(job_id):
            self.entries[f"{job_id}.0"] = Entry()

    @rule(name=holders, number=picks, is_decided=rarely)
    def settle(self, name: str | None, number: int, is_decided: bool) -> None:
        claim, division, name = self.pick(number, name)
        if claim.shard is None:
            return
        job_id = claim.id.partition(".")[0]
        open_shards = self.shards_of(job_id)
        is_open = f"{job_id}.0" not in open_shards and bool(open_shards)
        is_wanted = is_open and division == self.jobs[job_id].num_divisions
        shards = self.workers[name].shards
        done = shards.settle(claim.id, claim.shard, PROGRESS, is_decided=is_decided)
        assert done == is_wanted
        if is_wanted and is_decided:
            for entry_id in open_shards:
                del self.entries[entry_id]
            self.entries[f"{job_id}.0"] = Entry()
        if is_wanted:
            self.add_up(job_id)

    @rule(name=holders, number=picks, outcomes=st.integers(1, 9))
    def report(self, name: str | None, number: int, outcomes: int) -> None:
        claim, _, name = self.pick(number, name)
        if claim.shard is None or claim.shard.is_closing:
            return
        entry = self.entries.get(claim.id)
        self.workers[name].progress(claim.id, json.dumps({"outcomes": outcomes}).encode())
        is_mine = entry is not None and entry.holder == name
        if entry is not None and is_mine:
            entry.outcomes = outcomes
            self.add_up(claim.id)
        renewal = self.workers[name].renew([claim.id])
        assert (claim.id in renewal.lost | renewal.gone) != is_mine

    @rule(name=holders, number=picks)
    def succeed(self, name: str | None, number: int) -> None:
        claim, _, name = self.pick(number, name)
        is_stale = claim.id not in self.entries
        if not (claim.shard.is_closing if claim.shard else is_stale and number > 3):
            return
        job_id = claim.id.partition(".")[0]
        is_first = not self.jobs[job_id].state.is_final
        assert self.workers[name].succeed(claim.id, b"{}") == is_first
        if is_first:
            self.end(job_id, JobState.SUCCEEDED)

    @rule(name=holders, number=picks)
    def fail(self, name: str | None, number: int) -> None:
        claim, _, name = self.pick(number, name)
        entry = self.entries.get(claim.id)
        is_mine = entry is not None and entry.holder == name
        if claim.id in self.entries and number < 3:
            return  # else few jobs get far
        assert self.workers[name].fail(claim.id, Failure("engine_failed", "x")) == is_mine
        if is_mine:
            self.end(claim.id.partition(".")[0], JobState.FAILED)

    @rule(name=holders, number=picks, charge=st.booleans())
    def hand_back(self, name: str | None, number: int, charge: bool) -> None:
        claim, _, name = self.pick(number, name)
        entry = self.entries.get(claim.id)
        is_mine = entry is not None and entry.holder == name
        assert self.workers[name].hand_back(claim.id, charge=charge) == is_mine
        if entry is not None and is_mine:
            self.works_on[name].discard(claim.id)
            entry.holder, entry.outcomes = None, 0
            entry.attempts -= 0 if charge else 1
            if claim.shard is None:
                self.jobs[claim.id].state = JobState.QUEUED

    @rule(number=picks)
    def cancel(self, number: int) -> None:
        """Cancel a job that no worker holds whole: one that waits, or is divided."""
        job_id = list(self.jobs)[number % len(self.jobs)]
        job = self.jobs[job_id]
        if number >= 3 and (job.state is JobState.QUEUED or job.is_divided):
            assert self.ask(lambda store: store.cancel(job_id)).state is JobState.CANCELLED
            self.end(job_id, JobState.CANCELLED)

    @rule(number=picks)
    def requeue(self, number: int) -> None:
        job_id = list(self.jobs)[number % len(self.jobs)]
        if self.jobs[job_id].state is JobState.FAILED:
            self.ask(lambda store: store.requeue(job_id))
            num_divisions = self.jobs[job_id].num_divisions
            self.jobs[job_id] = ModelJob(num_divisions=num_divisions)
            self.entries[job_id] = Entry()

    @invariant()
    def every_job_is_what_it_must_be(self) -> None:
        for job_id, model in self.jobs.items():
            job = self.read(job_id)
            assert job.state is model.state
            if model.is_divided:
                progress = json.loads(job.progress or b"{}")
                assert progress == {"outcomes": model.progress, "tests": []}

    @invariant()
    def what_is_kept_is_what_there_is(self) -> None:
        shards = {one for one in self.entries if "." in one}
        kept = {key.decode().removeprefix(PREFIX) for key in self.client.keys("*")}
        assert {key for key in kept if "." in key} == {f"job:{one}" for one in shards}
        counting = {one for one, job in self.jobs.items() if job.is_divided and job.counted}
        assert {key for key in kept if key.startswith("votes:")} == {
            f"votes:{job_id}" for job_id in counting
        }
        queue = queue_key(shard_priority(CHECKPOINT))
        assert self.client.xlen(queue) == len(shards)
        assert (self.client.ttl(queue) == -1) == bool(shards) or not self.client.exists(queue)
        divided = {one.encode() for one, job in self.jobs.items() if job.is_divided}
        assert self.client.smembers(DIVIDED) == divided
        waiting = [job for job in self.jobs.values() if job.state is JobState.QUEUED]
        assert int(self.client.hget(f"{PREFIX}waiting", "") or 0) == len(waiting)

    @rule()
    def measure_depth(self) -> None:
        depth = self.ask(lambda store: store.depth())
        states = [job.state for job in self.jobs.values()]
        assert sum(depth.waiting.values()) == states.count(JobState.QUEUED)
        assert depth.running == states.count(JobState.RUNNING)

    @invariant()
    def a_divided_job_always_has_something_that_goes_on_with_it(self) -> None:
        for job_id, job in self.jobs.items():
            assert bool(self.shards_of(job_id)) == job.is_divided

    def shards_of(self, job_id: str) -> dict[str, Entry]:
        return {one: found for one, found in self.entries.items() if one.startswith(f"{job_id}.")}

    def add_up(self, entry_id: str) -> None:
        """Note the progress of a job as it is written now."""
        job_id = entry_id.partition(".")[0]
        reported = sum(entry.outcomes for entry in self.shards_of(job_id).values())
        self.jobs[job_id].progress = len(self.jobs[job_id].counted) + reported

    def started(self, name: str, claims: list[Job], expected: set[str]) -> None:
        for claim in claims:
            assert claim.id in expected
            entry = self.entries[claim.id]
            entry.attempts += 1
            entry.holder, entry.outcomes = name, 0
            assert claim.attempts == entry.attempts
            self.works_on[name].add(claim.id)
            job_id = claim.id.partition(".")[0]
            job = self.jobs[job_id]
            self.claimed.append((claim, job.num_divisions))
            if claim.shard is None:
                job.state = JobState.RUNNING
            else:
                assert claim.shard.checkpoint_sha256 == CHECKPOINT
                assert (claim.owner, claim.priority, claim.task) == ("anna", "interactive", b"{}")
                assert claim.shard.is_closing == claim.id.endswith(".0")
            if claim.shard is not None and claim.shard.is_closing:
                assert claim.shard.votes == job.votes
                assert claim.shard.workers == set(job.counted.values())
        for entry_id in expected:
            job_id, entry = entry_id.partition(".")[0], self.entries.get(entry_id)
            if entry is None or entry.attempts < MAX_ATTEMPTS:
                continue
            job = self.read(job_id)
            if job.state is JobState.FAILED:  # out of attempts, found as it was delivered
                assert job.failure is not None
                assert job.failure.code == "attempts_exhausted"
                self.end(job_id, JobState.FAILED)

    def end(self, job_id: str, state: JobState) -> None:
        self.jobs[job_id].state, self.jobs[job_id].is_divided = state, False
        for entry_id in (job_id, *self.shards_of(job_id)):
            self.entries.pop(entry_id, None)


@pytest.mark.parametrize("num_examples", [10, pytest.param(300, marks=pytest.mark.full)])
def test_shards_are_neither_lost_nor_counted_twice(valkey_url: str, num_examples: int) -> None:
    class OnThisServer(ShardLives):
        url = valkey_url

    run_machine(
        OnThisServer,
        settings=settings(
            max_examples=num_examples,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


LATER_SEEDS = (pytest.param(seed, marks=pytest.mark.full) for seed in range(2, 40))


@pytest.mark.parametrize("seed", [0, 1, *LATER_SEEDS])
def test_shards_go_on_through_a_long_life(valkey_url: str, seed: int) -> None:
    """Walk at random through the same rules: most of what was divided is counted and closed."""

    class OnThisServer(ShardLives):
        url = valkey_url

    lot, lives = random.Random(seed), OnThisServer()

    def worker() -> str:
        return lot.choice(WORKERS)

    def recent() -> int:
        return lot.choice((0, 0, 1, 2, 4, 8))

    steps: dict[Callable[[], None], int] = {
        lives.submit: 6,
        lambda: lives.begin(worker(), lot.randint(2, 4)): 10,
        lambda: lives.work(worker(), lot.choices(FATES, k=2)): 20,
        lambda: lives.take_over(worker()): 3,
        lambda: lives.crash(worker()): 2,
        lambda: lives.count(lot.choice((None, worker())), recent()): 12,
        lambda: lives.settle(None, recent(), is_decided=lot.random() < 0.2): 4,
        lambda: lives.report(lot.choice((None, worker())), recent(), lot.randint(1, 9)): 4,
        lambda: lives.succeed(None, recent()): 8,
        lambda: lives.fail(None, lot.choice((0, 3))): 1,
        lambda: lives.hand_back(lot.choice((None, worker())), recent(), charge=False): 2,
        lambda: lives.cancel(lot.choice((0, 3))): 1,
        lambda: lives.requeue(recent()): 2,
    }
    try:
        lives.start(3)
        for step in lot.choices([*steps], [*steps.values()], k=NUM_STEPS):
            if step == lives.submit and sum(not j.state.is_final for j in lives.jobs.values()) > 3:
                continue
            step()
            lives.every_job_is_what_it_must_be()
            lives.what_is_kept_is_what_there_is()
            lives.a_divided_job_always_has_something_that_goes_on_with_it()
    finally:
        lives.teardown()
    closings = [one.shard for one, _ in lives.claimed if one.shard and one.shard.is_closing]
    assert any(len(one.votes) > 2 and len(one.workers) > 1 for one in closings)
    assert any(one.attempts > 1 for one, _ in lives.claimed if one.shard)
    assert any(job.state is JobState.SUCCEEDED and job.counted for job in lives.jobs.values())
