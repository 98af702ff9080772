"""A worker against a real server, in this process, mostly on engines without a network."""

import asyncio
import json
import threading
import time
import urllib.request
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import redis

from augment import Puzzle, Task, task_document
from bench.fake_engine import FakeEngine
from bench.fake_worker import FailingEngine
from hrm_core import Engine, EngineConfig, open_checkpoint, pick_device
from service.jobs import Claims, Job, JobState, JobStore, NewJob
from service.jobs.keys import puzzle_index_keys
from service.runtime.settings import Settings
from service.solving.enrolment import Registrar
from service.solving.members import Member
from service.solving.puzzle_index import read_index
from service.solving.solve import Solving, solve
from service.wire.errors import SettingsError
from service.wire.options import SolveOptions
from service.worker import Worker, run_worker

pytestmark = pytest.mark.usefixtures("fresh_redis", "one_thread")

TIMEOUT_S = 120.0
# The self-test of the fake engine: 24 samples, then 72, 16 at a time.
NUM_SELF_TEST_STEPS = 7
# 64 variants, one a step: enough time to meddle.
SlowEngine = partial(FakeEngine, step_s=0.1, num_slots=1)


@pytest.fixture(scope="module")
def probes(demo_folder: Path) -> tuple[Puzzle, ...]:
    """Return whole puzzles that the demo checkpoint knows."""
    index = read_index(demo_folder)
    assert index is not None
    return index.probes


class Running:
    """A worker in a thread, and the store that a test asks."""

    def __init__(self, url: str, settings: Settings, make_engine: Any) -> None:
        self.url = url
        self.claims = Claims(
            url, worker_id="w", lease_s=settings.lease_s, max_attempts=settings.max_attempts
        )
        self.worker = Worker(settings, self.claims, make_engine)
        self.code: int | None = None
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def stop(self) -> int | None:
        self.worker.stop()
        return self.wait()

    def wait(self) -> int | None:
        self._thread.join(TIMEOUT_S)
        assert not self._thread.is_alive()
        return self.code

    def _run(self) -> None:
        self.code = self.worker.run()


class Asked:
    """The job layer as callers see it."""

    def __init__(self, url: str) -> None:
        self.url = url

    def ask(self, question: Callable[[JobStore], Awaitable[Any]]) -> Any:
        async def asked() -> Any:
            store = JobStore.connect(self.url)
            try:
                return await question(store)
            finally:
                await store.close()

        return asyncio.run(asked())

    def submit(self, puzzle: Puzzle, deadline_s: float | None = None, **options: Any) -> str:
        document = task_document(Task(puzzle, (None,) * len(puzzle.test)))
        new = NewJob(
            owner="anonymous",
            name=puzzle.name,
            priority=options.get("priority", "interactive"),
            task=json.dumps(document).encode(),
            options=json.dumps(options).encode(),
            fingerprint="",
            deadline_s=deadline_s,
        )
        submitted = self.ask(lambda store: store.submit(new))
        return str(submitted.job.id)

    def get(self, job_id: str) -> Job:
        job: Job = self.ask(lambda store: store.get(job_id))
        return job

    def wait_until(self, job_id: str, holds: Callable[[Job], bool]) -> Job:
        deadline = time.monotonic() + TIMEOUT_S
        while not holds(job := self.get(job_id)):
            assert time.monotonic() < deadline, job
            time.sleep(0.05)
        return job

    def wait_until_ended(self, job_id: str) -> Job:
        return self.wait_until(job_id, lambda job: job.state.is_final)

    def wait_until_running(self, job_id: str) -> Job:
        return self.wait_until(job_id, lambda job: job.state == JobState.RUNNING)

    def wait_until_worker_is(self, state: str) -> Any:
        deadline = time.monotonic() + TIMEOUT_S
        while not (
            found := [w for w in self.ask(lambda store: store.served.workers()) if w.state == state]
        ):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        return found[0]


@pytest.fixture
def asked(valkey_url: str) -> Asked:
    """Return the job layer as callers see it."""
    return Asked(valkey_url)


@pytest.fixture
def settings_of(valkey_url: str, demo_folder: Path, tmp_path: Path) -> Callable[..., Settings]:
    """Return a maker of settings for a worker on the demo checkpoint."""

    def make(**changes: Any) -> Settings:
        defaults: dict[str, Any] = {
            "redis_url": valkey_url,
            "state_folder": tmp_path,
            "checkpoints": (demo_folder,),
            "allow_unverified": True,
            "device": "cpu",
        }
        return Settings(**(defaults | changes))

    return make


