"""The blocking client."""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
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
OnProgress = Callable[[Progress], None]
OnBatchProgress = Callable[[BatchProgress], None]


class Client:
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
        self._http = httpx.Client(**self._address.settings())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def solve(
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
        return self._take(steps, on_progress)

    def submit(self, task: AnyTask, *, idempotency_key: str | None = None, **options: Any) -> Job:
        """Make a job; with the same `idempotency_key` and task, the same job."""
        return self._take(self._core.submit(task, options, idempotency_key))

    def get(self, job: Job | str) -> Job:
        """Ask how a job stands."""
        return self._take(self._core.get(_id(job)))

    def wait(
        self, job: Job | str, *, wait_s: float | None = None, on_progress: OnProgress | None = None
    ) -> Job:
        """Wait until a job has ended, in whatever way, or for `wait_s` seconds.

        Raises: JobUnfinished when the time has passed.
        """
        return self._take(self._core.wait(_id(job), wait_s), on_progress)

    def cancel(self, job: Job | str) -> Job:
        """Cancel a job; a running one stops soon after, one that has ended stays as it is."""
        return self._take(self._core.cancel(_id(job)))

    def list(
        self, *, states: Iterable[str] = (), after: str | None = None, limit: int | None = None
    ) -> JobPage:
        """Ask for one's jobs, the newest first; `after` is the previous page's `next`."""
        return self._take(self._core.list(states, after, limit))

    def submit_batch(
        self,
        challenges: AnyChallenges,
        *,
        name: str | None = None,
        idempotency_key: str | None = None,
        **options: Any,
    ) -> Batch:
        """Have a whole challenges file answered: a path to one, or {id: task, ...}."""
        steps = self._core.submit_batch(challenges, options, name, idempotency_key)
        return self._take(steps)

    def get_batch(self, batch: Batch | str) -> Batch:
        """Ask how a batch stands."""
        return self._take(self._core.get_batch(_batch_id(batch)))

    def list_batches(self, *, after: str | None = None, limit: int | None = None) -> BatchPage:
        """Ask for one's batches, the newest first; `after` is the previous page's `next`."""
        return self._take(self._core.list_batches(after, limit))

    def wait_batch(
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
        return self._take(steps, on_progress)

    def cancel_batch(self, batch: Batch | str) -> Batch:
        """Cancel the jobs of a batch that have not ended; what is answered stays."""
        return self._take(self._core.cancel_batch(_batch_id(batch)))

    def submission(self, batch: Batch | str) -> Submission:
        """Get a batch's submission as far as it is: valid at any time, two attempts each."""
        return self._take(self._core.submission(_batch_id(batch)))

    def checkpoints(self) -> tuple[Checkpoint, ...]:
        """Ask which checkpoints are served."""
        return self._take(self._core.checkpoints())

    def puzzles(
        self, checkpoint: str, *, after: str | None = None, limit: int | None = None
    ) -> PuzzlePage:
        """Ask which puzzles a checkpoint knows; `after` is the previous page's `next`."""
        return self._take(self._core.puzzles(checkpoint, after, limit))

    def adapted(self) -> tuple[Adapted, ...]:
        """Ask which of your adapted checkpoints the workers keep, the newest made first."""
        return self._take(self._core.adapted())

    def remove_adapted(self, adapted: Adapted | str) -> None:
        """Remove an adapted checkpoint; the next job of its puzzle makes a new one."""
        self._take(self._core.remove_adapted(adapted if isinstance(adapted, str) else adapted.id))

    def _take(self, steps: Steps[T], on_progress: Callable[[Any], Any] | None = None) -> T:
        """Take the core's steps, one effect after the other."""
        with ExitStack() as stack:
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
                    outcome = self._perform(effect, stream, on_progress)
                except httpx.RequestError as failure:
                    error = self._address.unreachable(failure)

    def _perform(
        self, effect: Effect, stream: "_Stream", on_progress: Callable[[Any], Any] | None
    ) -> Any:
        match effect:
            case Send(request):
                return reply_of(self._http.send(self._address.request(self._http, request)))
            case Listen(request, silence_s):
                prepared = self._address.request(self._http, request, silence_s)
                return stream.open(self._http.send(prepared, stream=True))
            case NextChunk():
                return next(stream.chunks, None)
            case HangUp():
                stream.close()
            case Pause(seconds):
                time.sleep(seconds)
            case Report(progress):
                if on_progress is not None:
                    on_progress(progress)
        return None


class _Stream:
    """The stream that one operation listens to, where it does."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self.chunks: Iterator[bytes] = iter(())

    def open(self, response: httpx.Response) -> Reply | None:
        self._stack.callback(response.close)
        if not is_stream(response):
            response.read()
            return reply_of(response)
        self.chunks = response.iter_bytes()
        return None

    def close(self) -> None:
        self._stack.close()


def _id(job: Job | str) -> str:
    return job if isinstance(job, str) else job.id


def _batch_id(batch: Batch | str) -> str:
    return batch if isinstance(batch, str) else batch.id
