"""Votes by a service: each round of a puzzle is a job."""

import asyncio
import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from hashlib import sha256

from service.client import (
    AsyncClient,
    ClientError,
    Job,
    JobState,
    ServiceProblem,
    TestAnswer,
)
from service.submission.plan import Piece, Plan
from service.submission.run import Refusal, Run
from service.submission.votes import InputVotes, Round
from service.wire.options import SolveOptions
from voting import Q_ONE, GridVotes, Tally

# So many jobs wait or run at once: enough to fill a few devices' slots.
MOST_JOBS = 32
LOOK_S = 0.25
# A full queue empties: no reason to give up.
FULL = ("queue_full", "queue_share_exceeded")
FULL_PAUSE_S = 5.0
# What a service may have against one puzzle; anything else it has against the whole run.
OF_ONE_PUZZLE = ("unknown_puzzle", "canvas_exceeded", "unsolvable", "body_too_large")
OPTIONS_POINTER = "/options"


class RemoteVote:
    """Takes the plan's rounds through a service.

    `options` are every job's. `identity` tells this run from others: it makes keys by which a run
    that goes on finds the jobs that the one before has left behind.
    """

    def __init__(
        self, run: Run, plan: Plan, client: AsyncClient, options: SolveOptions, identity: object
    ) -> None:
        self._run, self._plan, self._client, self._options = run, plan, client, options
        self._identity = json.dumps([identity, options.given], sort_keys=True)
        # Without expected outputs: what a service is asked does not depend on what is known here.
        self._puzzles = {
            one.puzzle_id: one.task.puzzle for one in run.challenges if one.task is not None
        }
        self._jobs: dict[str, Job] = {}

    async def take(self, show: Callable[[], None], should_stop: Callable[[], bool]) -> None:
        """Vote until the plan or the time is over, or somebody wants it to stop.

        Jobs that are left by then are cancelled.

        Raises: ClientError where the service refuses or leaves; what it has answered is kept.
        """
        asked: set[asyncio.Task[None]] = set()
        try:
            while not should_stop() and not self._run.clock.is_over:
                while len(asked) < MOST_JOBS and (piece := self._plan.take()) is not None:
                    asked.add(asyncio.create_task(self._ask(piece)))
                if not asked:
                    return
                done, asked = await asyncio.wait(
                    asked, timeout=LOOK_S, return_when=asyncio.FIRST_COMPLETED
                )
                for one in done:
                    one.result()
                show()
        finally:
            for one in asked:
                one.cancel()
            await asyncio.gather(*asked, return_exceptions=True)
            await self._cancel_all()

    async def _ask(self, piece: Piece) -> None:
        try:
            job = await self._submit(piece)
            self._jobs[job.id] = job
            job = await self._client.wait(job)
        except ServiceProblem as problem:
            if not _is_of_one_puzzle(problem):
                raise
            self._give_up(piece, Refusal(problem.code, problem.detail))
            return
        self._jobs.pop(job.id, None)
        if job.result is None:
            code = str(job.state) if job.error is None else job.error.code
            detail = "somebody cancelled its job" if job.error is None else job.error.detail
            self._give_up(piece, Refusal(code, detail))
            return
        self._run.record(_round(piece, job.result.tests, self._run.clock.elapsed_s))
        self._plan.close(piece.puzzle_id)

    async def _submit(self, piece: Piece) -> Job:
        """Make the round's job, or find the one that a run before has made.

        One that ended without an answer does not count.
        """
        options = self._options.with_changes(variants=piece.stop, priority="batch")
        told = f"{self._identity} {piece.puzzle_id!a} {piece.stop}"
        key = sha256(told.encode()).hexdigest()[:40]
        number = 0
        while True:
            try:
                job = await self._client.submit(
                    self._puzzles[piece.puzzle_id],
                    idempotency_key=f"{key}-{number}",
                    **options.given,
                )
            except ServiceProblem as problem:
                if problem.code not in FULL:
                    raise
                await asyncio.sleep(problem.retry_after_s or FULL_PAUSE_S)
                continue
            if job.state not in (JobState.FAILED, JobState.CANCELLED):
                return job
            number += 1

    def _give_up(self, piece: Piece, refusal: Refusal) -> None:
        self._run.refuse(piece.puzzle_id, refusal)
        self._plan.drop(piece.puzzle_id)

    async def _cancel_all(self) -> None:
        for job in self._jobs.values():
            with suppress(ClientError):
                await self._client.cancel(job)
        self._jobs.clear()


def _is_of_one_puzzle(problem: ServiceProblem) -> bool:
    if problem.code in OF_ONE_PUZZLE:
        return True
    pointers = problem.pointers
    return problem.code == "invalid_request" and not any(
        pointer.startswith(OPTIONS_POINTER) for pointer in pointers
    )


def _round(piece: Piece, tests: Sequence[TestAnswer], elapsed_s: float) -> Round:
    asked = [share.variants_asked for test in tests for share in test.shares]
    is_last = piece.is_last or all(num < (piece.stop or 0) for num in asked)
    return Round(
        puzzle_id=piece.puzzle_id,
        start=0,
        stop=max(asked, default=0) if piece.stop is None else piece.stop,
        votes=tuple(map(votes_of, tests)),
        is_settled=is_last,
        voters=tuple(dict.fromkeys(share.checkpoint for test in tests for share in test.shares)),
        elapsed_s=elapsed_s,
    )


def votes_of(test: TestAnswer) -> InputVotes:
    """Read the votes out of an answer, which names the first few candidates only."""
    votes = [
        # The mean is of so few integers that the sum comes back exactly.
        GridVotes(one.grid, one.count, round(one.mean_q_halt * one.count * Q_ONE))
        for one in test.candidates
    ]
    tally = Tally.of(votes, test.abstained)
    return InputVotes(tally, test.votes - tally.num_votes, test.segments)
