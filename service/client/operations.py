"""What the clients can do, each operation written once for both of them."""

import functools
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Iterator
from math import inf
from types import MethodType
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar, overload
from urllib.parse import quote

from service.client.drivers import AsyncDriver, BlockingDriver
from service.client.errors import JobUnsuccessful, ServiceProblem
from service.client.exchange import Emit, Pause, Retries, Steps, ask, send
from service.client.following import BATCH, JOB, Followed, Following, JobEvent, Kind
from service.client.messages import (
    AnyChallenges,
    AnyTask,
    BatchPage,
    D,
    JobPage,
    PuzzlePage,
    Request,
    batch_body,
    page_query,
    post,
    read_submission,
    task_body,
)
from service.wire.answer import Answer
from service.wire.batch import Batch, BatchProgress
from service.wire.checkpoint import Adapted, AdaptedList, Checkpoint, CheckpointList, PuzzleDetail
from service.wire.job import Job, Progress
from service.wire.options import SolveOptions
from voting import Submission

# Proxies commonly cut a request off after a minute.
MAX_SOLVE_WAIT_S = 50.0
# A whole challenges file takes a while to be checked, and its submission to be put together.
BATCH_PATIENCE_S = 120.0
CHECKPOINTS = "/v1/checkpoints"
# As often as a worker says what it serves.
RELOAD_POLL_S = 1.0

P = ParamSpec("P")
T = TypeVar("T")
OnProgress = Callable[[Progress], Awaitable[None] | None]
OnBatchProgress = Callable[[BatchProgress], Awaitable[None] | None]


def _bound(method: Callable[..., Steps[Any]], client: Any, take: str) -> Callable[..., Any]:
    """Return a client's method that takes the steps of `method`; without a client, the steps."""
    if client is None:
        return method
    steps = MethodType(method, client)

    @functools.wraps(steps)
    def call(*arguments: Any, **options: Any) -> Any:
        return getattr(client, take)(steps(*arguments, **options))

    return call


class operation(Generic[P, T]):  # noqa: N801 - a decorator
    """A method written as steps, which the client's driver takes.

    Called on a `Client` it returns their value, on an `AsyncClient` a coroutine. A method that
    takes any options has a positional-only `self`.
    """

    def __init__(self, method: Callable[Concatenate[Any, P], Steps[T]]) -> None:
        self._method = method

    @overload
    def __get__(self, client: None, owner: type) -> Callable[Concatenate[Any, P], Steps[T]]: ...
    @overload
    def __get__(self, client: BlockingDriver, owner: type) -> Callable[P, T]: ...
    @overload
    def __get__(self, client: AsyncDriver, owner: type) -> Callable[P, Coroutine[Any, Any, T]]: ...
    def __get__(self, client: Any, owner: type) -> Callable[..., Any]:
        return _bound(self._method, client, "_take")


class event_stream(Generic[P]):  # noqa: N801 - a decorator
    """A method written as steps that emits events, over which the client's driver iterates.

    Called on a `Client` it returns an iterator, on an `AsyncClient` an asynchronous one.
    """

    def __init__(self, method: Callable[Concatenate[Any, P], Steps[None]]) -> None:
        self._method = method

    @overload
    def __get__(self, client: None, owner: type) -> Callable[Concatenate[Any, P], Steps[None]]: ...
    @overload
    def __get__(self, client: BlockingDriver, owner: type) -> Callable[P, Iterator[JobEvent]]: ...
    @overload
    def __get__(self, client: AsyncDriver, owner: type) -> Callable[P, AsyncIterator[JobEvent]]: ...
    def __get__(self, client: Any, owner: type) -> Callable[..., Any]:
        return _bound(self._method, client, "_iterate")


