"""The state of a run over a challenges file: standings, and which votes are taken next."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from augment import Grid
from service.submission.challenges import Challenge
from service.submission.files import NUM_ATTEMPTS, Journal, SubmissionFile
from service.submission.votes import InputVotes, RoundVotes, Standing
from voting import Ranking, Tally

BROKEN = "invalid_task"
NO_TIME = "no_time"
NO_GRID = "no_grid"
# The number of variants that have voted after each round; then all there are.
ROUND_STOPS = (8, 32, 128, 512)

Judge = Callable[[Tally, Grid], tuple[float, ...]]
"""Returns the confidence of each attempt by the votes on a test input; empty without one."""


class Refusal(NamedTuple):
    """Why a puzzle is not answered: a code, and a sentence."""

    code: str
    detail: str


@dataclass(frozen=True, slots=True)
class Clock:
    """The time limit of the whole file, None for none; earlier runs have used `used_s` of it."""

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


@dataclass(frozen=True, slots=True)
class Round:
    """A round of votes on one puzzle: the variants from `start` to `stop`, or to the last.

    `is_last`: the plan has no round after it.
    """

    puzzle_id: str
    start: int
    stop: int | None
    is_last: bool


def round_stops(num_variants: int | None, *, is_timed: bool) -> tuple[int | None, ...]:
    """Return how many variants of each puzzle have voted after each round.

    Without a time limit one round is the whole vote: that costs least, and the result does not
    depend on a clock.
    """
    if not is_timed:
        return (num_variants,)
    fitting = [stop for stop in ROUND_STOPS if num_variants is None or stop < num_variants]
    return (*fitting, num_variants)


class Plan:
    """Hands out rounds: every puzzle's first before any second, then the closest votes first.

    `standings` are read, not changed; `lead` rates how clear a standing is. `is_whole`: every round
    begins with the first variant, for a service that cannot begin at a later one.
    """

    def __init__(
        self,
        puzzle_ids: Iterable[str],
        standings: Mapping[str, Standing],
        stops: Sequence[int | None],
        lead: Callable[[Standing], float],
        *,
        is_whole: bool = False,
    ) -> None:
        self._standings, self._stops, self._lead = standings, stops, lead
        self._is_whole = is_whole
        self._orders = {puzzle_id: order for order, puzzle_id in enumerate(puzzle_ids)}
        self._taken: set[str] = set()
        # Puzzles in progress stay in here; a lead is computed only when votes have arrived.
        self._open = {
            puzzle_id: self._urgency(puzzle_id)
            for puzzle_id in self._orders
            if not standings[puzzle_id].is_settled
        }

    @property
    def num_open(self) -> int:
        """Puzzles with rounds left, those in progress included."""
        return len(self._open)

    def take(self) -> Round | None:
        """Return the next round; None while no puzzle is waiting for one."""
        waiting = self._open.keys() - self._taken
        if not waiting:
            return None
        puzzle_id = min(waiting, key=self._open.__getitem__)
        self._taken.add(puzzle_id)
        standing = self._standings[puzzle_id]
        start = 0 if self._is_whole else standing.stop
        number = self._round_of(standing)
        return Round(puzzle_id, start, self._stops[number], number == len(self._stops) - 1)

    def close(self, puzzle_id: str) -> None:
        """End the round of a puzzle, which gets another one unless it is settled."""
        self._taken.discard(puzzle_id)
        if self._standings[puzzle_id].is_settled:
            self._open.pop(puzzle_id, None)
        else:
            self._open[puzzle_id] = self._urgency(puzzle_id)

    def drop(self, puzzle_id: str) -> None:
        """Give a puzzle no further rounds."""
        self._taken.discard(puzzle_id)
        self._open.pop(puzzle_id, None)

    def _urgency(self, puzzle_id: str) -> tuple[int, float, int]:
        standing = self._standings[puzzle_id]
        lead = self._lead(standing) if standing.num_rounds else 0.0
        return self._round_of(standing), lead, self._orders[puzzle_id]

    def _round_of(self, standing: Standing) -> int:
        """Return the number of the first round beyond the variants that have voted."""
        for number, stop in enumerate(self._stops):
            if stop is None or stop > standing.stop:
                return number
        return len(self._stops) - 1


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
        # Without expected outputs: the votes do not depend on what is known here.
        self.puzzles = {one.puzzle_id: one.task.puzzle for one in challenges if one.task}
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
