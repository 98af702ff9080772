"""`/v1/jobs/{id}/events`, `/v1/batches/{id}/events`: what happens to a job or batch, as it does."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any, Final

import structlog
from fastapi import APIRouter, Header
from fastapi.sse import KEEPALIVE_COMMENT, EventSourceResponse, format_sse_event
from starlette.responses import Response

from service.api.context import Call, Context, Known
from service.api.documents import BatchView, job_document, json_text
from service.api.examples import BATCH_ID, JOB_ID
from service.api.openapi import Responses, answer_doc, problems
from service.api.routes.batches import BatchID, read_view
from service.api.routes.jobs import JobID
from service.jobs import Batch, Event, event_order
from service.wire.errors import QueueError

KEEPALIVE_S: Final = 15.0
# The id of a batch's last event: after it there is no use in connecting again.
_END_ID: Final = "end"

router = APIRouter()


def _stream_docs(what: str, last_event: str, kinds: str, example: str) -> Responses:
    """Describe a stream of events on a job or a batch."""
    schema = {
        "type": "string",
        "description": f"Events of kind {kinds}, each with a JSON document as its data.",
    }
    return {
        200: answer_doc(
            f"Server-sent events, first of all how the {what} stands; the stream ends with the "
            f"{what}.",
            content={"text/event-stream": {"schema": schema, "example": example}},
        ),
        204: answer_doc(
            f"The {what} has ended and Last-Event-ID names {last_event}: nothing will follow, and "
            "there is no use in connecting again."
        ),
        **problems(f"{what}_not_found", "not_found", "invalid_request", "queue_unavailable"),
    }


def _last_event_header(description: str) -> Any:
    return Header(alias="Last-Event-ID", max_length=64, description=description)


@router.get(
    "/v1/jobs/{job_id}/events",
    summary="Follow a job",
    tags=["jobs"],
    responses=_stream_docs(
        "job",
        "its last event",
        "`state` (id, state, attempts; the last one is the whole job, with result or error) and "
        "`progress` (as in a job)",
        "event: state\n"
        f'data: {{"id":"{JOB_ID}","state":"running","attempts":1}}\n'
        "id: 1795323000000-0\n\n"
        "event: progress\n"
        'data: {"outcomes":40,"asked":128,"decided":0,"test_inputs":1,"tests":[]}\n'
        "id: 1795323001000-0\n\n",
    ),
)
async def follow_job(
    call: Known,
    job_id: JobID,
    last_event_id: Annotated[
        str | None,
        _last_event_header("The last event that was received: those after it follow."),
    ] = None,
) -> Response:
    """Send a job's state, progress and partial votes as they change, and last the whole job."""
    job = await call.context.store.get(job_id, call.owner)
    if last_event_id:
        seen = event_order(last_event_id)
        if job.state.is_final and seen >= event_order(job.last_event):
            return Response(status_code=204)
    return _stream(_follow_job(call, job_id, last_event_id or None))


@router.get(
    "/v1/batches/{batch_id}/events",
    summary="Follow a batch",
    tags=["batches"],
    responses=_stream_docs(
        "batch",
        "its end",
        "`state` (id, state, counts) and `progress` (the same, and the `puzzle` that has changed)",
        "event: state\n"
        f'data: {{"id":"{BATCH_ID}","state":"running","counts":{{"total":400,"succeeded":120}}}}\n'
        "id: 1795323000000-0\n\n",
    ),
)
async def follow_batch(
    call: Known,
    batch_id: BatchID,
    last_event_id: Annotated[
        str | None,
        _last_event_header(
            "The last event that was received. The first one has everything anyway."
        ),
    ] = None,
) -> Response:
    """Send how a batch stands whenever one of its puzzles changes its state, until it ends."""
    batch = await call.context.batches.get(batch_id, call.owner)
    if last_event_id == _END_ID and (await read_view(call, batch)).is_final:
        return Response(status_code=204)
    return _stream(_follow_batch(call, batch))