@pytest.fixture
def start(
    valkey_url: str, settings_of: Callable[..., Settings]
) -> Iterator[Callable[..., Running]]:
    """Return what starts workers; they are stopped with the test."""
    started: list[Running] = []

    def make(make_engine: Any = FakeEngine, **settings: Any) -> Running:
        started.append(Running(valkey_url, settings_of(**settings), make_engine))
        return started[-1]

    yield make
    for running in started:
        running.worker.stop()
        running.stop()


def spend_attempts(url: str, job_id: str, num: int) -> None:
    """Let so many workers claim the only waiting job and hand it back as failed."""
    claims = Claims(url, worker_id="spender")
    for _ in range(num):
        deadline = time.monotonic() + TIMEOUT_S
        while not (claimed := claims.claim(1, 0.2)):
            assert time.monotonic() < deadline
        assert [claim.job.id for claim in claimed] == [job_id]
        assert claims.hand_back(job_id, charge=True, reason="a crash")
    claims.close()


def test_a_job_is_answered_by_a_ready_worker(
    start: Callable[..., Running], asked: Asked, probes: tuple[Puzzle, ...]
) -> None:
    start(partial(FakeEngine, num_slots=16))
    record = asked.wait_until_worker_is("ready")
    assert [checkpoint.name for checkpoint in record.checkpoints] == ["demo"]
    checkpoint = record.checkpoints[0]
    known = asked.ask(
        lambda store: store.served.find_puzzle(checkpoint, probes[0].demonstrations_hash)
    )
    assert (known.name, known.variants) == (probes[0].name, 64)

    job = asked.wait_until_ended(asked.submit(probes[0], attempts=1))

    assert (job.state, job.attempts) == (JobState.SUCCEEDED, 1)
    result = json.loads(job.result or b"")
    assert result["worker"] == "w"
    assert result["tests"][0]["decided_early"]


def test_the_engines_have_the_threads_that_the_settings_say(
    valkey_url: str, settings_of: Callable[..., Settings], demo_folder: Path
) -> None:
    claims = Claims(valkey_url, worker_id="w")
    make = Worker(settings_of(threads=3), claims)._configured_engine()
    assert make(open_checkpoint(demo_folder)).num_threads == 3
    claims.close()


@pytest.mark.parametrize("pattern", ["{hrm-arc}:puzzle*", "*"])
def test_puzzles_that_are_gone_from_redis_are_published_again(
    start: Callable[..., Running], asked: Asked, fresh_redis: redis.Redis, pattern: str
) -> None:
    start()
    (checkpoint,) = asked.wait_until_worker_is("ready").checkpoints
    index = puzzle_index_keys(checkpoint.sha256)
    before = [fresh_redis.hgetall(index[0]), fresh_redis.zrange(index[1], 0, -1)]
    fresh_redis.delete(*fresh_redis.scan_iter(pattern))

    deadline = time.monotonic() + TIMEOUT_S
    while fresh_redis.exists(*index) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.05)

    assert [fresh_redis.hgetall(index[0]), fresh_redis.zrange(index[1], 0, -1)] == before


def test_answers_are_those_of_solve_whatever_the_slots(
    start: Callable[..., Running],
    asked: Asked,
    probes: tuple[Puzzle, ...],
    demo_folder: Path,
) -> None:
    puzzles = probes[:3]
    device = pick_device("cpu")
    checkpoint = open_checkpoint(demo_folder)
    engine = Engine(checkpoint, EngineConfig(device, num_slots=16))
    options = SolveOptions(variants=12, seed=5)
    registrar = Registrar(checkpoint)
    solvings = [Solving(puzzle, [Member.enrol(registrar, puzzle)], options) for puzzle in puzzles]
    solve([engine], solvings)
    expected = [
        [[grid.to_rows() for grid in test.attempts] for test in solving.answer().tests]
        for solving in solvings
    ]

    start(lambda opened: Engine(opened, EngineConfig(device, num_slots=7)), allow_unverified=False)
    job_ids = [asked.submit(puzzle, variants=12, seed=5) for puzzle in puzzles]

    for job_id, attempts in zip(job_ids, expected, strict=True):
        result = json.loads(asked.wait_until_ended(job_id).result or b"")
        assert [test["attempts"] for test in result["tests"]] == attempts
        assert result["verified"]


