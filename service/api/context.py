"""What the routes of one app share, who is calling, and how waits end when the service stops."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Annotated, cast

from fastapi import Depends
from starlette.datastructures import Headers
from starlette.requests import Request

from service.api.fleet import Fleet
from service.api.observing import APIMetrics
from service.api.problems import Problem
from service.jobs import BatchStore, EventFeed, JobStore
from service.runtime.key_ring import LOCAL_OWNER, KeyRing
from service.runtime.settings import Settings
from service.runtime.tracing import Tracer


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


@dataclass(frozen=True, slots=True)
class Context:
    """Everything that an app opened at its start."""

    settings: Settings
    keys: KeyRing
    store: JobStore
    batches: BatchStore
    feed: EventFeed
    fleet: Fleet
    metrics: APIMetrics
    waits: Waits
    tracer: Tracer

    @property
    def share(self) -> int | None:
        """How many jobs of one caller may wait; None where callers are not distinguished."""
        if self.keys.num_owners < 2:
            return None
        return max(1, int(self.settings.max_queue_share * self.settings.max_queued))


@dataclass(frozen=True, slots=True)
class Call:
    """A request's caller, and what it is served with."""

    context: Context
    owner: str
    request: Request

    def name_job(self, job_id: str) -> None:
        """Put a job's id on the request's line in the log."""
        self.request.state.job_id = job_id


async def open_context(request: Request) -> Context:
    """Give what the app of a request opened at its start."""
    return cast(Context, request.app.state.context)


Opened = Annotated[Context, Depends(open_context)]


def owner_of(headers: Headers, keys: KeyRing) -> str:
    """Return the owner of a request: `local` for every request where there are no keys.

    Raises: Problem where a key is needed and none that fits is shown.
    """
    if not keys.keys:
        return LOCAL_OWNER
    shown = _shown_key(headers)
    if shown is None:
        raise _refusal("send an API key, as `Authorization: Bearer KEY`")
    owner = keys.owner_of(shown)
    if owner is None:
        raise _refusal("API key not recognised: check it, it may have been replaced")
    return owner


def _shown_key(headers: Headers) -> str | None:
    scheme, _, credentials = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and credentials.strip():
        return credentials.strip()
    return headers.get("x-api-key")


def _refusal(detail: str) -> Problem:
    return Problem("unauthorized", detail, headers={"WWW-Authenticate": 'Bearer realm="hrm-arc"'})


async def known_call(request: Request, context: Opened) -> Call:
    """Return the owner of a request.

    Raises: Problem where a key is needed and none that fits is shown.
    """
    owner = owner_of(request.headers, context.keys)
    request.state.owner = owner
    return Call(context, owner, request)


Known = Annotated[Call, Depends(known_call)]
