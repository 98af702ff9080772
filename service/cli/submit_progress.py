"""How far `hrm-arc submit` is: a bar on a terminal, elsewhere a line from time to time."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.markup import escape
from rich.progress import Progress

from service.cli.output import notices, progress_bar
from service.submission.plan import Plan
from service.submission.run import Run

# Logs of hours should stay readable.
LINE_EVERY_S = 30.0


class Shown:
    """Shows puzzles, votes and the time that is left."""

    def __init__(self, bar: Progress) -> None:
        self._bar = bar
        self._line = bar.add_task("getting ready", total=None)
        self._num_at_first = 0
        self._told_at = time.monotonic()

    def say(self, text: str) -> None:
        """Show what is done now."""
        self._bar.update(self._line, description=escape(text))
        self._tell(text)

    def begin(self, run: Run, plan: Plan) -> None:
        """Show the beginning of the votes."""
        self._num_at_first = plan.num_open
        if not notices.is_terminal:
            notices.print(f"{plan.num_open} puzzle(s) to be voted on", markup=False)
        self.update(run, plan)

    def update(self, run: Run, plan: Plan) -> None:
        """Show how far the votes are: by the time where it is limited, else by puzzles."""
        text = f"{run.num_answered} of {len(run.challenges)} puzzles, {run.num_votes:,} votes"
        budget_s = run.clock.budget_s
        if budget_s is None:
            done, total = self._num_at_first - plan.num_open, self._num_at_first
        else:
            done, total = min(int(run.clock.elapsed_s), int(budget_s)), int(budget_s)
        self._bar.update(self._line, description=text, completed=done, total=total)
        left_s = run.clock.left_s
        self._tell(text if left_s is None else f"{text}, {left_s:.0f} s left")

    def _tell(self, text: str) -> None:
        now = time.monotonic()
        if not notices.is_terminal and now - self._told_at >= LINE_EVERY_S:
            self._told_at = now
            notices.print(text, markup=False)


@contextmanager
def shown_progress() -> Iterator[Shown]:
    """Show progress while the context lasts."""
    with progress_bar() as bar:
        yield Shown(bar)
