"""`hrm-arc submit --url`: the same, by a service."""

import asyncio
from collections.abc import Sequence

from service.cli.submit_run import Frame, How, Submitted, framed
from service.client import AsyncClient
from service.submission.challenges import Challenge
from service.submission.paths import Paths
from service.submission.remote import RemoteVote
from service.wire.options import SolveOptions


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


async def _vote(frame: Frame, client: AsyncClient, options: SolveOptions) -> None:
    plan = frame.make_plan(is_whole=True)
    async with client:
        if plan.num_open:
            vote = RemoteVote(frame.run, plan, client, options, frame.identity)
            await vote.take(frame.show, frame.should_stop)


def _options(how: How) -> SolveOptions:
    main = how.checkpoints[0] if how.checkpoints else None
    return how.options.with_changes(checkpoint=main, ensemble=how.checkpoints[1:])
