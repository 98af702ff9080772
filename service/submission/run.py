"""The state of a run over a challenges file: the standing of each puzzle, kept on disk."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from augment import Grid
from service.submission.challenges import Challenge
from service.submission.journal import Journal
from service.submission.output import NUM_ATTEMPTS, SubmissionFile
from service.submission.plan import Plan
from service.submission.votes import InputVotes, RoundVotes, Standing
from voting import Ranking, Tally

BROKEN = "invalid_task"
NO_TIME = "no_time"
NO_GRID = "no_grid"

Judge = Callable[[Tally, Grid], tuple[float, ...]]
"""Returns the confidence of each attempt by the votes on a test input; empty without one."""


class Refusal(NamedTuple):
    """Why a puzzle is not answered: a code, and a sentence."""

    code: str
    detail: str


@dataclass(frozen=True, slots=True)
class Clock:
    """The time limit of the whole file, None for none; earlier runs have used `used_s` of it.

    Units: seconds.
    """

    budget_s: float | None
    used_s: float = 0.0
    started_at: float = field(default_factory=time.monotonic)

    @property
    def elapsed_s(self) -> float:
        """The time that all runs have taken."""
        return self.used_s + time.monotonic() - self.started_at

    @property
    def left_s(self) -> float | None:
        """The time left; None without a limit."""
        return None if self.budget_s is None else max(0.0, self.budget_s - self.elapsed_s)

    @property
    def is_over(self) -> bool:
        """Whether no time is left."""
        return self.left_s == 0.0


class Run:
    """The standings of a file's puzzles, with the votes that earlier runs left in the journal.

    Votes are on disk, first in the journal, when `record` returns.
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
        # By puzzle; on this machine only, since a service gives its own.
        self.judges: dict[str, Judge] = {}
        self._output = output
        for one in journal.rounds:
            if one.puzzle_id in self.standings:
                self.standings[one.puzzle_id] = self.standings[one.puzzle_id].add(one)
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
        """The ballots of all puzzles that name a grid."""
        return sum(standing.num_votes for standing in self.standings.values())

    def attempts(self, puzzle_id: str) -> list[tuple[Grid, ...]]:
        """Return the attempts at each test input, the best first; empty where no vote is a grid."""
        return [
            tuple(one.grid for one in votes.candidates(self.ranking)[:NUM_ATTEMPTS])
            for votes in self.standings[puzzle_id].votes
        ]

    def confidence(self, puzzle_id: str, votes: InputVotes, grid: Grid) -> tuple[float, ...]:
        """Return the confidence of each attempt at a test input; empty where there is none."""
        judge = self.judges.get(puzzle_id)
        return votes.confidence if judge is None else judge(votes.tally, grid)

    def plan(self, stops: Sequence[int | None], *, is_whole: bool = False) -> Plan:
        """Plan the rounds of all puzzles that are neither broken nor refused."""
        return Plan(
            [one.puzzle_id for one in self.challenges if one.puzzle_id not in self.refusals],
            self.standings,
            stops,
            lambda standing: standing.lead(NUM_ATTEMPTS, self.ranking),
            is_whole=is_whole,
        )

    def record(self, one: RoundVotes) -> None:
        """Add the votes of a round to the journal and, where they change it, to the submission."""
        self.journal.add(one)
        self.standings[one.puzzle_id] = self.standings[one.puzzle_id].add(one)
        if self._output.put(one.puzzle_id, self.attempts(one.puzzle_id)):
            self._output.write()

    def refuse(self, puzzle_id: str, refusal: Refusal) -> None:
        """Record why a puzzle gets no votes, or no more."""
        self.refusals[puzzle_id] = refusal

    def reason(self, puzzle_id: str) -> Refusal | None:
        """Return why a puzzle has a test input without an attempt; None where each has one."""
        attempts = self.attempts(puzzle_id)
        if attempts and all(attempts):
            return None
        if puzzle_id in self.refusals:
            return self.refusals[puzzle_id]
        if not attempts:
            return Refusal(NO_TIME, "the time ended before any variant had voted")
        missing = ", ".join(str(index) for index, tried in enumerate(attempts) if not tried)
        return Refusal(NO_GRID, f"no variant gave a valid grid for test input {missing}")
