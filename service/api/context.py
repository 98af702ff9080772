"""What the routes of one app share, and who is calling."""

from dataclasses import dataclass
from typing import Annotated, cast

from fastapi import Depends
from starlette.requests import Request

from service.api.auth import owner_of
from service.api.fleet import Fleet
from service.api.metrics import APIMetrics
from service.api.waits import Waits
from service.jobs import BatchStore, EventFeed, JobStore
from service.runtime.key_ring import KeyRing
from service.runtime.settings import Settings


@dataclass(frozen=True, slots=True)
class Context:
    """Everything that an app opened at its start.

    `share` is how many jobs of one caller may wait; None where callers are not distinguished.
    """

    settings: Settings
    keys: KeyRing
    store: JobStore
    batches: BatchStore
    feed: EventFeed
    fleet: Fleet
    metrics: APIMetrics
    waits: Waits

    @property
    def share(self) -> int | None:
        """How many jobs of one caller may wait."""
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


async def known_call(request: Request) -> Call:
    """Return the owner of a request.

    Raises: Refused where a key is needed and none that fits is shown.
    """
    context = cast(Context, request.app.state.context)
    owner = owner_of(request.headers, context.keys)
    request.state.owner = owner
    return Call(context, owner, request)


Opened = Annotated[Context, Depends(open_context)]
Known = Annotated[Call, Depends(known_call)]
