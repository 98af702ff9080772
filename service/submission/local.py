"""`hrm-arc submit` on this machine: checkpoints are opened, adapted where wanted, and vote."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from augment import ARC, CanvasError, Grid, Puzzle
from hrm_core import Engine, group_by_job, open_checkpoint
from service.runtime.devices import EngineOptions
from service.solving.engines import options_of
from service.solving.enrolment import RowIndex
from service.solving.members import Member
from service.solving.solve import Solving
from service.submission.adapting import adapt_for_session, remove_adaptation
from service.submission.challenges import ChallengeSet
from service.submission.files import NUM_ATTEMPTS
from service.submission.run import Plan, Refusal, Round, Run
from service.submission.session import ProgressView, SubmitConfig, SubmitSession, Submitted
from service.submission.votes import InputVotes, RoundVotes
from service.wire.errors import InputError, UnknownPuzzle
from service.wire.options import SolveOptions
from voting import Ranking, Tally, decided

Voters = Mapping[str, tuple[Member, ...]]
OpenEngine = Callable[[RowIndex, EngineOptions, int], Engine]


def submit_locally(
    challenges: ChallengeSet,
    config: SubmitConfig,
    open_engine: OpenEngine,
    view: ProgressView,
    should_stop: Callable[[], bool],
) -> Submitted:
    """Answer challenges with checkpoint folders, each of which runs in one engine.

    `open_engine` makes a checkpoint's engine for a number of samples, and checks its rows.

    Raises: AugmentError, HRMCoreError, ServiceError for what a checkpoint or the device cannot do.
    """
    row_indexes = [_open(Path(folder), config) for folder in config.checkpoints]
    if config.takes_one:  # none is named: those of other puzzles than ARC's are left out
        row_indexes = [one for one in row_indexes if one.kind is ARC]
    hashes = {one.name: one.checkpoint.sha256 for one in row_indexes}
    with SubmitSession.open(challenges, config, hashes, view, should_stop) as session:
        if config.is_fresh:
            remove_adaptation(config.paths.adapted)
        adapted = adapt_for_session(session, row_indexes)
        if adapted is not None:
            position = 0 if config.options.adapt == "always" else len(row_indexes)
            row_indexes.insert(position, _open(adapted, config))
        if not should_stop():
            _vote(session, row_indexes, open_engine)
        return session.finish()


def _open(folder: Path, config: SubmitConfig) -> RowIndex:
    return RowIndex(open_checkpoint(folder, config.canvas))


def _vote(session: SubmitSession, row_indexes: Sequence[RowIndex], open_engine: OpenEngine) -> None:
    voters = enrol_all(session.run, row_indexes, takes_one=session.config.takes_one)
    for puzzle_id, members in voters.items():
        session.run.judges[puzzle_id] = partial(_judge, members[0], session.run.ranking)
    plan = session.make_plan(is_whole=False)
    if plan.num_open > 0:
        engines = _open_engines(session, row_indexes, voters, open_engine)
        vote = LocalVote(session.run, plan, voters, engines, session.config.options)
        vote.run(session.show, session.should_stop)


def _judge(main: Member, ranking: Ranking, tally: Tally, test_input: Grid) -> tuple[float, ...]:
    """Return the main checkpoint's confidence in the attempts, by the votes of all."""
    return main.confidence(tally, ranking, test_input, NUM_ATTEMPTS)


def _open_engines(
    session: SubmitSession, row_indexes: Sequence[RowIndex], voters: Voters, open_engine: OpenEngine
) -> dict[str, Engine]:
    """Open an engine for each checkpoint that votes, with the options of the earlier run's engine.

    Samples are answered bit for bit alike with the same number of slots and threads, precision and
    attention backend: a run that continues a killed one then writes the same file as an
    uninterrupted one.
    """
    journal, config = session.run.journal, session.config
    inputs = {one.puzzle_id: len(one.inputs) for one in session.run.challenges}
    engines = {}
    for row_index in row_indexes:
        name = row_index.name
        num_samples = sum(
            inputs[puzzle_id] * min(num, config.options.variants or num)
            for puzzle_id, members in voters.items()
            for member in members
            if member.name == name and (num := len(member.puzzle_rows.variants))
        )
        if num_samples:
            earlier = journal.engines.get(name, EngineOptions())
            engines[name] = open_engine(row_index, config.engine.fill(earlier), num_samples)
    journal.note_engines({name: options_of(engine) for name, engine in engines.items()})
    return engines


def enrol_all(run: Run, row_indexes: Sequence[RowIndex], *, takes_one: bool = False) -> Voters:
    """Return the checkpoints that know each puzzle; puzzles that none knows are refused.

    With `takes_one` only the first of those that know it.

    Raises: EnrolmentError for a checkpoint that cannot answer any puzzle; InputError for two
    checkpoints of the same name.
    """
    names = [row_index.name for row_index in row_indexes]
    for name in names:
        if names.count(name) > 1:
            raise InputError(
                f"two checkpoints are called {name!r}: give each once, or rename one of the folders"
            )
    voters = {}
    for puzzle_id, puzzle in run.puzzles.items():
        if puzzle_id in run.refusals:
            continue
        members, refusals = _enrol(puzzle, row_indexes)
        if members:
            voters[puzzle_id] = members[:1] if takes_one else members
        else:
            run.refuse(puzzle_id, refusals[-1])
    return voters


