"""Has puzzles solved by a service."""

import asyncio
from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import partial

from rich.markup import escape
from rich.progress import Progress as Bar

from augment import Task
from service.cli.output import progress_bar, warn
from service.client import (
    Answer,
    AsyncClient,
    ClientError,
    Job,
    JobUnsuccessful,
    Progress,
    SolveOptions,
)

_VOTING = "variants"


def solve_remotely(
    tasks: Sequence[Task], url: str, api_key: str | None, options: SolveOptions
) -> list[Answer]:
    """Have puzzles solved by the service at an address, all at once.

    Raises: ClientError when it refuses or fails on one of them; the others are then cancelled.
    """
    with progress_bar() as bar:
        jobs = asyncio.run(_solve_all(tasks, AsyncClient(url, api_key=api_key), options, bar))
    return [_finish(job) for job in jobs]


async def _solve_all(
    tasks: Sequence[Task], client: AsyncClient, options: SolveOptions, bar: Bar
) -> list[Job]:
    line = bar.add_task(_VOTING, total=None)
    latest: dict[str, Progress] = {}

    def show(job: Job, progress: Progress) -> None:
        latest[job.id] = progress
        bar.update(
            line,
            description=_description(latest.values()),
            completed=sum(p.outcomes for p in latest.values()),
            # The number of variants is not known while a job waits or adapts.
            total=sum(p.asked for p in latest.values())
            if len(latest) == len(tasks) and all(p.asked for p in latest.values())
            else None,
        )

    jobs: list[Job] = []
    async with client:
        try:
            for task in tasks:
                jobs.append(await client.submit(task, **options.given))  # noqa: PERF401
            waits = [client.wait(job, on_progress=partial(show, job)) for job in jobs]
            return await asyncio.gather(*waits)
        except BaseException:  # Ctrl-C included: the answers are no longer wanted
            for job in jobs:
                with suppress(ClientError):
                    await client.cancel(job)
            raise


def _description(progresses: Iterable[Progress]) -> str:
    adapting = [p.adaptation for p in progresses if p.adaptation is not None]
    if not adapting:
        return _VOTING
    if len(adapting) > 1:
        return f"adapting to {len(adapting)} puzzles"
    (one,) = adapting
    held_out = "" if one.held_out_share is None else f", held out {one.held_out_share:.0%} right"
    return escape(f"adapting {one.checkpoint} ({one.used_share:.0%} of its budget{held_out})")


def _finish(job: Job) -> Answer:
    if job.result is None:
        raise JobUnsuccessful(job)
    for warning in job.result.warnings:
        warn(warning)
    return job.result
