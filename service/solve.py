"""What happens to one puzzle: enrolment in, samples through the engine, votes out."""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import Any

import numpy as np

from augment import CanvasError, Puzzle, encode_variants
from hrm_core import Engine, Halting, Outcome, Priority, Sample
from service.answer import Answer, TestAnswer
from service.enrolment import Enrolment
from service.errors import InputError
from voting import Ranking, Tally, count_ballots, decided, rank


@dataclass(frozen=True, slots=True)
class SolveOptions:
    """How a puzzle is to be solved; None means all variants, and the checkpoint's own limit."""

    num_variants: int | None = None
    num_attempts: int = 2
    halting: Halting = Halting.ACT
    max_segments: int | None = None
    ranking: Ranking = Ranking.COUNT
    seed: int = 0
    stop_early: bool = True
    priority: Priority = Priority.INTERACTIVE


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a puzzle is: outcomes handed in, of those asked for, and inputs decided."""

    num_outcomes: int
    num_asked: int
    num_decided: int
    num_test_inputs: int


class Solving:
    """One puzzle on its way through an engine.

    The engine belongs to whoever calls: `enter` queues the samples, `receive` takes what halted,
    `answer` counts up.
    """

    def __init__(self, puzzle: Puzzle, enrolment: Enrolment, options: SolveOptions) -> None:
        if options.num_variants is not None and options.num_variants < 1:
            raise InputError(f"{options.num_variants} variants: at least one is needed")
        if options.num_attempts < 1:
            raise InputError(f"{options.num_attempts} attempts: at least one is needed")
        if options.seed < 0:
            raise InputError(f"seed {options.seed} is negative: give 0 or more")
        self.puzzle, self.options = puzzle, options
        self.enrolment = enrolment.draw(options.num_variants, options.seed)
        num_inputs = len(puzzle.test)
        self.tallies = [Tally.empty()] * num_inputs
        self._num_segments = [0] * num_inputs
        self._is_closed = [False] * num_inputs
        self._timings_s = {"encode": 0.0, "vote": 0.0}
        self._entered_at = self._finished_at = 0.0

    @property
    def is_done(self) -> bool:
        """Every test input has all its outcomes, or needs no more."""
        return all(self._is_closed)

    @property
    def progress(self) -> Progress:
        """How far the puzzle is."""
        return Progress(
            num_outcomes=sum(tally.num_ballots for tally in self.tallies),
            num_asked=len(self.tallies) * len(self.enrolment.variants),
            num_decided=sum(self._is_closed),
            num_test_inputs=len(self.tallies),
        )

    def enter(self, engine: Engine) -> None:
        """Queue a sample for every test input and variant, inputs taking turns.

        Raises: CanvasError when a test input is larger than the checkpoint's canvas.
        """
        started = time.monotonic()
        checkpoint = engine.checkpoint
        rows = checkpoint.rows.gather(self.enrolment.rows)
        per_input = []
        for test_index, grid in enumerate(self.puzzle.test):
            tokens = encode_variants(grid, self.enrolment.variants, checkpoint.config.canvas)
            per_input.append(
                [
                    Sample((self, test_index, place), tokens[place], rows[place])
                    for place in range(len(rows))
                ]
            )
        self._entered_at = time.monotonic()
        self._timings_s["encode"] = self._entered_at - started
        engine.add(
            chain.from_iterable(zip(*per_input, strict=True)),
            job=self,
            halting=self.options.halting,
            max_segments=self.options.max_segments,
            priority=self.options.priority,
        )

    def receive(self, outcomes: Sequence[Outcome], engine: Engine) -> None:
        """Count outcomes of this puzzle; inputs whose attempts are settled leave the engine."""
        started = time.monotonic()
        for test_index in range(len(self.tallies)):
            mine = [outcome for outcome in outcomes if outcome.sample_id[1] == test_index]
            if mine and not self._is_closed[test_index]:
                self._count(test_index, mine)
                if self._is_settled(test_index):
                    self._is_closed[test_index] = True
                    engine.cancel(self, partial(_is_of_input, test_index))
        now = time.monotonic()
        self._timings_s["vote"] += now - started
        if self.is_done:
            self._finished_at = now

    def answer(self, engine: Engine) -> Answer:
        """Rank the votes as they stand."""
        options, checkpoint = self.options, engine.checkpoint
        finished_at = self._finished_at or time.monotonic()
        timings = self._timings_s | {"run": finished_at - self._entered_at}
        return Answer(
            puzzle_name=self.puzzle.name,
            enrolled_as=self.enrolment.puzzle_name,
            enrolment=self.enrolment.kind,
            checkpoint=checkpoint.folder.resolve().name,
            checkpoint_sha256=checkpoint.sha256,
            halting=options.halting.value,
            max_segments=options.max_segments or checkpoint.config.halt_max_steps,
            ranking=options.ranking.value,
            seed=options.seed,
            stop_early=options.stop_early,
            device=str(engine.device),
            precision=engine.precision,
            attention=engine.attention.name,
            num_slots=engine.num_slots,
            tests=tuple(self._answer_test(index) for index in range(len(self.tallies))),
            timings_s={stage: round(seconds, 6) for stage, seconds in timings.items()},
        )

    def _count(self, test_index: int, outcomes: Sequence[Outcome]) -> None:
        variants = [self.enrolment.variants[outcome.sample_id[2]] for outcome in outcomes]
        votes = count_ballots(
            np.stack([outcome.tokens for outcome in outcomes]),
            np.array([outcome.q_halt_logit for outcome in outcomes]),
            variants,
        )
        self.tallies[test_index] = self.tallies[test_index].merge(votes)
        self._num_segments[test_index] += sum(outcome.steps for outcome in outcomes)

    def _is_settled(self, test_index: int) -> bool:
        tally = self.tallies[test_index]
        num_outstanding = len(self.enrolment.variants) - tally.num_ballots
        if num_outstanding == 0:
            return True
        return self.options.stop_early and decided(
            tally, num_outstanding, self.options.num_attempts, self.options.ranking
        )

    def _answer_test(self, test_index: int) -> TestAnswer:
        tally = self.tallies[test_index]
        candidates = rank(tally, self.options.ranking)
        num_asked = len(self.enrolment.variants)
        return TestAnswer(
            attempts=tuple(c.grid for c in candidates[: self.options.num_attempts]),
            candidates=candidates,
            num_votes=tally.num_votes,
            num_abstained=tally.abstained,
            num_variants_used=tally.num_ballots,
            num_variants_asked=num_asked,
            num_segments=self._num_segments[test_index],
            decided_early=tally.num_ballots < num_asked,
        )


def _is_of_input(test_index: int, sample_id: Any) -> bool:
    return bool(sample_id[1] == test_index)


def solve(
    engine: Engine,
    solvings: Iterable[Solving],
    on_step: Callable[[], None] = lambda: None,
) -> None:
    """Run puzzles through an engine of one's own until all are done, together.

    Raises: CanvasError, before anything runs, when a test input does not fit the canvas.
    """
    pending = list(solvings)
    try:
        for solving in pending:
            solving.enter(engine)
    except CanvasError:
        for solving in pending:
            engine.cancel(solving)
        raise
    while not engine.is_idle:
        by_solving: dict[Solving, list[Outcome]] = {}
        for outcome in engine.step():
            by_solving.setdefault(outcome.sample_id[0], []).append(outcome)
        for solving, outcomes in by_solving.items():
            solving.receive(outcomes, engine)
        on_step()
