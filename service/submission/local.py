"""Votes by checkpoints on this machine, many puzzles in the engines at once."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from augment import CanvasError, Puzzle
from hrm_core import Engine
from service.solving.enrolment import Registrar
from service.solving.members import Member
from service.solving.solve import Solving, hand_out
from service.submission.output import NUM_ATTEMPTS
from service.submission.plan import Piece, Plan
from service.submission.run import Refusal, Run
from service.submission.votes import InputVotes, Round
from service.wire.errors import InputError, UnknownPuzzle
from service.wire.options import SolveOptions
from voting import decided

Voters = Mapping[str, tuple[Member, ...]]


def enrol_all(run: Run, registrars: Sequence[Registrar]) -> Voters:
    """Find who votes on which puzzle: all checkpoints that know it. Those nobody knows are refused.

    Raises: EnrolmentError for a checkpoint that can answer none; InputError for two of one name.
    """
    names = [registrar.checkpoint.folder.resolve().name for registrar in registrars]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise InputError(
            f"two checkpoints are called {twice!r}: name each once, or rename one of the folders"
        )
    voters = {}
    for challenge in run.challenges:
        if challenge.task is None:
            continue
        members, refusals = _enrol(challenge.task.puzzle, registrars)
        if members:
            voters[challenge.puzzle_id] = members
        else:
            run.refuse(challenge.puzzle_id, refusals[-1])
    return voters


def _enrol(
    puzzle: Puzzle, registrars: Sequence[Registrar]
) -> tuple[tuple[Member, ...], list[Refusal]]:
    members, refusals = [], []
    for registrar in registrars:
        try:
            members.append(Member.enrol(registrar, puzzle))
        except UnknownPuzzle as error:
            refusals.append(Refusal("unknown_puzzle", str(error)))
        except CanvasError as error:
            folder = registrar.checkpoint.folder
            refusals.append(Refusal("canvas_exceeded", f"{folder}: {error}"))
    return tuple(members), refusals


@dataclass(frozen=True, slots=True)
class _AtWork:
    """A round in the engines."""

    piece: Piece
    stop: int
    num_left: int


class LocalVote:
    """Takes the plan's rounds through engines of one's own, one for each checkpoint.

    `engines` by the names of the members.
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
        self._puzzles = {
            one.puzzle_id: one.task.puzzle for one in run.challenges if one.task is not None
        }
        self._at_work: dict[Solving, _AtWork] = {}

    def take(self, show: Callable[[], None], should_stop: Callable[[], bool]) -> None:
        """Vote until the plan or the time is over, or somebody wants it to stop.

        When the time is over, rounds that are not complete count as far as they are; when stopped,
        a later run begins them anew.
        """
        try:
            while not should_stop() and not self._run.clock.is_over:
                self._enter_more()
                if not self._at_work:
                    return
                for engine in self._engines.values():
                    if not engine.is_idle:
                        hand_out(engine.step())
                for solving in [one for one in self._at_work if one.is_done]:
                    self._finish(solving)
                show()
            if self._run.clock.is_over:
                self._keep_parts()
        finally:
            for solving in self._at_work:
                solving.leave()
            self._at_work.clear()

    def _enter_more(self) -> None:
        # A step's worth of samples waits, so that no slot is empty, and no more: they take memory.
        while all(engine.num_waiting < engine.num_slots for engine in self._engines.values()):
            piece = self._plan.take()
            if piece is None:
                return
            self._enter(piece)

    def _enter(self, piece: Piece) -> None:
        limit = self._options.variants
        members = self._voters[piece.puzzle_id]
        most = max(len(member.enrolment.variants) for member in members)
        stop = min(most, piece.stop or most, limit or most)
        lengths = [min(len(member.enrolment.variants), limit or most) for member in members]
        parts = [
            replace(member, enrolment=drawn)
            for member in members
            if (drawn := member.enrolment.draw_more(piece.start, stop, self._options.seed)).variants
        ]
        if not parts:  # it has had them all
            self._plan.drop(piece.puzzle_id)
            return
        num_left = sum(max(0, length - stop) for length in lengths)
        is_whole_vote = piece.start == 0 and num_left == 0
        options = self._options.with_changes(
            variants=None,
            attempts=NUM_ATTEMPTS,
            stop_early=self._options.stop_early and is_whole_vote,
        )
        solving = Solving(self._puzzles[piece.puzzle_id], parts, options)
        self._at_work[solving] = _AtWork(piece, stop, num_left)
        for place, part in enumerate(parts):
            solving.enter(place, self._engines[part.name])

    def _finish(self, solving: Solving) -> None:
        work = self._at_work.pop(solving)
        one = self._round(solving, work)
        self._run.record(replace(one, is_settled=self._is_settled(one, work)))
        self._plan.close(work.piece.puzzle_id)

    def _is_settled(self, one: Round, work: _AtWork) -> bool:
        if work.num_left == 0:
            return True
        if not self._options.stop_early:
            return False
        standing = self._run.standings[one.puzzle_id].add(one)
        return all(
            decided(votes.tally, work.num_left, NUM_ATTEMPTS, self._run.ranking)
            for votes in standing.votes
        )

    def _keep_parts(self) -> None:
        for solving, work in self._at_work.items():
            one = self._round(solving, work)
            if any(votes.num_ballots for votes in one.votes):
                self._run.record(replace(one, is_partial=True))

    def _round(self, solving: Solving, work: _AtWork) -> Round:
        answer = solving.answer()
        return Round(
            puzzle_id=work.piece.puzzle_id,
            start=work.piece.start,
            stop=work.stop,
            votes=tuple(
                InputVotes(tally, num_segments=test.segments)
                for tally, test in zip(solving.tallies, answer.tests, strict=True)
            ),
            is_settled=False,
            voters=tuple(member.name for member in solving.members),
            elapsed_s=self._run.clock.elapsed_s,
        )
