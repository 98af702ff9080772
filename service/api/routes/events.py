"""`GET /v1/jobs/{id}/events`: what happens to a job, as it happens."""

from collections.abc import AsyncIterator
from typing import Annotated, Any, Final

import structlog
from fastapi import APIRouter, Header
from fastapi.sse import KEEPALIVE_COMMENT, EventSourceResponse, format_sse_event
from starlette.responses import Response

from service.api.answers import described_headers, problems
from service.api.context import Call, Known
from service.api.documents import current_events
from service.api.routes.jobs import JobID, checked_id
from service.jobs import Event, event_order
from service.wire.errors import QueueError

KEEPALIVE_S: Final = 15.0
_EXAMPLE: Final = (
    "event: state\n"
    'data: {"id":"d0aXyZ2m1f3lbgYp4nQ5sA","state":"running","attempts":1}\n'
    "id: 1795323000000-0\n\n"
    "event: progress\n"
    'data: {"outcomes":40,"asked":128,"decided":0,"test_inputs":1,"tests":[]}\n'
    "id: 1795323001000-0\n\n"
)
_EVENT_SCHEMA: Final[dict[str, Any]] = {
    "type": "string",
    "description": "Events of kind `state` (id, state, attempts, error) and `progress` (as in a "
    "job), each with a JSON document as its data.",
}

router = APIRouter(tags=["jobs"])


@router.get(
    "/v1/jobs/{job_id}/events",
    operation_id="follow_job",
    summary="Follow a job",
    response_class=Response,
    responses={
        200: {
            "description": "Server-sent events, first of all how the job stands; the stream ends "
            "with the job.",
            "headers": described_headers(),
            "content": {"text/event-stream": {"schema": _EVENT_SCHEMA, "example": _EXAMPLE}},
        },
        204: {
            "description": "The job has ended and Last-Event-ID names its last event: nothing "
            "will follow, and there is no use in connecting again.",
            "headers": described_headers(),
        },
        **problems("job_not_found", "not_found", "invalid_request", "queue_unavailable"),
    },
)
async def follow_job(
    call: Known,
    job_id: JobID,
    last_event_id: Annotated[
        str | None,
        Header(
            alias="Last-Event-ID",
            max_length=64,
            description="The last event that was received: those after it follow.",
        ),
    ] = None,
) -> Response:
    """Send a job's state, progress and partial votes as they change, until it ends."""
    job_id = checked_id(job_id)
    call.name_job(job_id)
    job = await call.context.store.get(job_id, call.owner)
    if last_event_id:
        seen = event_order(last_event_id)
        if job.state.is_final and seen >= event_order(job.last_event):
            return Response(status_code=204)
    return EventSourceResponse(
        _follow(call, job_id, last_event_id or None),
        # The buffers of a proxy would keep what must be seen at once.
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


async def _follow(call: Call, job_id: str, last_event_id: str | None) -> AsyncIterator[bytes]:
    context = call.context
    context.metrics.event_streams.inc()
    try:
        async with context.feed.subscribe(job_id) as queue:
            sent = last_event_id
            # What the client does not know yet is read after subscribing: nothing falls between.
            for event in await _first_events(call, job_id, last_event_id):
                yield _wire(event)
                sent = event.id
                if event.is_last:
                    return
            while not context.waits.is_over:
                try:
                    async with context.waits.at_most(KEEPALIVE_S):
                        event = await queue.get()
                except TimeoutError:
                    yield KEEPALIVE_COMMENT
                    # A look at the job itself: no stream outlives it, whatever was missed.
                    event = Event.of_state(await context.store.get(job_id, call.owner))
                if event.is_last or sent is None or event_order(event.id) > event_order(sent):
                    yield _wire(event)
                    sent = event.id
                if event.is_last:
                    return
    except QueueError as error:
        # The client connects again, and then learns what is wrong.
        structlog.get_logger(__name__).warning("event stream cut", job_id=job_id, reason=str(error))
    finally:
        context.metrics.event_streams.dec()


async def _first_events(call: Call, job_id: str, last_event_id: str | None) -> tuple[Event, ...]:
    store = call.context.store
    missed = None if not last_event_id else await store.events_since(job_id, last_event_id)
    if missed:
        return missed
    job = await store.get(job_id, call.owner)
    # The last event of an ended job may no longer be kept: without this the client would wait on.
    return current_events(job) if missed is None or job.state.is_final else ()


def _wire(event: Event) -> bytes:
    return format_sse_event(data_str=event.data.decode(), event=event.kind, id=event.id)
