"""A run of `hrm-arc submit`: its configuration, and what local and remote votes have in common."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from service.runtime.devices import EngineOptions
from service.submission.candidates import export_candidates, write_candidates
from service.submission.challenges import ChallengeSet
from service.submission.files import Journal, Paths, SubmissionFile
from service.submission.report import Report, make_report
from service.submission.report_page import write_report
from service.submission.run import Clock, Plan, Run, round_stops
from service.wire.options import SolveOptions
from voting import Ranking

# Counting the votes of hundreds of puzzles takes longer than a step of a small network.
SHOW_EVERY_S = 0.5
# The options that a run must have in common with the one it continues.
IDENTITY: Final = {"variants", "adapt", "halting", "max_segments", "ranking", "stop_early", "seed"}


@dataclass(frozen=True, slots=True)
class SubmitConfig:
    """How to answer a challenges file, and where to write the submission.

    `checkpoints` are folders, or names for a service. With `takes_one` those that know a puzzle do
    not vote on it together: the first one does. `canvas`, `engine` and `recipe`, of an adaptation,
    are for this machine. `candidates`: how many grids of each test input are exported, None for no
    export. `until` limits the time by a moment, in place of `minutes`.

    Units: `until` in seconds since 1970.
    """

    paths: Paths
    checkpoints: tuple[str, ...]
    options: SolveOptions
    minutes: float | None = None
    until: float | None = None
    recipe: str | None = None
    candidates: int | None = None
    is_fresh: bool = False
    takes_one: bool = False
    canvas: int | None = None
    engine: EngineOptions = field(default_factory=EngineOptions)

    def identity(self, challenges: ChallengeSet, checkpoints: object) -> dict[str, Any]:
        """Return what a run must have in common with the one that it continues."""
        return {
            "challenges": challenges.fingerprint,
            "checkpoints": checkpoints,
            **self.options.model_dump(include=IDENTITY),
            **({} if self.recipe is None else {"recipe": self.recipe}),
        }

    @property
    def is_timed(self) -> bool:
        """Whether the time is limited."""
        return self.minutes is not None or self.until is not None


class ProgressView(Protocol):
    """The display of a run."""

    def note(self, sentence: str) -> None:
        """Show a sentence that is to stay."""

    def say(self, text: str) -> None:
        """Show what is being done."""

    def begin(self, run: Run, plan: Plan) -> None:
        """Show that the votes begin."""

    def update(self, run: Run, plan: Plan) -> None:
        """Show how many of the votes there are."""


@dataclass(frozen=True, slots=True)
class Submitted:
    """The outcome of a run; `was_stopped`: by a signal, before it was complete."""

    report: Report
    was_stopped: bool


@dataclass(slots=True)
class SubmitSession:
    """A run in progress, whether the votes come from this machine or from a service."""

    challenges: ChallengeSet
    config: SubmitConfig
    identity: Mapping[str, Any]
    run: Run
    view: ProgressView
    should_stop: Callable[[], bool]
    plan: Plan | None = None
    shown_at: float = 0.0

    @classmethod
    @contextmanager
    def open(
        cls,
        challenges: ChallengeSet,
        config: SubmitConfig,
        checkpoints: object,
        view: ProgressView,
        should_stop: Callable[[], bool],
    ) -> Iterator["SubmitSession"]:
        """Open the journal, count the votes in it, and write the first submission.

        `checkpoints` identify those that vote.

        Raises: InputError for a journal of another run, and for a submission without a journal.
        """
        paths = config.paths
        paths.check_own(is_fresh=config.is_fresh)
        identity = config.identity(challenges, checkpoints)
        with Journal(paths.journal, identity, is_fresh=config.is_fresh) as journal:
            budget_s = None if config.minutes is None else 60 * config.minutes
            if config.until is not None:
                budget_s = journal.elapsed_s + max(0.0, config.until - time.time())
            run = Run(
                challenges.challenges,
                journal,
                SubmissionFile(paths.out, challenges.challenges),
                Clock(budget_s, journal.elapsed_s),
                Ranking(config.options.ranking),
            )
            yield cls(challenges, config, identity, run, view, should_stop)

    def make_plan(self, *, is_whole: bool) -> Plan:
        """Plan the rounds that are left; `is_whole`: each begins with the first variant."""
        stops = round_stops(self.config.options.variants, is_timed=self.config.is_timed)
        self.plan = self.run.plan(stops, is_whole=is_whole)
        self.view.begin(self.run, self.plan)
        return self.plan

    def show(self) -> None:
        """Update the display, at most every SHOW_EVERY_S seconds."""
        now = time.monotonic()
        if self.plan is not None and now - self.shown_at >= SHOW_EVERY_S:
            self.view.update(self.run, self.plan)
            self.shown_at = now

    def finish(self) -> Submitted:
        """Write the report and the candidates, also for a run that was stopped."""
        was_stopped = self.should_stop() and (self.plan is None or self.plan.num_open > 0)
        is_complete = self.plan is not None and (
            self.plan.num_open == 0 or (self.run.clock.is_over and not was_stopped)
        )
        report = make_report(
            self.run,
            self.challenges.title,
            {**self.identity, "minutes": self.config.minutes, "until": self.config.until},
            self.challenges.solutions,
            is_complete=is_complete,
        )
        write_report(report, self.config.paths.report, self.config.paths.page)
        if self.config.candidates is not None:
            lines = export_candidates(self.run, self.config.candidates)
            write_candidates(self.config.paths.candidates, lines)
        return Submitted(report, was_stopped)