class Operations:
    """The methods that `Client` and `AsyncClient` have in common."""

    _retries: Retries
    _clock: Callable[[], float]

    @operation
    def solve(
        self,
        /,
        task: AnyTask,
        *,
        wait_s: float | None = None,
        on_progress: OnProgress | None = None,
        **options: Any,
    ) -> Steps[Answer]:
        """Have a puzzle solved, however long it takes, or for `wait_s` seconds.

        `options` are those of `SolveOptions`; the service decides on those left out.

        Raises: JobUnsuccessful when it failed; JobUnfinished when the time has passed;
        InvalidOptions for an option that does not exist or is out of bounds.
        """
        deadline = self._deadline(wait_s)
        body = task_body(task, SolveOptions.read(options))
        if on_progress is not None or (wait_s is not None and wait_s < 1):
            job = yield from self._ask(Job, post("/v1/jobs", body, None))
        else:
            patience_s = MAX_SOLVE_WAIT_S if wait_s is None else min(wait_s, MAX_SOLVE_WAIT_S)
            try:
                prefer = f"wait={int(patience_s)}"
                request = post("/v1/solve", body, None, patience_s, Prefer=prefer)
                job = yield from self._ask(Job, request)
            except ServiceProblem as problem:
                if problem.job_id is None:
                    raise
                # It was made, and failed.
                job = yield from self._ask(Job, Request("GET", JOB.path(problem.job_id)))
        if not job.state.is_final:
            job = yield from self._follow(JOB, job, wait_s, deadline, on_progress)
        if job.result is None:
            raise JobUnsuccessful(job)
        return job.result

    @operation
    def submit(
        self, /, task: AnyTask, *, idempotency_key: str | None = None, **options: Any
    ) -> Steps[Job]:
        """Make a job; with the same `idempotency_key` and task, the same job."""
        body = task_body(task, SolveOptions.read(options))
        return (yield from self._ask(Job, post("/v1/jobs", body, idempotency_key)))

    @operation
    def get(self, job: Job | str) -> Steps[Job]:
        """Ask how a job stands."""
        return self._ask(Job, Request("GET", JOB.path(job)))

    @operation
    def wait(
        self, job: Job | str, *, wait_s: float | None = None, on_progress: OnProgress | None = None
    ) -> Steps[Job]:
        """Wait until a job has ended, in whatever way, or for `wait_s` seconds.

        Raises: JobUnfinished when the time has passed.
        """
        return self._follow(JOB, job, wait_s, self._deadline(wait_s), on_progress)

    @event_stream
    def events(self, job: Job | str, *, wait_s: float | None = None) -> Steps[None]:
        """Iterate over what happens to a job; the last event holds the whole job.

        The first event says how the job stands. A stream that breaks is resumed.

        Raises: JobUnfinished when `wait_s` seconds have passed.
        """
        ended = yield from self._follow(JOB, job, wait_s, self._deadline(wait_s), None, emits=True)
        yield Emit(JobEvent("state", ended.state, job=ended))

    @operation
    def cancel(self, job: Job | str) -> Steps[Job]:
        """Cancel a job; a running one stops soon after, one that has ended stays as it is."""
        return self._ask(Job, Request("DELETE", JOB.path(job)))

    @operation
    def list(
        self, *, states: Iterable[str] = (), after: str | None = None, limit: int | None = None
    ) -> Steps[JobPage]:
        """Ask for one's jobs, the newest first; `after` is the previous page's `next`."""
        query = (*(("state", str(state)) for state in states), *page_query(after, limit))
        return self._ask(JobPage, Request("GET", "/v1/jobs", query=query))

    @operation
    def submit_batch(
        self,
        /,
        challenges: AnyChallenges,
        *,
        name: str | None = None,
        idempotency_key: str | None = None,
        **options: Any,
    ) -> Steps[Batch]:
        """Have a whole challenges file answered: a path to one, or {id: task, ...}."""
        body = batch_body(challenges, SolveOptions.read(options), name)
        request = post("/v1/batches", body, idempotency_key, patience_s=BATCH_PATIENCE_S)
        return (yield from self._ask(Batch, request))

    @operation
    def get_batch(self, batch: Batch | str) -> Steps[Batch]:
        """Ask how a batch stands."""
        return self._ask(Batch, Request("GET", BATCH.path(batch)))

    @operation
    def list_batches(
        self, *, after: str | None = None, limit: int | None = None
    ) -> Steps[BatchPage]:
        """Ask for one's batches, the newest first; `after` is the previous page's `next`."""
        request = Request("GET", "/v1/batches", query=page_query(after, limit))
        return self._ask(BatchPage, request)

    @operation
    def wait_batch(
        self,
        batch: Batch | str,
        *,
        wait_s: float | None = None,
        on_progress: OnBatchProgress | None = None,
    ) -> Steps[Batch]:
        """Wait until a batch has ended, in whatever way, or for `wait_s` seconds.

        Raises: BatchUnfinished when the time has passed.
        """
        return self._follow(BATCH, batch, wait_s, self._deadline(wait_s), on_progress)

    @operation
    def cancel_batch(self, batch: Batch | str) -> Steps[Batch]:
        """Cancel the jobs of a batch that have not ended; what is answered stays."""
        return self._ask(Batch, Request("DELETE", BATCH.path(batch)))

    @operation
    def submission(self, batch: Batch | str) -> Steps[Submission]:
        """Get a batch's submission as far as it is: valid at any time, two attempts each."""
        path = f"{BATCH.path(batch)}/submission.json"
        request = Request("GET", path, patience_s=BATCH_PATIENCE_S)
        return read_submission((yield from send(request, self._retries)))

    @operation
    def checkpoints(self) -> Steps[tuple[Checkpoint, ...]]:
        """Ask which checkpoints are served."""
        listed = yield from self._ask(CheckpointList, Request("GET", CHECKPOINTS))
        return listed.checkpoints

    @operation
    def reload_checkpoints(self, *, wait_s: float | None = None) -> Steps[CheckpointList]:
        """Have the workers serve what is in their folders now, and wait until they do.

        After `wait_s` seconds the list is as far as they are: `reloading` of them are not done.
        """
        deadline = self._deadline(wait_s)
        listed = yield from self._ask(CheckpointList, Request("POST", f"{CHECKPOINTS}/reload"))
        while listed.reloading and self._clock() < deadline:
            yield Pause(RELOAD_POLL_S)
            listed = yield from self._ask(CheckpointList, Request("GET", CHECKPOINTS))
        return listed

    @operation
    def puzzles(
        self, checkpoint: str, *, after: str | None = None, limit: int | None = None
    ) -> Steps[PuzzlePage]:
        """Ask which puzzles a checkpoint knows; `after` is the previous page's `next`."""
        path = f"{CHECKPOINTS}/{quote(checkpoint, safe='')}/puzzles"
        return self._ask(PuzzlePage, Request("GET", path, query=page_query(after, limit)))

    @operation
    def puzzle(self, checkpoint: str, demonstrations_sha256: str) -> Steps[PuzzleDetail]:
        """Ask for a puzzle that a checkpoint knows, with its grids where it is a public one."""
        path = f"{CHECKPOINTS}/{quote(checkpoint, safe='')}/puzzles"
        request = Request("GET", f"{path}/{quote(demonstrations_sha256, safe='')}")
        return self._ask(PuzzleDetail, request)

    @operation
    def adapted(self) -> Steps[tuple[Adapted, ...]]:
        """Ask which of your adapted checkpoints the workers keep, the newest made first."""
        listed = yield from self._ask(AdaptedList, Request("GET", "/v1/adapted"))
        return listed.adapted

    @operation
    def remove_adapted(self, adapted: Adapted | str) -> Steps[None]:
        """Remove an adapted checkpoint; the next job of its puzzle makes a new one."""
        adapted_id = adapted if isinstance(adapted, str) else adapted.id
        request = Request("DELETE", f"/v1/adapted/{quote(adapted_id, safe='')}")
        yield from send(request, self._retries)

    def _ask(self, model: type[D], request: Request) -> Steps[D]:
        return ask(model, request, self._retries)

    def _deadline(self, wait_s: float | None) -> float:
        return inf if wait_s is None else self._clock() + wait_s

    def _follow(
        self,
        kind: Kind[Followed],
        named: Followed | str,
        wait_s: float | None,
        deadline: float,
        on_progress: Callable[[Any], Any] | None,
        *,
        emits: bool = False,
    ) -> Steps[Followed]:
        return Following(
            kind, kind.path(named), wait_s, deadline, on_progress, self._retries, self._clock, emits
        ).follow()


class Client(Operations, BlockingDriver):
    """Talks to an hrm-arc service; a context that closes its connections.

    ::

        with Client("http://127.0.0.1:8400") as client:
            answer = client.solve("task.json", variants=16)
            print(answer.tests[0].attempts[0].to_rows())

    Without `api_key` the one in HRM_ARC_API_KEY is taken, where there is one. Every method raises
    ServiceProblem where the service refuses, ServiceUnreachable where none answers, BadReply where
    something else does. Requests that failed in passing are sent again; no job is made twice by
    that.

    Units: timeout_s is how long the service may keep silent while it answers.
    """


class AsyncClient(Operations, AsyncDriver):
    """Talks to an hrm-arc service as `Client` does, for asyncio: the same methods, awaited.

    `on_progress` may be a plain function or a coroutine function.
    """
