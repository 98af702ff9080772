"""One run over a challenges file: how each puzzle stands, and everything that is written of it."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from augment import Grid
from service.submission.challenges import Challenge
from service.submission.journal import Journal
from service.submission.output import NUM_ATTEMPTS, SubmissionFile
from service.submission.plan import Plan
from service.submission.votes import Round, Standing
from voting import Ranking

BROKEN = "invalid_task"
NO_TIME = "no_time"
NO_GRID = "no_grid"


class Refusal(NamedTuple):
    """Why a puzzle is not answered: a code for programs, a sentence for people."""

    code: str
    detail: str


@dataclass(frozen=True, slots=True)
class Clock:
    """The time for the whole file, None for all that it takes; runs before have used some.

    Units: seconds.
    """

    budget_s: float | None
    used_s: float = 0.0
    started_at: float = field(default_factory=time.monotonic)

    @property
    def elapsed_s(self) -> float:
        """How long all runs have worked."""
        return self.used_s + time.monotonic() - self.started_at

    @property
    def left_s(self) -> float | None:
        """How long there still is."""
        return None if self.budget_s is None else max(0.0, self.budget_s - self.elapsed_s)

    @property
    def is_over(self) -> bool:
        """No time is left."""
        return self.left_s == 0.0


class Run:
    """How the puzzles of a file stand, those of a run before included.

    Whatever is recorded is on the disk, journal first, before the next thing happens.
    """

    def __init__(
        self,
        challenges: Sequence[Challenge],
        journal: Journal,
        output: SubmissionFile,
        clock: Clock,
        ranking: Ranking,
    ) -> None:
        self.challenges = tuple(challenges)
        self.journal, self.clock, self.ranking = journal, clock, ranking
        self.standings = {one.puzzle_id: Standing() for one in challenges}
        self.refusals = {
            one.puzzle_id: Refusal(BROKEN, f"{one.fault.location}: {one.fault.problem}")
            for one in challenges
            if one.fault is not None
        }
        self._output = output
        for told in journal.rounds:
            if told.puzzle_id in self.standings:
                self.standings[told.puzzle_id] = self.standings[told.puzzle_id].add(told)
        for puzzle_id, standing in self.standings.items():
            if standing.votes:
                output.put(puzzle_id, self.attempts(puzzle_id))
        output.write()

    @property
    def num_answered(self) -> int:
        """Puzzles with votes."""
        return sum(bool(standing.votes) for standing in self.standings.values())

    @property
    def num_votes(self) -> int:
        """The ballots that name a grid, of all puzzles."""
        return sum(standing.num_votes for standing in self.standings.values())

    def attempts(self, puzzle_id: str) -> list[tuple[Grid, ...]]:
        """Give the attempts at each test input, the best first; none where nothing named a grid."""
        return [
            tuple(one.grid for one in votes.candidates(self.ranking)[:NUM_ATTEMPTS])
            for votes in self.standings[puzzle_id].votes
        ]

    def plan(self, stops: Sequence[int | None], *, is_whole: bool = False) -> Plan:
        """Plan the rounds of all puzzles that are not broken and not refused."""
        return Plan(
            [one.puzzle_id for one in self.challenges if one.puzzle_id not in self.refusals],
            self.standings,
            stops,
            lambda standing: standing.lead(NUM_ATTEMPTS, self.ranking),
            is_whole=is_whole,
        )

    def record(self, one: Round) -> None:
        """Count a round and write it down, then the submission anew."""
        self.journal.add(one)
        self.standings[one.puzzle_id] = self.standings[one.puzzle_id].add(one)
        if self._output.put(one.puzzle_id, self.attempts(one.puzzle_id)):
            self._output.write()

    def refuse(self, puzzle_id: str, refusal: Refusal) -> None:
        """Note why a puzzle is not answered, or not answered any better."""
        self.refusals[puzzle_id] = refusal

    def reason(self, puzzle_id: str) -> Refusal | None:
        """Tell why a puzzle has a test input without an attempt; None where each has one."""
        attempts = self.attempts(puzzle_id)
        if attempts and all(attempts):
            return None
        if puzzle_id in self.refusals:
            return self.refusals[puzzle_id]
        if not attempts:
            return Refusal(NO_TIME, "the time was over before any variant had voted")
        places = ", ".join(str(place) for place, tried in enumerate(attempts) if not tried)
        return Refusal(NO_GRID, f"no variant's answer to test input {places} was a grid")
