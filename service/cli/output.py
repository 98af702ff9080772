"""The consoles of the command line, its progress display, and orderly stops."""

import json
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

JSONOption = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]

# No emoji or markup: a puzzle may be called ":smile:" or "[red]".
console = Console(highlight=False, emoji=False, markup=False)
# Progress, notices and errors go to the error stream: standard output holds the result only.
notices = Console(stderr=True, highlight=False, emoji=False, markup=False)

# The log of a run of hours should stay readable.
LINE_EVERY_S = 30.0


def print_json(document: Any) -> None:
    """Print a JSON document on one line."""
    console.out(json.dumps(document), highlight=False)


def warn(sentence: str) -> None:
    """Print a warning to the error stream."""
    notices.print(f"Warning: {sentence.rstrip('.')}.", style="yellow", soft_wrap=True)


def progress_bar() -> Progress:
    """Return a progress bar that disappears when the work is done."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=notices,
        transient=True,
    )


def time_left(remaining_s: float | None, expected_s: float | None) -> str | None:
    """Say how much of an expected time is left, in minutes; None where it is not known."""
    if remaining_s is None or expected_s is None:
        return None
    remaining, expected = (
        f"{seconds // 60}:{seconds % 60:02}" for seconds in (round(remaining_s), round(expected_s))
    )
    return f"about {remaining} of {expected} min left"


class ProgressLine:
    """The progress of long work: a bar on a terminal, elsewhere a line every LINE_EVERY_S."""

    def __init__(self, bar: Progress, text: str, total: int | None) -> None:
        self._bar = bar
        self._job = bar.add_task(escape(text), total=total)
        self._printed_at: float | None = None

    def update(
        self,
        text: str,
        *,
        completed: int | None = None,
        total: int | None = None,
        line: str | None = None,
    ) -> None:
        """Show the progress; `line` is the text for a log, where it differs, or empty for none."""
        self._bar.update(self._job, description=escape(text), completed=completed, total=total)
        now = time.monotonic()
        is_due = self._printed_at is None or now - self._printed_at >= LINE_EVERY_S
        entry = text if line is None else line
        if entry and not notices.is_terminal and is_due:
            self._printed_at = now
            notices.print(entry, soft_wrap=True)


@contextmanager
def progress_line(text: str, total: int | None = None) -> Iterator[ProgressLine]:
    """Show the progress of long work while the context lasts."""
    with progress_bar() as bar:
        yield ProgressLine(bar, text, total)


@contextmanager
def working(text: str) -> Iterator[None]:
    """Show on a terminal what is being done while the context lasts."""
    with progress_line(text):
        yield


@contextmanager
def stop_on_signals() -> Iterator[Callable[[], bool]]:
    """Yield a function that returns whether SIGINT or SIGTERM has come.

    Neither ends the process while the context lasts.
    """
    received: list[int] = []
    before = {
        number: signal.signal(number, lambda number, _frame: received.append(number))
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield lambda: bool(received)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
