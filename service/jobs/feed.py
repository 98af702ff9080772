"""The stream of events, read once per process and handed to those who wait for a job."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

from service.jobs import keys
from service.jobs.connection import explained_async
from service.jobs.record import Event, entry_job_id
from service.jobs.store import JobStore
from service.runtime.timing import Backoff
from service.wire.errors import QueueUnavailable

BLOCK_MS = 2_000
PAGE = 500
# Of a subscriber that does not take its events the oldest go: later ones have the whole state.
MAX_UNREAD = 10_000
_FIELDS = frozenset((b"job", b"kind", b"data", b"last"))


class EventFeed:
    """Tails the events of all jobs with one connection.

    After a lost connection every waiting subscriber gets its job's present state, so that none
    waits for an event that it missed.
    """

    def __init__(self, client: Any) -> None:
        self._redis = client
        self._store = JobStore(client)
        self._subscribers: dict[str, set[asyncio.Queue[Event]]] = {}
        self._task: asyncio.Task[None] | None = None
        self._is_stopping = False

    async def start(self) -> None:
        """Begin to tail."""
        self._task = asyncio.create_task(self._tail(), name="event feed")

    async def stop(self) -> None:
        """Stop tailing."""
        # A cancellation in the middle of a read may come out of the library as a timeout, so the
        # loop asks for itself too.
        self._is_stopping = True
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            self._task = None

    @contextlib.asynccontextmanager
    async def subscribe(self, *job_ids: str) -> AsyncIterator[asyncio.Queue[Event]]:
        """Receive the events of jobs from now on. Read the jobs after this, not before."""
        queue: asyncio.Queue[Event] = asyncio.Queue(MAX_UNREAD)
        for job_id in job_ids:
            self._subscribers.setdefault(job_id, set()).add(queue)
        try:
            yield queue
        finally:
            for job_id in job_ids:
                mine = self._subscribers[job_id]
                mine.discard(queue)
                if not mine:
                    del self._subscribers[job_id]

    async def _tail(self) -> None:
        position: bytes | None = None
        backoff = Backoff()
        while not self._is_stopping:
            try:
                if position is None:
                    async with explained_async(self._redis):
                        newest = await self._redis.xrevrange(keys.EVENTS, count=1)
                    position = newest[0][0] if newest else b"0-0"
                    await self._notify_all()
                async with explained_async(self._redis):
                    reply = await self._redis.xread(
                        {keys.EVENTS: position}, count=PAGE, block=BLOCK_MS
                    )
                backoff.reset()
                for _, entries in reply or ():
                    for entry_id, fields in entries:
                        position = entry_id
                        self._hand_out(entry_id, fields)
            except QueueUnavailable:
                # Back at the newest event: a server that lost its last writes may have gone back
                # behind the position that was held.
                position = None
                await asyncio.sleep(backoff.next_s())

    def _hand_out(self, entry_id: bytes, fields: dict[bytes, bytes]) -> None:
        queues = self._subscribers.get(entry_job_id(fields))
        if queues and fields.keys() >= _FIELDS:  # else another program wrote it
            event = Event.from_fields(entry_id, fields)
            for queue in queues:
                _put(queue, event)

    async def _notify_all(self) -> None:
        for job_id, job in (await self._store.read_listed(list(self._subscribers))).items():
            for queue in self._subscribers.get(job_id, ()):
                _put(queue, Event.of_state(job))


def _put(queue: asyncio.Queue[Event], event: Event) -> None:
    if queue.full():
        queue.get_nowait()
    queue.put_nowait(event)