def test_an_ensemble_answers_as_its_checkpoints_do_together(
    start: Callable[..., Running],
    asked: Asked,
    trained_folders: tuple[Path, Path],
    constant_tasks: tuple[Task, ...],
) -> None:
    puzzle, device = constant_tasks[0].puzzle, pick_device("cpu")
    checkpoints = [open_checkpoint(folder) for folder in trained_folders]
    members = [Member.enrol(Registrar(checkpoint), puzzle) for checkpoint in checkpoints]
    solving = Solving(puzzle, members, SolveOptions(stop_early=False))
    config = EngineConfig(device, num_slots=16)
    solve([Engine(checkpoint, config) for checkpoint in checkpoints], [solving])
    expected = solving.answer().document["tests"]

    # They take turns on the device.
    start(lambda opened: Engine(opened, config), checkpoints=trained_folders, max_resident=1)
    main, other = (folder.name for folder in trained_folders)
    job_id = asked.submit(puzzle, checkpoint=main, ensemble=[other], stop_early=False)

    result = json.loads(asked.wait_until_ended(job_id).result or b"")
    assert [member["checkpoint"] for member in result["members"]] == [main, other]
    assert result["tests"] == expected


def test_a_running_job_is_cancelled_at_once(
    start: Callable[..., Running], asked: Asked, probes: tuple[Puzzle, ...]
) -> None:
    start(SlowEngine)
    job_id = asked.submit(probes[0])
    asked.wait_until(job_id, lambda job: job.progress is not None)

    asked.ask(lambda store: store.cancel(job_id))

    assert asked.wait_until_ended(job_id).state == JobState.CANCELLED


def test_a_deadline_ends_a_running_job(
    start: Callable[..., Running], asked: Asked, probes: tuple[Puzzle, ...]
) -> None:
    start(SlowEngine)
    asked.wait_until_worker_is("ready")

    job = asked.wait_until_ended(asked.submit(probes[0], deadline_s=2.0))

    assert job.failure is not None
    assert (job.failure.code, job.attempts) == ("deadline_exceeded", 1)


def test_what_cannot_be_solved_fails_with_its_code(
    start: Callable[..., Running], asked: Asked, probes: tuple[Puzzle, ...]
) -> None:
    start()

    job = asked.wait_until_ended(asked.submit(probes[0], checkpoint="nowhere"))

    assert job.failure is not None
    assert job.failure.code == "unknown_checkpoint"


def test_a_third_attempt_runs_alone(
    start: Callable[..., Running], asked: Asked, valkey_url: str, probes: tuple[Puzzle, ...]
) -> None:
    suspect = asked.submit(probes[0], variants=8, stop_early=False)
    spend_attempts(valkey_url, suspect, 2)
    others = [asked.submit(probes[1], variants=8, stop_early=False) for _ in range(2)]
    start(SlowEngine)

    jobs = [asked.wait_until_ended(job_id) for job_id in (suspect, *others)]

    assert [job.attempts for job in jobs] == [3, 1, 1]
    began = [
        (job.finished_at or 0.0) - json.loads(job.result or b"")["timings_s"]["run"] for job in jobs
    ]
    # Claimed together, they run one after the other: first the harmless ones.
    assert began[0] >= max(job.finished_at or 0.0 for job in jobs[1:]) - 0.05


def test_of_jobs_to_run_alone_only_one_is_held(
    start: Callable[..., Running], asked: Asked, valkey_url: str, probes: tuple[Puzzle, ...]
) -> None:
    suspects = []
    for _ in range(3):
        suspects.append(asked.submit(probes[0], variants=8, stop_early=False))
        if len(suspects) == 1:
            spend_attempts(valkey_url, suspects[0], 2)
    claims = Claims(valkey_url, worker_id="spender")
    for _ in range(2):
        for claim in claims.claim(3, 0.2):
            claims.hand_back(claim.job.id, charge=claim.job.id != suspects[0])
    running = start(SlowEngine)

    jobs = [asked.wait_until_ended(job_id) for job_id in suspects]

    # The first claim found all three; afterwards they were claimed one by one.
    value = running.worker.metrics.registry.get_sample_value("hrm_arc_jobs_handed_back_total")
    assert value == 2
    assert {(job.state, job.attempts) for job in jobs} == {(JobState.SUCCEEDED, 3)}


def test_an_orphaned_job_is_taken_over(
    start: Callable[..., Running], asked: Asked, valkey_url: str, probes: tuple[Puzzle, ...]
) -> None:
    job_id = asked.submit(probes[0])
    gone = Claims(valkey_url, worker_id="gone")
    while not gone.claim(1, 0.2):
        continue
    gone.close()
    running = start(lease_s=1.0)

    job = asked.wait_until_ended(job_id)

    assert (job.state, job.attempts, job.worker) == (JobState.SUCCEEDED, 2, "w")
    value = running.worker.metrics.registry.get_sample_value("hrm_arc_jobs_reclaimed_total")
    assert value == 1


def test_no_more_jobs_are_held_than_the_setting_says(
    start: Callable[..., Running], asked: Asked, probes: tuple[Puzzle, ...]
) -> None:
    job_ids = [asked.submit(probes[0], variants=8) for _ in range(6)]
    start(SlowEngine, max_jobs=2)

    most = 0
    while not all(job.state.is_final for job in map(asked.get, job_ids)):
        most = max(most, asked.ask(lambda store: store.depth()).running)

    assert 1 <= most <= 2


