"""`hrm-arc adapted …`: the adapted checkpoints in a state folder or of a service."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from service.adaptation.cache import AdaptedCache
from service.cli import options
from service.cli.output import JSONOption, console, print_json
from service.client import Adapted, Client
from service.runtime.folders import state_subfolder
from service.runtime.settings import Settings
from service.wire.errors import AdaptationError, AdaptedNotFound

# Lines, not a table: ids stay whole on narrow terminals and can be searched for.
_LINE = "{:<34}  {:>6}  {:>8}  {:>7}  {:<20}  {}"
_HEAD = _LINE.format("id", "steps", "held out", "MB", "last used", "puzzle")

URLOption = Annotated[
    str | None,
    typer.Option(help="A service: those there that are yours; default: all in the folder."),
]

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="List and remove the checkpoints that a service has adapted to single puzzles.\n\n"
    "They are kept in its state folder for later jobs of the same puzzle.",
)


@app.command("list")
def list_command(
    url: URLOption = None,
    api_key: options.APIKeyOption = None,
    state_folder: options.StateFolderOption = None,
    as_json: JSONOption = False,
) -> None:
    """List adapted checkpoints."""
    options.check_api_key(url, api_key)
    found: Sequence[Adapted]
    owners: Sequence[str] = ()  # a service lists those of the caller, without an owner
    if url is not None:
        with Client(url, api_key=api_key) as client:
            found = client.adapted()
    else:
        records = [entry.described() for entry in _cache(state_folder).entries()]
        found = [record.document() for record in records]
        owners = [record.owner for record in records]
    if as_json:
        documents = [one.model_dump(mode="json", exclude={"links"}) for one in found]
        for document, owner in zip(documents, owners, strict=False):
            document["owner"] = owner
        print_json(documents)
    elif not found:
        console.print("there are no adapted checkpoints")
    else:
        console.print(_HEAD, style="bold")
        for adapted in found:
            console.print(_line(adapted), soft_wrap=True)


@app.command("remove")
def remove_command(
    ids: Annotated[
        list[str] | None, typer.Argument(metavar="ID...", help="Adapted checkpoints.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="All of them.")] = False,
    url: URLOption = None,
    api_key: options.APIKeyOption = None,
    state_folder: options.StateFolderOption = None,
) -> None:
    """Remove adapted checkpoints; the next job of their puzzle adapts again."""
    options.check_api_key(url, api_key)
    if bool(ids) == everything:
        raise typer.BadParameter("name the adapted checkpoints to remove, or give --all")
    if url is not None:
        with Client(url, api_key=api_key) as client:
            for one in ids or [adapted.id for adapted in client.adapted()]:
                client.remove_adapted(one)
                console.print(f"{one}: removed")
        return
    cache = _cache(state_folder)
    for one in ids or [entry.id for entry in cache.entries()]:
        if cache.entry(one) is None:
            raise AdaptedNotFound(one)
        if not cache.remove(one):
            raise AdaptationError(f"{one} is being adapted now: cancel the jobs that wait for it")
        console.print(f"{one}: removed")


def _cache(state_folder: Path | None) -> AdaptedCache:
    settings = Settings.load(state_folder=state_folder)
    return AdaptedCache(
        state_subfolder("adapted", settings.state_folder), settings.adapt_cache_bytes
    )


def _line(adapted: Adapted) -> str:
    share = "-" if adapted.held_out_share is None else f"{adapted.held_out_share:.1%}"
    unfinished = "" if adapted.complete else "  (not complete)"
    used_at = adapted.used_at.strftime("%Y-%m-%dT%H:%M:%SZ")
    size = f"{adapted.bytes / 1e6:.1f}"
    line = _LINE.format(adapted.id, adapted.steps, share, size, used_at, adapted.puzzle)
    return line + unfinished
