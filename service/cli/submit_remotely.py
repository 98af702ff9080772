"""`hrm-arc submit --url`: the same, by a service."""

import asyncio
from collections.abc import Sequence

from service.cli.adaptation_options import adaptation_options
from service.cli.submit_run import Frame, How, Submitted, framed
from service.client import AsyncClient, Options
from service.submission.challenges import Challenge
from service.submission.paths import Paths
from service.submission.remote import RemoteVote


def submit_remotely(
    challenges: Sequence[Challenge], paths: Paths, how: How, url: str, api_key: str | None
) -> Submitted:
    """Have a service vote, puzzle by puzzle.

    Raises: ClientError, when it refuses or leaves; what it has answered by then is kept.
    """
    with framed(challenges, paths, how, list(how.checkpoints)) as frame:
        client = AsyncClient(url, api_key=api_key)
        asyncio.run(_vote(frame, client, _options(how)))
        return frame.finish()


async def _vote(frame: Frame, client: AsyncClient, options: Options) -> None:
    plan = frame.make_plan(is_whole=True)
    async with client:
        if plan.num_open:
            vote = RemoteVote(frame.run, plan, client, options, frame.identity)
            await vote.take(frame.show, frame.should_stop)


def _options(how: How) -> Options:
    options: Options = {
        "checkpoint": how.checkpoints[0] if how.checkpoints else None,
        "ensemble": how.checkpoints[1:],
        "halting": how.halting,
        "max_segments": how.max_segments,
        "ranking": how.ranking,
        "stop_early": how.stop_early,
        "seed": how.seed,
    }
    adapting = adaptation_options(
        how.adapt, how.adapt_minutes, how.adapt_steps, how.adapt_variants, by_service=True
    )
    return {**options, **adapting}