def test_a_steady_stream_of_interactive_jobs_does_not_starve_batch(
    start: Callable[..., Running], asked: Asked, probes: tuple[Puzzle, ...]
) -> None:
    interactive = [asked.submit(probes[0], variants=1) for _ in range(20)]
    batch = asked.submit(probes[0], variants=1, priority="batch")
    start(max_jobs=1)

    ended = asked.wait_until_ended(batch)
    last = [asked.wait_until_ended(job_id).finished_at or 0.0 for job_id in interactive]

    num_before = sum(moment < (ended.finished_at or 0.0) for moment in last)
    assert 1 <= num_before < 20


def test_a_stopped_worker_hands_back_uncharged_and_leaves(
    start: Callable[..., Running], asked: Asked, probes: tuple[Puzzle, ...]
) -> None:
    running = start(SlowEngine, grace_s=0.0)
    job_id = asked.submit(probes[0])
    asked.wait_until_running(job_id)

    assert running.stop() == 0

    job = asked.get(job_id)
    assert (job.state, job.attempts) == (JobState.QUEUED, 0)
    assert asked.ask(lambda store: store.served.workers()) == ()


def test_a_stopping_worker_lets_its_jobs_end(
    start: Callable[..., Running], asked: Asked, probes: tuple[Puzzle, ...]
) -> None:
    running = start(SlowEngine, grace_s=60.0)
    job_id = asked.submit(probes[0], variants=16, stop_early=False)
    asked.wait_until_running(job_id)

    assert running.stop() == 0

    assert asked.get(job_id).state == JobState.SUCCEEDED


def test_a_second_stop_does_not_wait(
    start: Callable[..., Running], asked: Asked, probes: tuple[Puzzle, ...]
) -> None:
    running = start(SlowEngine, grace_s=3600.0)
    job_id = asked.submit(probes[0], stop_early=False)
    asked.wait_until_running(job_id)

    running.worker.stop()
    assert running.stop() == 0

    assert asked.get(job_id).state == JobState.QUEUED


def test_a_dead_engine_ends_the_worker_and_charges_its_jobs(
    start: Callable[..., Running], asked: Asked, probes: tuple[Puzzle, ...]
) -> None:
    running = start(partial(FailingEngine, 4, step_s=0.05))
    asked.wait_until_worker_is("ready")
    job_ids = [asked.submit(probes[0], stop_early=False) for _ in range(8)]

    assert running.wait() == 70

    jobs = [asked.get(job_id) for job_id in job_ids]
    assert {job.state for job in jobs} <= {JobState.QUEUED, JobState.SUCCEEDED}
    assert 1 in {job.attempts for job in jobs if job.state == JobState.QUEUED}
    assert asked.ask(lambda store: store.served.workers()) == ()


def test_a_job_that_kills_every_engine_ends_as_dead_with_the_reason(
    start: Callable[..., Running], asked: Asked, probes: tuple[Puzzle, ...]
) -> None:
    job_id = asked.submit(probes[0])
    for _ in range(2):
        assert (
            start(partial(FailingEngine, NUM_SELF_TEST_STEPS, num_slots=16), max_attempts=2).wait()
            == 70
        )
    start(max_attempts=2)

    job = asked.wait_until_ended(job_id)

    assert job.failure is not None
    assert job.failure.code == "attempts_exhausted"
    assert "RuntimeError" in job.failure.detail
    assert "illegal memory access" not in job.failure.detail


def test_nothing_to_serve_is_bad_input(start: Callable[..., Running]) -> None:
    assert start(allow_unverified=False).wait() == 2


def test_a_worker_without_a_server_says_which_setting_is_missing(
    settings_of: Callable[..., Settings],
) -> None:
    with pytest.raises(SettingsError, match="HRM_ARC_REDIS_URL"):
        run_worker(settings_of(redis_url=None))


def test_metrics_are_served_over_http(
    start: Callable[..., Running], asked: Asked, probes: tuple[Puzzle, ...]
) -> None:
    running = start()
    asked.wait_until_ended(asked.submit(probes[0]))
    server = running.worker.metrics.serve("127.0.0.1", 0)

    with urllib.request.urlopen(f"http://127.0.0.1:{server.server_port}/metrics") as reply:
        text = reply.read().decode()
    server.shutdown()

    assert 'hrm_arc_jobs_ended_total{end="succeeded"} 1.0' in text
    for name in ("engine_step_seconds", "slot_occupancy_ratio", "halting_steps", "vote_share"):
        assert f"hrm_arc_{name}" in text
