"""`hrm-arc jobs …`: an operator's view of a service's jobs, straight from its Redis.

For whoever runs the service: no API key is asked for, and no owner's jobs are hidden.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Annotated, Any, TypeVar

import typer

from service.api.documents import job_document, job_summary
from service.cli import service_options as options
from service.cli.output import JSONOption, console, print_json
from service.jobs import Job, JobState, JobStore
from service.runtime.embedded import EmbeddedServer
from service.runtime.key_ring import LOCAL_OWNER
from service.runtime.settings import Settings

T = TypeVar("T")

_LINE = "{:<22}  {:<9}  {:>8}  {:<20}  {}"

IdArgument = Annotated[str, typer.Argument(metavar="ID", help="A job's id.")]
LimitOption = Annotated[int, typer.Option("--limit", min=1, help="Jobs shown at most.")]

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="List, show, cancel and requeue the jobs of a service.\n\n"
    "They are read from the Redis that HRM_ARC_REDIS_URL names, or else from the state folder.",
)


@app.command("list")
def list_command(
    owner: Annotated[str, typer.Option(help="Whose jobs: the name of an API key.")] = LOCAL_OWNER,
    state: Annotated[
        list[JobState] | None, typer.Option("--state", help="May be given several times.")
    ] = None,
    limit: LimitOption = 50,
    state_folder: options.StateFolderOption = None,
    as_json: JSONOption = False,
) -> None:
    """List an owner's jobs, newest first."""

    async def read(store: JobStore) -> Sequence[Job]:
        return (await store.list(owner, states=state or (), limit=limit)).jobs

    _print_jobs(_ask(state_folder, read), as_json)


@app.command("dead")
def dead_command(
    limit: LimitOption = 100,
    state_folder: options.StateFolderOption = None,
    as_json: JSONOption = False,
) -> None:
    """List the jobs that used up their attempts; `requeue` gives them new ones."""
    _print_jobs(_ask(state_folder, lambda store: store.dead(limit)), as_json)


@app.command("show")
def show_command(job_id: IdArgument, state_folder: options.StateFolderOption = None) -> None:
    """Print a job as the API shows it, one JSON document."""
    print_json(json.loads(job_document(_ask(state_folder, lambda store: store.get(job_id)))))


@app.command("cancel")
def cancel_command(job_id: IdArgument, state_folder: options.StateFolderOption = None) -> None:
    """Cancel a job: at once while it waits, within a moment while it runs."""
    job = _ask(state_folder, lambda store: store.cancel(job_id))
    asked = ", cancelling" if job.cancel_requested and not job.state.is_final else ""
    console.print(f"{job.id}: {job.state.value}{asked}", markup=False)


@app.command("requeue")
def requeue_command(
    job_ids: Annotated[list[str], typer.Argument(metavar="ID...", help="Failed jobs.")],
    state_folder: options.StateFolderOption = None,
) -> None:
    """Queue failed jobs again, with all their attempts."""

    async def requeue(store: JobStore) -> None:
        for job_id in job_ids:
            job = await store.requeue(job_id)
            console.print(f"{job.id}: {job.state.value}", markup=False)

    _ask(state_folder, requeue)


def _ask(state_folder: Any, work: Callable[[JobStore], Awaitable[T]]) -> T:
    """Do something with the store of the service that the settings name."""
    settings = Settings.load(state_folder=state_folder)

    async def run(url: str) -> T:
        store = JobStore.connect(
            url, max_queued=settings.max_queued, result_ttl_s=settings.result_ttl_s
        )
        try:
            return await work(store)
        finally:
            await store.close()

    with _queue_url(settings) as url:
        return asyncio.run(run(url))


@contextmanager
def _queue_url(settings: Settings) -> Iterator[str]:
    """Give the address of Redis; the embedded server is adopted, or runs for this long only."""
    if settings.redis_url is not None:
        yield settings.redis_url
        return
    with EmbeddedServer(settings.state_folder) as url:
        yield url


def _print_jobs(jobs: Sequence[Job], as_json: bool) -> None:
    if as_json:
        print_json([json.loads(job_summary(job)) for job in jobs])
        return
    if not jobs:
        console.print("no such jobs")
        return
    # Lines rather than a table: they keep whole ids on narrow terminals, and can be searched.
    console.print(_LINE.format("id", "state", "attempts", "created", "puzzle"), style="bold")
    for job in jobs:
        created = datetime.fromtimestamp(job.created_at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        line = _LINE.format(job.id, job.state.value, job.attempts, created, job.name)
        error = f"  {job.failure.code}: {job.failure.detail}" if job.failure else ""
        console.print(line + error, markup=False, soft_wrap=True)