def _enrol(
    puzzle: Puzzle, row_indexes: Sequence[RowIndex]
) -> tuple[tuple[Member, ...], list[Refusal]]:
    members, refusals = [], []
    for row_index in row_indexes:
        try:
            members.append(Member.find(row_index, puzzle))
        except UnknownPuzzle as error:
            # What does not fit cannot be adapted to either.
            is_fitting = puzzle.fits(row_index.checkpoint.config.canvas)
            refusals.append(
                Refusal("unknown_puzzle", str(error)) if is_fitting else _too_large(row_index)
            )
        except CanvasError:
            refusals.append(_too_large(row_index))
    return tuple(members), refusals


def _too_large(row_index: RowIndex) -> Refusal:
    canvas = row_index.checkpoint.config.canvas
    return Refusal(
        "canvas_exceeded",
        f"it has grids beyond the {canvas} x {canvas} canvas of {row_index.checkpoint.folder}",
    )


@dataclass(frozen=True, slots=True)
class _Entered:
    """A round that is in the engines."""

    planned: Round
    stop: int
    num_left: int


class LocalVote:
    """Runs the rounds of a plan in engines of this process, one for each checkpoint.

    `engines` are by checkpoint name.
    """

    def __init__(
        self,
        run: Run,
        plan: Plan,
        voters: Voters,
        engines: Mapping[str, Engine],
        options: SolveOptions,
    ) -> None:
        self._run, self._plan, self._voters = run, plan, voters
        self._engines, self._options = engines, options
        self._entered: dict[Solving, _Entered] = {}

    def run(self, show: Callable[[], None], should_stop: Callable[[], bool]) -> None:
        """Vote until the plan is done, the time is over, or `should_stop`.

        When the time is over, incomplete rounds count as they are; a run that continues a stopped
        one repeats them.
        """
        try:
            while not should_stop() and not self._run.clock.is_over:
                self._enter_more()
                if not self._entered:
                    return
                for engine in self._engines.values():
                    if not engine.is_idle:
                        for solving, outcomes in group_by_job(engine.step()).items():
                            solving.receive(outcomes)
                for solving in [one for one in self._entered if one.is_done]:
                    self._finish(solving)
                show()
            if self._run.clock.is_over:
                self._keep_parts()
        finally:
            for solving in self._entered:
                solving.leave()
            self._entered.clear()

    def _enter_more(self) -> None:
        # The samples of one step wait, so that no slot stays empty; more would only take memory.
        while all(engine.num_waiting < engine.num_slots for engine in self._engines.values()):
            planned = self._plan.take()
            if planned is None:
                return
            self._enter(planned)

    def _enter(self, planned: Round) -> None:
        limit, seed = self._options.variants, self._options.seed
        members = self._voters[planned.puzzle_id]
        longest = max(len(member.puzzle_rows.variants) for member in members)
        stop = min(longest, planned.stop or longest, limit or longest)
        lengths = [min(len(member.puzzle_rows.variants), limit or longest) for member in members]
        parts = [
            replace(member, puzzle_rows=drawn)
            for member in members
            if (drawn := member.puzzle_rows.draw_more(planned.start, stop, seed)).variants
        ]
        if not parts:  # all have voted
            self._plan.drop(planned.puzzle_id)
            return
        num_left = sum(max(0, length - stop) for length in lengths)
        is_whole_vote = planned.start == 0 and num_left == 0
        options = self._options.with_changes(
            variants=None,
            attempts=NUM_ATTEMPTS,
            stop_early=self._options.stop_early and is_whole_vote,
        )
        solving = Solving(self._run.puzzles[planned.puzzle_id], parts, options)
        self._entered[solving] = _Entered(planned, stop, num_left)
        for index, part in enumerate(parts):
            solving.enter(index, self._engines[part.name])

    def _finish(self, solving: Solving) -> None:
        entered = self._entered.pop(solving)
        one = self._round(solving, entered)
        self._run.record(replace(one, is_settled=self._is_settled(one, entered.num_left)))
        self._plan.close(entered.planned.puzzle_id)

    def _is_settled(self, one: RoundVotes, num_left: int) -> bool:
        if num_left == 0 or not self._options.stop_early:
            return num_left == 0
        standing = self._run.standings[one.puzzle_id].add(one)
        return all(
            decided(votes.tally, num_left, NUM_ATTEMPTS, self._run.ranking)
            for votes in standing.votes
        )

    def _keep_parts(self) -> None:
        for solving, entered in self._entered.items():
            one = self._round(solving, entered)
            if any(votes.num_ballots for votes in one.votes):
                self._run.record(replace(one, is_partial=True))

    def _round(self, solving: Solving, entered: _Entered) -> RoundVotes:
        answer = solving.answer()
        return RoundVotes(
            puzzle_id=entered.planned.puzzle_id,
            start=entered.planned.start,
            stop=entered.stop,
            votes=tuple(
                InputVotes(tally, num_segments=test.segments)
                for tally, test in zip(solving.tallies, answer.tests, strict=True)
            ),
            is_settled=False,
            voters=tuple(member.name for member in solving.members),
            elapsed_s=self._run.clock.elapsed_s,
        )
