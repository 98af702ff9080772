"""The consoles the command line prints to, and its progress bar."""

import json
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

JSONOption = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]

# No emoji: a puzzle may be called ":smile:".
console = Console(highlight=False, emoji=False)
# Progress, notices and errors go to the error stream: what is piped on is the result alone.
notices = Console(stderr=True, highlight=False, emoji=False)


def print_json(document: Any) -> None:
    """Print a JSON document, unwrapped, so that it can be piped."""
    console.out(json.dumps(document), highlight=False)


def warn(sentence: str) -> None:
    """Print a warning to the error stream."""
    notices.print(f"Warning: {sentence}.", style="yellow", markup=False, soft_wrap=True)


def progress_bar() -> Progress:
    """Make the bar of long work; it disappears when the work is done."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=notices,
        transient=True,
    )
