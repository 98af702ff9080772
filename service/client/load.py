"""Load on a running service: jobs sent so many at a time, and how long each took."""

import asyncio
import math
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count, cycle
from typing import Any, Final

import numpy as np

from service.client.errors import JobUnsuccessful, ServiceProblem
from service.client.exchange import Retries
from service.client.messages import AnyTask
from service.client.operations import AsyncClient, Client
from service.wire.errors import ClientError, InputError
from service.wire.job import JobState

PERCENTILES: Final = (50, 90, 99)
# So many of the puzzles that a checkpoint knows make a varied load.
NUM_KNOWN: Final = 8
_PAGE = 100


@dataclass(frozen=True, slots=True)
class JobTimes:
    """How long a job took that was answered.

    Units: seconds. `queue_s` by the service's clock: from submission to a worker's claim; the
    others by this machine's, from before the request: to the first event that the job runs, and to
    the answer.
    """

    queue_s: float
    first_event_s: float
    total_s: float


@dataclass(slots=True)
class LoadResult:
    """What came of a load: the times of answered jobs, and the other ends by code.

    Units: seconds.
    """

    times: list[JobTimes] = field(default_factory=list)
    errors: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0

    def document(self) -> dict[str, Any]:
        """Write the figures as JSON values; None where no job was answered."""
        return {
            "jobs": len(self.times) + self.errors.total(),
            "answered": len(self.times),
            "errors": dict(self.errors.most_common()),
            "seconds": round(self.seconds, 3),
            "answers_per_s": round(len(self.times) / self.seconds, 3) if self.seconds else None,
            "queue_s": _percentiles([one.queue_s for one in self.times]),
            "first_event_s": _percentiles([one.first_event_s for one in self.times]),
            "total_s": _percentiles([one.total_s for one in self.times]),
        }


def _percentiles(seconds: Sequence[float]) -> dict[str, float | None]:
    names = ["mean", *(f"p{percent}" for percent in PERCENTILES), "max"]
    if not seconds:
        return dict.fromkeys(names)
    values = [np.mean(seconds), *np.percentile(seconds, PERCENTILES), np.max(seconds)]
    return {name: round(float(value), 6) for name, value in zip(names, values, strict=True)}


def known_tasks(client: Client, checkpoint: str | None) -> tuple[dict[str, Any], ...]:
    """Return public puzzles that a checkpoint knows, by default one of those with names for some.

    Raises: InputError where there are none.
    """
    served = [one.name for one in client.checkpoints() if one.puzzles]
    for name in served if checkpoint is None else [checkpoint]:
        tasks = []
        for known in client.puzzles(name, limit=_PAGE).puzzles:
            task = client.puzzle(name, known.demonstrations_sha256).task
            if task is not None:
                tasks.append(task.model_dump(mode="json", exclude_none=True))
            if len(tasks) == NUM_KNOWN:
                break
        if tasks:
            return tuple(tasks)
    raise InputError(
        "the service knows no public puzzle to be asked for: name puzzles with --tasks"
    )


async def run_load(
    client: AsyncClient,
    tasks: Sequence[AnyTask],
    options: Mapping[str, Any],
    *,
    num_at_once: int,
    num_jobs: int | None = None,
    seconds: float | None = None,
    on_end: Callable[[], None] = lambda: None,
) -> LoadResult:
    """Send jobs, `num_at_once` at a time, until there were `num_jobs` or the seconds are over.

    The tasks are taken in turn. Jobs that were sent are waited for. `on_end` is called for each.
    The client should not repeat refused requests (`NO_RETRIES`): they are counted by their code.
    """
    result = LoadResult()
    started = time.monotonic()
    deadline = started + (math.inf if seconds is None else seconds)
    numbers = iter(count() if num_jobs is None else range(num_jobs))
    turns = zip(numbers, cycle(tasks), strict=False)
    await asyncio.gather(
        *(_work(client, turns, options, deadline, result, on_end) for _ in range(num_at_once))
    )
    result.seconds = time.monotonic() - started
    return result


NO_RETRIES: Final = Retries(most=0)


async def _work(
    client: AsyncClient,
    turns: Iterator[tuple[int, AnyTask]],
    options: Mapping[str, Any],
    deadline: float,
    result: LoadResult,
    on_end: Callable[[], None],
) -> None:
    while time.monotonic() < deadline and (turn := next(turns, None)) is not None:
        try:
            result.times.append(await _time_job(client, turn[1], options))
        except (ServiceProblem, JobUnsuccessful) as error:
            result.errors[error.code] += 1
        except ClientError as error:
            result.errors[type(error).__name__] += 1
        on_end()


async def _time_job(client: AsyncClient, task: AnyTask, options: Mapping[str, Any]) -> JobTimes:
    sent_at = time.monotonic()
    job = await client.submit(task, **options)
    first_event_s: float | None = None
    async for event in client.events(job):
        if first_event_s is None and event.state is not JobState.QUEUED:
            first_event_s = time.monotonic() - sent_at
        job = event.job or job
    total_s = time.monotonic() - sent_at
    if job.result is None or first_event_s is None or job.started_at is None:
        raise JobUnsuccessful(job)
    queue_s = (job.started_at - job.created_at).total_seconds()
    return JobTimes(queue_s, first_event_s, total_s)