def _stream(events: AsyncIterator[bytes]) -> Response:
    # The buffers of a proxy would keep what must be seen at once.
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return EventSourceResponse(events, headers=headers)


@asynccontextmanager
async def _counted(context: Context, **about: str) -> AsyncIterator[None]:
    """Count a stream for as long as it is sent; it ends where the queue cannot be used."""
    context.metrics.event_streams.inc()
    try:
        yield
    except QueueError as error:
        # The client connects again, and then learns what is wrong.
        structlog.get_logger(__name__).warning("event stream cut", reason=str(error), **about)
    finally:
        context.metrics.event_streams.dec()


async def _follow_job(call: Call, job_id: str, sent: str | None) -> AsyncIterator[bytes]:
    """Send the events of a job that come after the one that was sent last."""
    context = call.context
    async with _counted(context, job_id=job_id), context.feed.subscribe(job_id) as queue:
        # What the client does not know yet is read after subscribing: nothing falls between.
        for event in await _first_events(call, job_id, sent):
            yield await _job_event(call, event)
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
                yield await _job_event(call, event)
                sent = event.id
            if event.is_last:
                return


async def _job_event(call: Call, event: Event) -> bytes:
    """Write an event of a job; the last one holds the whole job, with its answer."""
    data = event.data
    if event.is_last:
        data = job_document(await call.context.store.get(event.job_id, call.owner))
    return _wire(event.kind, data, event.id)


async def _first_events(call: Call, job_id: str, sent: str | None) -> tuple[Event, ...]:
    """Read the events that were missed, or else how the job stands, as events."""
    store = call.context.store
    missed = None if sent is None else await store.events_since(job_id, sent)
    if missed:
        return missed
    job = await store.get(job_id, call.owner)
    # The last event of an ended job may no longer be kept: without this the client would wait on.
    if missed is not None and not job.state.is_final:
        return ()
    state = Event.of_state(job)
    if job.progress is None or state.is_last:
        return (state,)
    return (state, Event(job.last_event, job.id, "progress", job.progress, is_last=False))


async def _follow_batch(call: Call, batch: Batch) -> AsyncIterator[bytes]:
    context = call.context
    entries = {entry.job_id: entry for entry in batch.entries if entry.job_id is not None}
    async with _counted(context, batch_id=batch.id), context.feed.subscribe(*entries) as queue:
        # Read after subscribing: nothing falls between.
        view = await read_view(call, batch)
        yield _state_of(view)
        while not view.is_final and not context.waits.is_over:
            try:
                async with context.waits.at_most(KEEPALIVE_S):
                    events = [await queue.get()]
            except TimeoutError:
                yield KEEPALIVE_COMMENT
                # A look at the jobs themselves: no stream outlives them, whatever was missed.
                view = await read_view(call, batch)
                if view.is_final:
                    yield _state_of(view)
                continue
            while not queue.empty():
                events.append(queue.get_nowait())
            changed = dict.fromkeys(one.job_id for one in events if _is_news(view, one))
            for job_id, job in (await context.store.read_listed(list(changed))).items():
                view = BatchView(batch, {**view.jobs, job_id: job})
                document = view.progress() | {"puzzle": view.puzzle(entries[job_id])}
                yield _wire("progress", json_text(document), job.last_event)
            if view.is_final:
                view = await read_view(call, batch)  # whether it was cancelled
                yield _state_of(view)


def _is_news(view: BatchView, event: Event) -> bool:
    """Return whether an event says more than is known: what waited may be in the first look."""
    known = view.jobs.get(event.job_id)
    return (
        event.kind == "state"
        and known is not None
        and event_order(event.id) > event_order(known.last_event)
    )


def _state_of(view: BatchView) -> bytes:
    newest = _END_ID
    if not view.is_final:
        newest = max((job.last_event for job in view.jobs.values()), key=event_order)
    return _wire("state", json_text(view.progress()), newest)


def _wire(kind: str, data: bytes, event_id: str) -> bytes:
    return format_sse_event(data_str=data.decode(), event=kind, id=event_id)
