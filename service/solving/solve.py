"""Solving one puzzle: samples go through the engines, outcomes become votes and an answer."""

import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial, reduce
from itertools import chain

from augment import KINDS, CanvasError, Grid, Puzzle
from hrm_core import Engine, Halting, HRMCoreError, Outcome, Priority, group_by_job
from service.solving.answer import answer_warnings, named_candidates, rule_warnings
from service.solving.counting import count_all, count_in_order, draw_votes
from service.solving.input_votes import CountedVotes
from service.solving.members import Member
from service.wire.answer import Answer, MemberAnswer, TestAnswer
from service.wire.job import ProgressSummary
from service.wire.options import SolveOptions
from voting import Ranking, Tally, decided, rank


class Solving:
    """One puzzle on its way through the engines of the checkpoints that vote on it.

    Usually that is a single checkpoint; the first is the main one. The caller owns the engines:
    `enter` queues a member's samples, in any order and whenever its engine is available, `receive`
    takes halted ones, `answer` ranks the votes. All members' votes weigh the same, and nothing is
    settled before the last member has entered. A member votes again on a larger crop where its
    votes touch the edge of the puzzle's crop. A vote that was `counted` elsewhere, by shards of a
    job, only has to be answered, or made again on a larger crop.

    Where a vote may end early its outcomes are counted in the order of the samples, and it ends
    with the first that settles it. So all its counts are the same in whatever order they arrive.
    """

    def __init__(
        self,
        puzzle: Puzzle,
        members: Sequence[Member],
        options: SolveOptions,
        counted: Sequence[CountedVotes] = (),
    ) -> None:
        self.puzzle, self.options = puzzle, options
        self._rules = KINDS[puzzle.kind].rules
        self._ranking = Ranking(options.ranking)
        self._votes = tuple(draw_votes(members, options, len(puzzle.test)))
        if counted:
            self._votes[0].take_over(counted)
        self._entered: dict[int, MemberAnswer] = {}
        self._is_closed = [False] * len(puzzle.test)
        self._timings_s = {"encode": 0.0, "vote": 0.0}
        self._device = ""
        self._started_at = self._finished_at = 0.0

    @property
    def members(self) -> tuple[Member, ...]:
        """The checkpoints that vote, each with its drawn variants."""
        return tuple(vote.member for vote in self._votes)

    @property
    def waiting(self) -> tuple[int, ...]:
        """Indices of the members that have not entered an engine yet."""
        return tuple(index for index in range(len(self._votes)) if index not in self._entered)

    @property
    def engines(self) -> frozenset[Engine]:
        """The engines that some member's samples are in now."""
        return frozenset(vote.engine for vote in self._votes if vote.engine is not None)

    @property
    def is_done(self) -> bool:
        """Whether every test input has all its outcomes, or needs no more."""
        return all(self._is_closed)

    @property
    def tallies(self) -> tuple[Tally, ...]:
        """The current votes of all members on each test input."""
        return tuple(self._tally(test_index) for test_index in range(len(self.puzzle.test)))

    @property
    def counted(self) -> tuple[CountedVotes, ...]:
        """The current votes of the main member on each test input."""
        return self._votes[0].counted

    @property
    def progress(self) -> ProgressSummary:
        """The progress of the puzzle."""
        return ProgressSummary(
            outcomes=sum(vote.num_outcomes for vote in self._votes),
            asked=sum(vote.num_asked for vote in self._votes),
            decided=sum(self._is_closed),
            test_inputs=len(self.puzzle.test),
        )

    @property
    def has_outcomes(self) -> bool:
        """Whether any outcome has arrived."""
        return any(vote.num_outcomes for vote in self._votes)

    @property
    def num_segments(self) -> int:
        """The segments of all counted outcomes."""
        return sum(segments for vote in self._votes for _, segments in vote.counted)

    def num_asked_of(self, member_index: int) -> int:
        """Return the number of outcomes asked of a member."""
        return self._votes[member_index].num_asked

    def enter(self, member_index: int, engine: Engine) -> None:
        """Queue a member's samples for every test input and variant, inputs taking turns.

        Raises: CanvasError when a test input is larger than the checkpoint's canvas.
        """
        vote = self._votes[member_index]
        vote.engine = engine
        inputs = range(len(self.puzzle.test))
        self._queue(member_index, [index for index in inputs if vote.num_outstanding(index)])
        if not self._entered:
            self._started_at, self._device = time.monotonic(), str(engine.device)
        self._entered[member_index] = vote.describe(engine, self.options.max_segments)
        self._close_settled(inputs)
        self._release_engines()

    def receive(self, outcomes: Sequence[Outcome]) -> None:
        """Count outcomes of this puzzle; test inputs with settled attempts leave all engines."""
        started = time.monotonic()
        groups: dict[tuple[int, int], list[Outcome]] = {}
        for outcome in outcomes:
            member_index, test_index, _ = outcome.sample_id
            if not self._is_closed[test_index]:
                groups.setdefault((member_index, test_index), []).append(outcome)
        for (member_index, test_index), group in groups.items():
            self._votes[member_index].hold(test_index, group)
        for test_index in sorted({test_index for _, test_index in groups}):
            self._count_arrived(test_index)
        self._release_engines()
        self._timings_s["vote"] += time.monotonic() - started

    def leave(self) -> None:
        """Remove all remaining samples from the engines."""
        for vote in self._votes:
            if vote.engine is not None:
                vote.engine.cancel(self)
                vote.engine = None

    def answer(self, expected: Sequence[Grid | None] = ()) -> Answer:
        """Rank the current votes, once every member has entered.

        `expected`, one for each test input where given, are compared with where they are known.
        Of a vote that is not done, what has arrived out of order is counted too.
        """
        options = self.options
        for test_index, is_closed in enumerate(self._is_closed):
            if not is_closed:
                count_all(self._votes, test_index)
        run_s = (self._finished_at or time.monotonic()) - self._started_at
        timings = self._timings_s | {"run": run_s}
        members = tuple(
            vote.with_depth(self._entered[index]) for index, vote in enumerate(self._votes)
        )
        outputs = expected or (None,) * len(self.puzzle.test)
        tests = tuple(self._answer_test(index, output) for index, output in enumerate(outputs))
        return Answer(
            **dict(members[0]),
            puzzle=self.puzzle.name,
            members=members,
            halting=options.halting,
            ranking=options.ranking,
            seed=options.seed,
            stop_early=options.stop_early,
            device=self._device,
            tests=tests,
            verified=None if self._rules is None else all(one.verified for one in tests),
            warnings=(
                *answer_warnings(members, self.puzzle.test, [one.attempts for one in tests]),
                *rule_warnings(self.puzzle, tests),
            ),
            timings_s={stage: round(seconds, 6) for stage, seconds in timings.items()},
        )

    def _answer_test(self, test_index: int, expected: Grid | None) -> TestAnswer:
        options, tally = self.options, self._tally(test_index)
        solves = self._solves(test_index)
        candidates = rank(tally, self._ranking, solves)
        attempts = tuple(candidate.grid for candidate in candidates[: options.attempts])
        shares = tuple(vote.share(test_index, tally.num_votes) for vote in self._votes)
        traces = chain.from_iterable(vote.traces(test_index) for vote in self._votes)
        return TestAnswer(
            attempts=attempts,
            # The main checkpoint's, by the votes of all.
            confidence=self._votes[0].member.confidence(
                tally, self._ranking, self.puzzle.test[test_index], options.attempts
            ),
            candidates=named_candidates(
                candidates, {vote.member.name: vote.tally(test_index) for vote in self._votes}
            ),
            distinct_candidates=len(candidates),
            votes=sum(share.votes for share in shares),
            abstained=sum(share.abstained for share in shares),
            variants_used=sum(share.variants_used for share in shares),
            variants_asked=sum(share.variants_asked for share in shares),
            segments=sum(share.segments for share in shares),
            decided_early=tally.num_ballots < sum(vote.num_variants for vote in self._votes),
            verified=None if solves is None else bool(attempts) and solves(attempts[0]),
            shares=shares,
            variants=tuple(traces) if options.trace else None,
            expected=expected,
            right=None if expected is None else expected in attempts,
        )

    def _tally(self, test_index: int) -> Tally:
        return reduce(Tally.merge, (vote.tally(test_index) for vote in self._votes))

    def _queue(self, member_index: int, test_indices: Sequence[int]) -> None:
        """Queue a member's samples in its engine, test inputs taking turns."""
        started, vote, options = time.monotonic(), self._votes[member_index], self.options
        engine = vote.engine
        if engine is None or not test_indices:
            return
        # The same for all: only a single input's votes are made again.
        max_segments = vote.max_segments(test_indices[0], options.max_segments)
        per_input = [
            vote.samples(engine, member_index, index, self.puzzle.test[index], max_segments)
            for index in test_indices
        ]
        self._timings_s["encode"] += time.monotonic() - started
        engine.add(
            chain.from_iterable(zip(*per_input, strict=True)),
            job=self,
            halting=Halting(options.halting),
            max_segments=max_segments,
            priority=Priority[options.priority.upper()],
        )

    def _count_arrived(self, test_index: int) -> None:
        """Count what has arrived; where the vote may end early, in order and up to its end."""
        settles = partial(self._is_settled_with, test_index)
        while not self._is_closed[test_index] and (
            count_in_order(self._votes, self._entered, test_index, settles)
            if self.options.stop_early
            else count_all(self._votes, test_index)
        ):
            self._close_settled([test_index])

    def _close_settled(self, test_indices: Iterable[int]) -> None:
        for test_index in [index for index in test_indices if not self._is_closed[index]]:
            self._enlarge_crops(test_index, only_complete=True)
            while self._is_settled_with(test_index, Tally.empty()):
                if not (self._enlarge_crops(test_index) or self._continue(test_index)):
                    self._is_closed[test_index] = True
                    for vote in self._votes:
                        if vote.num_outstanding(test_index):
                            vote.drop(self, test_index)
                    break
        if self.is_done:
            self._finished_at = self._finished_at or time.monotonic()

    def _enlarge_crops(self, test_index: int, *, only_complete: bool = False) -> bool:
        """Replace the votes of members with too small a crop; return whether there were any.

        A member is checked once all its ballots are in, while its engine is available, or once the
        attempts are settled.
        """
        too_small = [
            index
            for index, vote in enumerate(self._votes)
            if vote.engine is not None
            and not (only_complete and vote.num_outstanding(test_index))
            and vote.enlarge(test_index)
        ]
        for index in too_small:
            vote = self._votes[index]
            vote.drop(self, test_index)
            if vote.num_outstanding(test_index):
                self._queue(index, [test_index])
        return bool(too_small)

    def _continue(self, test_index: int) -> bool:
        """Ask for more variants where no vote obeys the rules; return whether any come.

        They get more segments at last, unless a number of those was asked for.
        """
        is_verified = self._is_verified(test_index, self._tally(test_index))
        if self._rules is None or (is_verified and self.options.stop_early):
            return False
        may_deepen = self.options.max_segments is None and not is_verified
        growing = [
            index
            for index, vote in enumerate(self._votes)
            if vote.engine is not None and vote.next_wave(test_index, may_deepen=may_deepen)
        ]
        for index in growing:
            self._queue(index, [test_index])
        return bool(growing)

    def _release_engines(self) -> None:
        for vote in self._votes:
            if all(
                is_closed or (self._rules is None and not vote.num_outstanding(test_index))
                for test_index, is_closed in enumerate(self._is_closed)
            ):
                vote.engine = None

    def _is_settled_with(self, test_index: int, more: Tally) -> bool:
        """Return whether no outcomes are needed beyond those with these votes."""
        num_outstanding = sum(vote.num_outstanding(test_index) for vote in self._votes)
        num_outstanding -= more.num_ballots
        if self.waiting or num_outstanding == 0 or not self.options.stop_early:
            return not self.waiting and num_outstanding == 0
        tally = self._tally(test_index).merge(more)
        if self._rules is not None:
            return self._is_verified(test_index, tally)
        return decided(tally, num_outstanding, self.options.attempts, self._ranking)

    def _solves(self, test_index: int) -> Callable[[Grid], bool] | None:
        """Return the check of an answer by the rules, None where there are none."""
        rules = self._rules
        return None if rules is None else partial(rules.solves, self.puzzle.test[test_index])

    def _is_verified(self, test_index: int, tally: Tally) -> bool:
        """Return whether some vote obeys the rules."""
        solves = self._solves(test_index)
        return solves is not None and any(solves(entry.grid) for entry in tally.entries)


def solve(
    engines: Sequence[Engine],
    solvings: Iterable[Solving],
    on_step: Callable[[], None] = lambda: None,
) -> None:
    """Run puzzles together through the given engines, one for each member, until all are done.

    Raises: CanvasError, before anything runs, when a test input does not fit a canvas.
    """
    pending = list(solvings)
    try:
        for solving in pending:
            for member_index, engine in enumerate(engines):
                solving.enter(member_index, engine)
    except (CanvasError, HRMCoreError):
        for solving in pending:
            solving.leave()
        raise
    while not all(engine.is_idle for engine in engines):
        for engine in engines:
            if not engine.is_idle:
                for solving, outcomes in group_by_job(engine.step()).items():
                    solving.receive(outcomes)
        on_step()
