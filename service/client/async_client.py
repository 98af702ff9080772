"""The client for asyncio."""

import asyncio
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx

from service.client.address import DEFAULT_URL, Address, is_stream, reply_of
from service.client.core import Core
from service.client.exchange import (
    Effect,
    HangUp,
    Listen,
    NextChunk,
    Pause,
    Reply,
    Report,
    Send,
    Steps,
)
from service.client.pages import BatchPage, JobPage, PuzzlePage
from service.client.retries import Retries
from service.client.tasks import AnyChallenges, AnyTask
from service.wire.answer import Answer
from service.wire.batch import Batch, BatchProgress
from service.wire.checkpoint import Adapted, Checkpoint
from service.wire.job import Job, Progress
from voting import Submission

T = TypeVar("T")
OnProgress = Callable[[Progress], Awaitable[None] | None]
OnBatchProgress = Callable[[BatchProgress], Awaitable[None] | None]


class AsyncClient:
    """Talks to an hrm-arc service as `Client` does, for asyncio: the same methods, awaited.

    `on_progress` may be a plain function or a coroutine function.
    """

    def __init__(
        self,
        url: str = DEFAULT_URL,
        *,
        api_key: str | None = None,
        timeout_s: float = 30.0,
        retries: Retries | None = None,
    ) -> None:
        self._address = Address.of(url, api_key, timeout_s)
        self._core = Core(retries or Retries())
        self._http = httpx.AsyncClient(**self._address.settings())

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def solve(
        self,
        task: AnyTask,
        *,
        wait_s: float | None = None,
        on_progress: OnProgress | None = None,
        **options: Any,
    ) -> Answer:
        """Have a puzzle solved, however long it takes, or for `wait_s` seconds.

        `options` are those of `SolveOptions`; the service decides on those left out.

        Raises: JobUnsuccessful when it failed; JobUnfinished when the time has passed;
        InvalidOptions for an option that does not exist or is out of bounds.
        """
        steps = self._core.solve(
            task, options, wait_s=wait_s, wants_progress=on_progress is not None
        )
        return await self._take(steps, on_progress)

    async def submit(
        self, task: AnyTask, *, idempotency_key: str | None = None, **options: Any
    ) -> Job:
        """Make a job; with the same `idempotency_key` and task, the same job."""
        return await self._take(self._core.submit(task, options, idempotency_key))

    async def get(self, job: Job | str) -> Job:
        """Ask how a job stands."""
        return await self._take(self._core.get(_id(job)))

    async def wait(
        self, job: Job | str, *, wait_s: float | None = None, on_progress: OnProgress | None = None
    ) -> Job:
        """Wait until a job has ended, in whatever way, or for `wait_s` seconds.

        Raises: JobUnfinished when the time has passed.
        """
        return await self._take(self._core.wait(_id(job), wait_s), on_progress)

    async def cancel(self, job: Job | str) -> Job:
        """Cancel a job; a running one stops soon after, one that has ended stays as it is."""
        return await self._take(self._core.cancel(_id(job)))

    async def list(
        self, *, states: Iterable[str] = (), after: str | None = None, limit: int | None = None
    ) -> JobPage:
        """Ask for one's jobs, the newest first; `after` is the previous page's `next`."""
        return await self._take(self._core.list(states, after, limit))

    async def submit_batch(
        self,
        challenges: AnyChallenges,
        *,
        name: str | None = None,
        idempotency_key: str | None = None,
        **options: Any,
    ) -> Batch:
        """Have a whole challenges file answered: a path to one, or {id: task, ...}."""
        steps = self._core.submit_batch(challenges, options, name, idempotency_key)
        return await self._take(steps)

    async def get_batch(self, batch: Batch | str) -> Batch:
        """Ask how a batch stands."""
        return await self._take(self._core.get_batch(_batch_id(batch)))

    async def list_batches(
        self, *, after: str | None = None, limit: int | None = None
    ) -> BatchPage:
        """Ask for one's batches, the newest first; `after` is the previous page's `next`."""
        return await self._take(self._core.list_batches(after, limit))

    async def wait_batch(
        self,
        batch: Batch | str,
        *,
        wait_s: float | None = None,
        on_progress: OnBatchProgress | None = None,
    ) -> Batch:
        """Wait until a batch has ended, in whatever way, or for `wait_s` seconds.

        Raises: BatchUnfinished when the time has passed.
        """
        steps = self._core.wait_batch(_batch_id(batch), wait_s)
        return await self._take(steps, on_progress)

    async def cancel_batch(self, batch: Batch | str) -> Batch:
        """Cancel the jobs of a batch that have not ended; what is answered stays."""
        return await self._take(self._core.cancel_batch(_batch_id(batch)))

    async def submission(self, batch: Batch | str) -> Submission:
        """Get a batch's submission as far as it is: valid at any time, two attempts each."""
        return await self._take(self._core.submission(_batch_id(batch)))

    async def checkpoints(self) -> tuple[Checkpoint, ...]:
        """Ask which checkpoints are served."""
        return await self._take(self._core.checkpoints())

    async def puzzles(
        self, checkpoint: str, *, after: str | None = None, limit: int | None = None
    ) -> PuzzlePage:
        """Ask which puzzles a checkpoint knows; `after` is the previous page's `next`."""
        return await self._take(self._core.puzzles(checkpoint, after, limit))

    async def adapted(self) -> tuple[Adapted, ...]:
        """Ask which of your adapted checkpoints the workers keep, the newest made first."""
        return await self._take(self._core.adapted())

    async def remove_adapted(self, adapted: Adapted | str) -> None:
        """Remove an adapted checkpoint; the next job of its puzzle makes a new one."""
        await self._take(
            self._core.remove_adapted(adapted if isinstance(adapted, str) else adapted.id)
        )

    async def _take(self, steps: Steps[T], on_progress: Callable[[Any], Any] | None = None) -> T:
        """Take the core's steps, one effect after the other."""
        async with AsyncExitStack() as stack:
            stream = _Stream(stack)
            outcome: Any = None
            error: Exception | None = None
            while True:
                try:
                    effect = steps.send(outcome) if error is None else steps.throw(error)
                except StopIteration as done:
                    value: T = done.value
                    return value
                outcome = error = None
                try:
                    outcome = await self._perform(effect, stream, on_progress)
                except httpx.RequestError as failure:
                    error = self._address.unreachable(failure)

    async def _perform(
        self, effect: Effect, stream: "_Stream", on_progress: Callable[[Any], Any] | None
    ) -> Any:
        match effect:
            case Send(request):
                return reply_of(await self._http.send(self._address.request(self._http, request)))
            case Listen(request, silence_s):
                prepared = self._address.request(self._http, request, silence_s)
                return await stream.open(await self._http.send(prepared, stream=True))
            case NextChunk():
                return await anext(stream.chunks, None)
            case HangUp():
                await stream.close()
            case Pause(seconds):
                await asyncio.sleep(seconds)
            case Report(progress):
                pending = None if on_progress is None else on_progress(progress)
                if inspect.isawaitable(pending):
                    await pending
        return None


class _Stream:
    """The stream that one operation listens to, where it does."""

    chunks: AsyncIterator[bytes]

    def __init__(self, stack: AsyncExitStack) -> None:
        self._stack = stack

    async def open(self, response: httpx.Response) -> Reply | None:
        self._stack.push_async_callback(response.aclose)
        if not is_stream(response):
            await response.aread()
            return reply_of(response)
        self.chunks = response.aiter_bytes()
        return None

    async def close(self) -> None:
        await self._stack.aclose()


def _id(job: Job | str) -> str:
    return job if isinstance(job, str) else job.id


def _batch_id(batch: Batch | str) -> str:
    return batch if isinstance(batch, str) else batch.id
