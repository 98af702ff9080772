"""`hrm-arc load`: throughput and latency of a running service, under a load of jobs."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer
from rich.table import Table

from service.cli import options
from service.cli.output import JSONOption, console, print_json, progress_line
from service.cli.task_sources import read_tasks
from service.client import AsyncClient, Client
from service.client.drivers import DEFAULT_URL
from service.client.load import NO_RETRIES, LoadResult, known_tasks, run_load
from service.client.messages import AnyTask
from service.wire.options import Priority

DEFAULT_JOBS = 100
_TIMES: Mapping[str, str] = {
    "queue_s": "queued",
    "first_event_s": "to the first event",
    "total_s": "to the answer",
}


def load_command(
    url: Annotated[str, typer.Option(help="The service's address.")] = DEFAULT_URL,
    api_key: options.APIKeyOption = None,
    tasks: options.OptionalTasksOption = None,
    concurrency: Annotated[int, typer.Option(min=1, help="Jobs at a time.")] = 8,
    jobs: Annotated[
        int | None, typer.Option(min=1, help=f"Jobs in all; default: {DEFAULT_JOBS}.")
    ] = None,
    seconds: Annotated[
        float | None, typer.Option(min=0, help="Send jobs for so long, in place of --jobs.")
    ] = None,
    checkpoint: Annotated[
        str | None, typer.Option(help="The name of a checkpoint that is served.")
    ] = None,
    variants: options.VariantsOption = None,
    max_segments: options.MaxSegmentsOption = None,
    stop_early: options.StopEarlyOption = options.DEFAULTS.stop_early,
    adapt: options.AdaptOption = None,
    priority: Annotated[Priority, options.solve_option("priority")] = options.DEFAULTS.priority,
    as_json: JSONOption = False,
) -> None:
    """Send jobs to a service, so many at a time, and show its throughput and latency.

    Without --tasks they are public puzzles that a checkpoint of the service knows. Exit 1 where a
    job was not answered.
    """
    if jobs is not None and seconds is not None:
        raise typer.BadParameter("--jobs and --seconds exclude each other: give one of them")
    given: Mapping[str, Any] = {
        "checkpoint": checkpoint,
        "variants": variants,
        "max_segments": max_segments,
        "adapt": adapt,
    }
    solve = {name: value for name, value in given.items() if value is not None}
    solve |= {"stop_early": stop_early, "priority": priority}
    if tasks:
        sent: Sequence[AnyTask] = read_tasks(tasks)
    else:
        with Client(url, api_key=api_key) as client:
            sent = known_tasks(client, checkpoint)
    num_jobs = (jobs or DEFAULT_JOBS) if seconds is None else None
    result = asyncio.run(_run(url, api_key, sent, solve, concurrency, num_jobs, seconds))
    document = {"url": url, "concurrency": concurrency, "puzzles": len(sent), **result.document()}
    if as_json:
        print_json(document)
    else:
        _print(document)
    if result.errors:
        raise typer.Exit(1)


async def _run(
    url: str,
    api_key: str | None,
    tasks: Sequence[AnyTask],
    solve: Mapping[str, Any],
    concurrency: int,
    num_jobs: int | None,
    seconds: float | None,
) -> LoadResult:
    num_ended = 0
    with progress_line("jobs", num_jobs) as line:

        def count_end() -> None:
            nonlocal num_ended
            num_ended += 1
            line.update(f"{num_ended} jobs", completed=num_ended)

        async with AsyncClient(url, api_key=api_key, retries=NO_RETRIES) as client:
            return await run_load(
                client,
                tasks,
                solve,
                num_at_once=concurrency,
                num_jobs=num_jobs,
                seconds=seconds,
                on_end=count_end,
            )


def _print(document: Mapping[str, Any]) -> None:
    rate = document["answers_per_s"] or 0
    console.print(
        f"{document['answered']} of {document['jobs']} jobs answered in {document['seconds']:.1f} "
        f"s ({rate:.2f} a second), {document['concurrency']} at a time"
    )
    for code, number in document["errors"].items():
        console.print(f"{number} ended with {code}", style="red")
    table = Table()
    table.add_column("seconds")
    for name in document["total_s"]:
        table.add_column(name, justify="right")
    for key, title in _TIMES.items():
        values = document[key].values()
        table.add_row(title, *("-" if value is None else f"{value:.3f}" for value in values))
    console.print(table)
