"""`hrm-arc jobs …`: the jobs of a service, read from its Redis or through its API.

Redis is for operators: it needs no API key and has the jobs of all owners.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC
from typing import Annotated, Any, TypeVar

import typer

from service.api.documents import job_document, job_summary
from service.cli import options
from service.cli.output import JSONOption, console, print_json
from service.jobs import Job, JobState, JobStore
from service.runtime.embedded import EmbeddedServer
from service.runtime.key_ring import LOCAL_OWNER
from service.runtime.settings import Settings
from service.wire.job import JobSummary

T = TypeVar("T")

# The maximum that the API allows in one page.
PAGE = 100

_LINE = "{:<22}  {:<9}  {:>8}  {:<20}  {}"

IdArgument = Annotated[str, typer.Argument(metavar="ID", help="A job's id.")]
LimitOption = Annotated[int, typer.Option(min=1, help="The maximum number of jobs.")]
URLOption = Annotated[
    str | None, typer.Option(help="Ask a service, such as http://HOST:8400, for your jobs.")
]

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="List, show, cancel and requeue the jobs of a service.\n\n"
    "They are read from the Redis that HRM_ARC_REDIS_URL names or, without it, from the state "
    "folder.",
)


@app.command("list")
def list_command(
    owner: Annotated[
        str | None, typer.Option(help=f"The owner of the jobs, by API key; default: {LOCAL_OWNER}.")
    ] = None,
    state: Annotated[
        list[JobState] | None, typer.Option(help="May be given several times.")
    ] = None,
    limit: LimitOption = 50,
    url: URLOption = None,
    api_key: options.APIKeyOption = None,
    state_folder: options.StateFolderOption = None,
    as_json: JSONOption = False,
) -> None:
    """List the jobs of an owner, the newest first."""
    options.check_api_key(url, api_key)
    if url is not None:
        if owner is not None:
            raise typer.BadParameter("--owner: with --url, the API key determines the owner")
        jobs = _list_served(url, api_key, state or (), limit)
    else:
        who, states = owner or LOCAL_OWNER, state or ()
        page = _ask(state_folder, lambda store: store.list(who, states=states, limit=limit))
        jobs = _summaries(page.items)
    _print_jobs(jobs, as_json)


@app.command("dead")
def dead_command(
    limit: LimitOption = 100,
    state_folder: options.StateFolderOption = None,
    as_json: JSONOption = False,
) -> None:
    """List the jobs that have used up their attempts; `requeue` gives them new ones."""
    _print_jobs(_summaries(_ask(state_folder, lambda store: store.dead(limit))), as_json)


@app.command("show")
def show_command(job_id: IdArgument, state_folder: options.StateFolderOption = None) -> None:
    """Print a job as the API shows it, one JSON document."""
    print_json(json.loads(job_document(_ask(state_folder, lambda store: store.get(job_id)))))


@app.command("cancel")
def cancel_command(job_id: IdArgument, state_folder: options.StateFolderOption = None) -> None:
    """Cancel a job: at once while it waits, within moments while it runs."""
    job = _ask(state_folder, lambda store: store.cancel(job_id))
    suffix = ", cancelling" if job.cancel_requested and not job.state.is_final else ""
    console.print(f"{job.id}: {job.state.value}{suffix}")


@app.command("requeue")
def requeue_command(
    job_ids: Annotated[list[str], typer.Argument(metavar="ID...", help="Failed jobs.")],
    state_folder: options.StateFolderOption = None,
) -> None:
    """Queue failed jobs again, with all their attempts."""

    async def requeue(store: JobStore) -> None:
        for job_id in job_ids:
            job = await store.requeue(job_id)
            console.print(f"{job.id}: {job.state.value}")

    _ask(state_folder, requeue)


def _ask(state_folder: Any, work: Callable[[JobStore], Awaitable[T]]) -> T:
    """Return what `work` does with the job store that the settings name."""
    settings = Settings.load(state_folder=state_folder)

    async def run(url: str) -> T:
        store = JobStore.connect(
            url, max_queued=settings.max_queued, result_ttl_s=settings.result_ttl_s
        )
        try:
            return await work(store)
        finally:
            await store.close()

    if (url := settings.known_queue_url) is not None:
        return asyncio.run(run(url))
    # The embedded server is adopted, or runs for this time only.
    with EmbeddedServer(settings.state_folder) as url:
        return asyncio.run(run(url))


def _summaries(jobs: Sequence[Job]) -> list[JobSummary]:
    return [JobSummary.model_validate_json(job_summary(job)) for job in jobs]


def _list_served(
    url: str, api_key: str | None, states: Sequence[JobState], limit: int
) -> list[JobSummary]:
    """Return the newest jobs of the caller, page by page."""
    from service.client import Client  # here: only --url needs it

    jobs: list[JobSummary] = []
    after: str | None = None
    with Client(url, api_key=api_key) as client:
        while len(jobs) < limit:
            page = client.list(states=states, after=after, limit=min(PAGE, limit - len(jobs)))
            jobs += page.jobs
            after = page.next
            if after is None:
                break
    return jobs


def _print_jobs(jobs: Sequence[JobSummary], as_json: bool) -> None:
    if as_json:
        print_json([job.model_dump(mode="json", exclude={"result"}) for job in jobs])
        return
    if not jobs:
        console.print("no such jobs")
        return
    # Lines, not a table: ids stay whole on narrow terminals and can be searched for.
    console.print(_LINE.format("id", "state", "attempts", "created", "puzzle"), style="bold")
    for job in jobs:
        created = job.created_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        line = _LINE.format(job.id, job.state.value, job.attempts, created, job.name)
        error = f"  {job.error.code}: {job.error.detail}" if job.error else ""
        console.print(line + error, soft_wrap=True)
