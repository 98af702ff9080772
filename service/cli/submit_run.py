"""What `hrm-arc submit` does wherever the votes come from: the frame around a run."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from augment import Grid
from service.cli.stopping import stop_on_signals
from service.cli.submit_progress import Shown, shown_progress
from service.submission.challenges import Challenge
from service.submission.journal import Journal
from service.submission.output import SubmissionFile
from service.submission.paths import Paths
from service.submission.plan import Plan, round_stops
from service.submission.report import Report, make_report, write_report
from service.submission.run import Clock, Run
from service.wire.errors import InputError
from service.wire.options import SolveOptions
from voting import Ranking

# Counting the votes of hundreds of puzzles takes longer than a step of a small network.
SHOW_EVERY_S = 0.5
# Options in which a run must agree with the one it goes on with.
_IDENTITY = ("variants", "adapt", "halting", "max_segments", "ranking", "stop_early", "seed")


@dataclass(frozen=True, slots=True)
class How:
    """What is to be answered, and how, wherever that is.

    `fingerprint` is the challenges'; `solutions` are theirs, None where not all are known.
    """

    title: str
    fingerprint: str
    solutions: Mapping[str, tuple[Grid, ...]] | None
    checkpoints: tuple[str, ...]
    minutes: float | None
    options: SolveOptions
    is_fresh: bool

    def identity(self, checkpoints: object) -> dict[str, Any]:
        """Tell what a run must have in common with the one it goes on with."""
        return {
            "challenges": self.fingerprint,
            "checkpoints": checkpoints,
            **self.options.model_dump(include=set(_IDENTITY)),
        }


@dataclass(frozen=True, slots=True)
class Submitted:
    """How a run ended; `was_stopped`: by a signal, before all was done."""

    report: Report
    was_stopped: bool


@dataclass(slots=True)
class Frame:
    """A run under way: what it shows, whether it should stop, and which plan it follows."""

    run: Run
    journal: Journal
    shown: Shown
    should_stop: Callable[[], bool]
    paths: Paths
    how: How
    identity: Mapping[str, Any]
    plan: Plan | None = None
    shown_at: float = 0.0

    def make_plan(self, *, is_whole: bool) -> Plan:
        """Plan the rounds of what is left."""
        stops = round_stops(self.how.options.variants, is_timed=self.how.minutes is not None)
        self.plan = self.run.plan(stops, is_whole=is_whole)
        self.shown.begin(self.run, self.plan)
        return self.plan

    def show(self) -> None:
        """Show how far the run is."""
        now = time.monotonic()
        if self.plan is not None and now - self.shown_at >= SHOW_EVERY_S:
            self.shown.update(self.run, self.plan)
            self.shown_at = now

    def finish(self) -> Submitted:
        """Write the report, of a run that was stopped too."""
        was_stopped = self.should_stop() and (self.plan is None or self.plan.num_open > 0)
        is_complete = self.plan is not None and (
            self.plan.num_open == 0 or (self.run.clock.is_over and not was_stopped)
        )
        settings = {**self.identity, "minutes": self.how.minutes}
        report = make_report(
            self.run, self.how.title, settings, self.how.solutions, is_complete=is_complete
        )
        write_report(report, self.paths.report, self.paths.page)
        return Submitted(report, was_stopped)


@contextmanager
def framed(
    challenges: Sequence[Challenge], paths: Paths, how: How, checkpoints: object
) -> Iterator[Frame]:
    """Open the journal, take up what a run before has answered, and write the first submission.

    Signals that end a process only ask the run to stop meanwhile.

    Raises: InputError for a journal of another run, and for somebody else's submission.
    """
    if paths.out.exists() and not (how.is_fresh or paths.journal.exists()):
        raise InputError(
            f"{paths.out} is there already, and no journal beside it says that this command wrote "
            "it: give another --out, or --fresh to write over it"
        )
    identity = how.identity(checkpoints)
    with (
        Journal(paths.journal, identity, is_fresh=how.is_fresh) as journal,
        shown_progress() as shown,
        stop_on_signals() as should_stop,
    ):
        budget_s = None if how.minutes is None else 60 * how.minutes
        run = Run(
            challenges,
            journal,
            SubmissionFile(paths.out, challenges),
            Clock(budget_s, journal.elapsed_s),
            Ranking(how.options.ranking),
        )
        yield Frame(run, journal, shown, should_stop, paths, how, identity)
