"""`hrm-arc checkpoints …`: the checkpoints that a service serves."""

from collections.abc import Mapping, Sequence
from typing import Annotated

import typer

from service.cli import options
from service.cli.output import JSONOption, console, print_json, warn, working
from service.client import Checkpoint, Client
from service.client.drivers import DEFAULT_URL

# Lines, not a table: verdicts are sentences.
_LINE = "{:<20}  {:>7}  {:>9}  {:<11}  {}"
_HEAD = _LINE.format("name", "workers", "puzzles", "finding", "sha256")

URLOption = Annotated[str, typer.Option(help="The service's address.")]

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="List and reload the checkpoints that a service serves.",
)


@app.command("list")
def list_command(
    url: URLOption = DEFAULT_URL,
    api_key: options.APIKeyOption = None,
    as_json: JSONOption = False,
) -> None:
    """List the checkpoints that workers serve, with what their self-tests found."""
    with Client(url, api_key=api_key) as client:
        found = client.checkpoints()
    if as_json:
        print_json([one.model_dump(mode="json", exclude={"links"}) for one in found])
    else:
        _print(found, {})


@app.command("reload")
def reload_command(
    url: URLOption = DEFAULT_URL,
    api_key: options.APIKeyOption = None,
    wait_s: Annotated[
        float, typer.Option(min=0, help="How long to wait for the workers to be done.")
    ] = 600.0,
    as_json: JSONOption = False,
) -> None:
    """Have the workers serve what is in their checkpoint folders now; running jobs go on.

    Exit 1 where a checkpoint cannot be served, or workers are not done in time.
    """
    with Client(url, api_key=api_key) as client, working("reloading"):
        found = client.reload_checkpoints(wait_s=wait_s)
    if as_json:
        links = {"checkpoints": {"__all__": {"links"}}}
        print_json(found.model_dump(mode="json", exclude=links))
    else:
        _print(found.checkpoints, found.refused)
        if found.reloading:
            warn(f"{found.reloading} workers are not done after {wait_s:g} s")
    if found.refused or found.reloading:
        raise typer.Exit(1)


def _print(found: Sequence[Checkpoint], refused: Mapping[str, str]) -> None:
    if not found:
        console.print("no checkpoint is served")
    else:
        console.print(_HEAD, style="bold")
    for one in found:
        line = _LINE.format(
            *(one.name, one.workers or 0, one.puzzles, one.finding.value, one.sha256[:12])
        )
        console.print(line, soft_wrap=True)
    for name, why in refused.items():
        warn(f"{name} is not served: {why}")
