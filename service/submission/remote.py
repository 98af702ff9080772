"""`hrm-arc submit` through a service: each round of a puzzle is a job."""

import asyncio
import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from hashlib import sha256

from service.client import AsyncClient, ClientError, Job, JobState, ServiceProblem, TestAnswer
from service.submission.challenges import ChallengeSet
from service.submission.run import Plan, Refusal, Round, Run
from service.submission.session import ProgressView, SubmitConfig, SubmitSession, Submitted
from service.submission.votes import InputVotes, RoundVotes
from service.wire.options import SolveOptions
from voting import Q_ONE, GridVotes, Tally

# The jobs that wait or run at once: enough to fill the slots of a few devices.
MAX_JOBS = 32
POLL_S = 0.25
# A full queue empties: the job is submitted again.
FULL = ("queue_full", "queue_share_exceeded")
FULL_PAUSE_S = 5.0
# The errors that concern one puzzle; any other ends the run.
OF_ONE_PUZZLE = ("unknown_puzzle", "canvas_exceeded", "unsolvable", "body_too_large")
OPTIONS_POINTER = "/options"


def submit_remotely(
    challenges: ChallengeSet,
    config: SubmitConfig,
    client: AsyncClient,
    view: ProgressView,
    should_stop: Callable[[], bool],
) -> Submitted:
    """Answer challenges through a service.

    Raises: ClientError when it refuses or cannot be reached; the answers so far are kept.
    """
    checkpoints = list(config.checkpoints)
    with SubmitSession.open(challenges, config, checkpoints, view, should_stop) as session:
        asyncio.run(_vote(session, client))
        return session.finish()


async def _vote(session: SubmitSession, client: AsyncClient) -> None:
    plan = session.make_plan(is_whole=True)
    async with client:
        if plan.num_open:
            main, *others = session.config.checkpoints or (None,)
            options = session.config.options.with_changes(checkpoint=main, ensemble=tuple(others))
            vote = RemoteVote(session.run, plan, client, options, session.identity)
            await vote.run(session.show, session.should_stop)


class RemoteVote:
    """Runs the rounds of a plan as jobs of a service.

    `options` are those of every job. `identity` identifies the run: the idempotency keys made from
    it let a run find the jobs that an earlier one has submitted.
    """

    def __init__(
        self, run: Run, plan: Plan, client: AsyncClient, options: SolveOptions, identity: object
    ) -> None:
        self._run, self._plan, self._client, self._options = run, plan, client, options
        self._identity = json.dumps([identity, options.given], sort_keys=True)
        self._jobs: dict[str, Job] = {}

    async def run(self, show: Callable[[], None], should_stop: Callable[[], bool]) -> None:
        """Vote until the plan is done, the time is over, or `should_stop`; then cancel open jobs.

        Raises: ClientError when the service refuses or cannot be reached; its answers are kept.
        """
        asked: set[asyncio.Task[None]] = set()
        try:
            while not should_stop() and not self._run.clock.is_over:
                while len(asked) < MAX_JOBS and (planned := self._plan.take()) is not None:
                    asked.add(asyncio.create_task(self._ask(planned)))
                if not asked:
                    return
                done, asked = await asyncio.wait(
                    asked, timeout=POLL_S, return_when=asyncio.FIRST_COMPLETED
                )
                for one in done:
                    one.result()
                show()
        finally:
            for one in asked:
                one.cancel()
            await asyncio.gather(*asked, return_exceptions=True)
            await self._cancel_all()

    async def _ask(self, planned: Round) -> None:
        try:
            job = await self._submit(planned)
            self._jobs[job.id] = job
            job = await self._client.wait(job)
        except ServiceProblem as problem:
            if not _is_of_one_puzzle(problem):
                raise
            self._give_up(planned, Refusal(problem.code, problem.detail))
            return
        self._jobs.pop(job.id, None)
        if job.result is None:
            code = str(job.state) if job.error is None else job.error.code
            detail = "its job was cancelled" if job.error is None else job.error.detail
            self._give_up(planned, Refusal(code, detail))
            return
        self._run.record(_round(planned, job.result.tests, self._run.clock.elapsed_s))
        self._plan.close(planned.puzzle_id)

    async def _submit(self, planned: Round) -> Job:
        """Submit the job of a round, or find that of an earlier run unless it has no answer."""
        options = self._options.with_changes(variants=planned.stop, priority="batch")
        identity = f"{self._identity} {planned.puzzle_id!a} {planned.stop}"
        key = sha256(identity.encode()).hexdigest()[:40]
        number = 0
        while True:
            try:
                job = await self._client.submit(
                    self._run.puzzles[planned.puzzle_id],
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

    def _give_up(self, planned: Round, refusal: Refusal) -> None:
        self._run.refuse(planned.puzzle_id, refusal)
        self._plan.drop(planned.puzzle_id)

    async def _cancel_all(self) -> None:
        for job in self._jobs.values():
            with suppress(ClientError):
                await self._client.cancel(job)
        self._jobs.clear()


def _is_of_one_puzzle(problem: ServiceProblem) -> bool:
    return problem.code in OF_ONE_PUZZLE or (
        problem.code == "invalid_request"
        and not any(pointer.startswith(OPTIONS_POINTER) for pointer in problem.pointers)
    )


def _round(planned: Round, tests: Sequence[TestAnswer], elapsed_s: float) -> RoundVotes:
    asked = [share.variants_asked for test in tests for share in test.shares]
    is_last = planned.is_last or all(num < (planned.stop or 0) for num in asked)
    return RoundVotes(
        puzzle_id=planned.puzzle_id,
        start=0,
        stop=max(asked, default=0) if planned.stop is None else planned.stop,
        votes=tuple(map(votes_of, tests)),
        is_settled=is_last,
        voters=tuple(dict.fromkeys(share.checkpoint for test in tests for share in test.shares)),
        elapsed_s=elapsed_s,
    )


def votes_of(test: TestAnswer) -> InputVotes:
    """Return the votes of an answer, which lists the first few candidates only."""
    votes = [
        # The mean is over few integers, so this restores their sum exactly.
        GridVotes(one.grid, one.count, round(one.mean_q_halt * one.count * Q_ONE))
        for one in test.candidates
    ]
    tally = Tally.of(votes, test.abstained)
    return InputVotes(tally, test.votes - tally.num_votes, test.segments, test.confidence)
