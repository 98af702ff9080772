"""Waits of requests under way, which end at once when the service stops."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from service.jobs import EventFeed, Job, JobStore
from service.wire.errors import QueueUnavailable


class Waits:
    """The waits under way: a stopping service answers them now instead of cutting them off."""

    def __init__(self) -> None:
        self._timeouts: set[asyncio.Timeout] = set()
        self.is_over = False

    @asynccontextmanager
    async def at_most(self, seconds: float) -> AsyncIterator[None]:
        """Wait inside for so long, or until the service stops.

        Raises: TimeoutError.
        """
        async with asyncio.timeout(0 if self.is_over else seconds) as timeout:
            self._timeouts.add(timeout)
            try:
                yield
            finally:
                self._timeouts.discard(timeout)

    def end(self) -> None:
        """End all waits, and those that are still to come."""
        self.is_over = True
        now = asyncio.get_running_loop().time()
        for timeout in self._timeouts:
            if not timeout.expired():
                timeout.reschedule(now)


async def wait_for_end(
    job: Job, seconds: float, *, owner: str, store: JobStore, feed: EventFeed, waits: Waits
) -> Job:
    """Wait for a job to end and read it; after the time given, read it as it then stands.

    While Redis cannot be used, that is as it was last read: the job is queued and goes on.

    Raises: JobNotFound.
    """
    if job.state.is_final or seconds <= 0:
        return job
    try:
        async with feed.subscribe(job.id) as events:
            # It may have ended before anybody listened.
            job = await store.get(job.id, owner)
            if job.state.is_final:
                return job
            try:
                async with waits.at_most(seconds):
                    while not (await events.get()).is_last:
                        pass
            except TimeoutError:
                pass
        return await store.get(job.id, owner)
    except QueueUnavailable:
        return job
