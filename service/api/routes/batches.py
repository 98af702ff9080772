"""`/v1/batches`: a whole challenges file at once."""

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated, Any, Final

import structlog
from fastapi import APIRouter, Header, Path, Query
from fastapi.sse import KEEPALIVE_COMMENT, EventSourceResponse, format_sse_event
from starlette.responses import Response, StreamingResponse

from service.api.admission import resolve_options
from service.api.answers import (
    described_headers,
    json_answer,
    link_to,
    next_page,
    problems,
    response_doc,
)
from service.api.batch_documents import (
    BatchView,
    batch_path,
    json_text,
    submission_part,
    summary_document,
)
from service.api.batching import make_batch
from service.api.bodies import parse_batch_body
from service.api.body import JSON_TYPE, read_json_body
from service.api.context import Call, Known
from service.api.examples import BATCH, BATCH_ID
from service.api.routes.events import KEEPALIVE_S
from service.api.routes.submission import IdempotencyKey
from service.api.schemas import BatchesQuery
from service.jobs import Batch, Event, Job, JobState, event_order
from service.jobs.keys import is_id
from service.wire.batch import Batch as BatchDocument
from service.wire.batch import BatchList
from service.wire.errors import BatchNotFound, QueueError, QueueUnavailable, SubmissionInDoubt

router = APIRouter(tags=["batches"])

BatchID = Annotated[str, Path(description="A batch's id.", examples=[BATCH_ID])]
# The id of a stream's last event: after it there is no use in connecting again.
_END_ID: Final = "end"
_BODY: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "description": "A Kaggle challenges file as it is, {id: task, ...}; or an object with the "
        "file as `challenges`, and `options` (as of a single task) and `name` beside it.",
        "content": {
            JSON_TYPE: {
                # No more than this: a broken task is shown in the batch, and refuses nothing.
                "schema": {"type": "object", "minProperties": 1},
                "examples": {
                    "a challenges file as it is": {"value": BATCH["challenges"]},
                    "with options": {"value": BATCH},
                },
            }
        },
    }
}
_SUBMISSION_SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "description": "By puzzle and test input: attempt_1 and attempt_2.",
}
_EVENT_SCHEMA: Final[dict[str, Any]] = {
    "type": "string",
    "description": "Events of kind `state` (id, state, counts) and `progress` (the same, and the "
    "`puzzle` that has changed), each with a JSON document as its data.",
}
_EXAMPLE: Final = (
    "event: state\n"
    f'data: {{"id":"{BATCH_ID}","state":"running","counts":{{"total":400,"succeeded":120}}}}\n'
    "id: 1795323000000-0\n\n"
)


def checked_id(batch_id: str) -> str:
    """Pass on what may be a batch's id.

    Raises: BatchNotFound for anything else, which must not become part of a key in Redis.
    """
    if not is_id(batch_id):
        raise BatchNotFound(batch_id)
    return batch_id


@router.post(
    "/v1/batches",
    operation_id="submit_batch",
    summary="Submit a challenges file as a batch of jobs",
    status_code=202,
    response_class=Response,
    responses={
        200: response_doc(
            BatchDocument,
            "The batch that the same idempotency key and body gave before.",
            headers=("Location",),
        ),
        202: response_doc(BatchDocument, "The batch is queued.", headers=("Location",)),
        **problems(
            *("invalid_json", "unknown_checkpoint", "body_too_large", "unsupported_media_type"),
            "request_timeout",
            *("invalid_request", "idempotency_conflict", "queue_full", "queue_share_exceeded"),
            *("not_ready", "queue_unavailable", "not_durable"),
        ),
    },
    openapi_extra=_BODY,
)
async def submit_batch(call: Known, idempotency_key: IdempotencyKey = None) -> Response:
    """Queue a job for each puzzle, all or none, at batch priority; 1,000 puzzles at the most.

    A puzzle that is broken or that the checkpoint cannot answer is listed as refused in the batch,
    and the others are answered all the same.
    """
    context = call.context
    body = await read_json_body(
        call.request, context.settings.max_batch_bytes, "Send a few batches instead of one"
    )
    # Megabytes of JSON take a second, in which others want to be answered.
    asked = await asyncio.to_thread(parse_batch_body, body)
    resolved = await resolve_options(asked.options, context.fleet, context.settings)
    new = await make_batch(call, asked, resolved, idempotency_key)
    submitted = await context.batches.submit(new)
    batch = submitted.batch
    if submitted.is_new:
        for _ in batch.job_ids:
            context.metrics.count_submitted("batch")
    try:
        view = await _look(call, batch)
    except QueueUnavailable as error:
        raise SubmissionInDoubt(str(error)) from error
    return json_answer(
        json_text(view.document()),
        202 if submitted.is_new else 200,
        {"Location": batch_path(batch.id)},
    )


@router.get(
    "/v1/batches",
    operation_id="list_batches",
    summary="List batches, newest first",
    response_class=Response,
    responses={
        200: response_doc(BatchList, "Batches without their puzzles.", headers=("Link",)),
        **problems("invalid_request", "queue_unavailable"),
    },
)
async def list_batches(call: Known, query: Annotated[BatchesQuery, Query()]) -> Response:
    """List your batches, a page at a time; `next` and the Link header name the following page."""
    page = await call.context.batches.list(call.owner, after=query.cursor, limit=query.limit)
    following = next_page("/v1/batches", page.next, query.limit)
    document = {"batches": [summary_document(one) for one in page.items], "next": following}
    return json_answer(json_text(document), headers=link_to(following))


@router.get(
    "/v1/batches/{batch_id}",
    operation_id="get_batch",
    summary="Look a batch up",
    response_class=Response,
    responses={
        200: response_doc(BatchDocument, "The batch as it stands."),
        **problems("batch_not_found", "not_found", "queue_unavailable"),
    },
)
async def get_batch(call: Known, batch_id: BatchID) -> Response:
    """Return the state of a batch: counts, and every puzzle's state and job."""
    view = await _look(call, await _find(call, batch_id))
    return json_answer(json_text(view.document()))


@router.delete(
    "/v1/batches/{batch_id}",
    operation_id="cancel_batch",
    summary="Cancel a batch",
    response_class=Response,
    responses={
        200: response_doc(BatchDocument, "The batch as it stands: running jobs end in a moment."),
        **problems("batch_not_found", "not_found", "queue_unavailable"),
    },
)
async def cancel_batch(call: Known, batch_id: BatchID) -> Response:
    """Cancel all jobs of a batch that have not ended; what is answered stays."""
    batch = await call.context.batches.cancel(checked_id(batch_id), call.owner)
    return json_answer(json_text((await _look(call, batch)).document()))


@router.get(
    "/v1/batches/{batch_id}/submission.json",
    operation_id="get_submission",
    summary="Get a batch's submission",
    response_class=Response,
    responses={
        200: {
            "description": "A valid submission at any time: where there is no answer, or none "
            "yet, the test input itself stands for it.",
            "headers": described_headers(),
            "content": {JSON_TYPE: {"schema": _SUBMISSION_SCHEMA}},
        },
        **problems("batch_not_found", "not_found", "queue_unavailable"),
    },
)
async def get_submission(call: Known, batch_id: BatchID) -> Response:
    """Give the submission as far as the batch is: every puzzle in order, two attempts each."""
    batch = await _find(call, batch_id)
    parts = [
        await asyncio.to_thread(submission_part, page)
        async for page in call.context.batches.pages(batch)
    ]

    async def written() -> AsyncIterator[bytes]:
        yield b"{"
        for number, part in enumerate(parts):
            yield (f", {part}" if number else part).encode()
        yield b"}"

    return StreamingResponse(
        written(),
        media_type=JSON_TYPE,
        headers={
            "Cache-Control": "no-store",
            "Content-Disposition": 'attachment; filename="submission.json"',
        },
    )


@router.get(
    "/v1/batches/{batch_id}/events",
    operation_id="follow_batch",
    summary="Follow a batch",
    response_class=Response,
    responses={
        200: {
            "description": "Server-sent events, first of all how the batch stands; the stream ends "
            "with the batch.",
            "headers": described_headers(),
            "content": {"text/event-stream": {"schema": _EVENT_SCHEMA, "example": _EXAMPLE}},
        },
        204: {
            "description": "The batch has ended and Last-Event-ID names its end: nothing will "
            "follow, and there is no use in connecting again.",
            "headers": described_headers(),
        },
        **problems("batch_not_found", "not_found", "invalid_request", "queue_unavailable"),
    },
)
async def follow_batch(
    call: Known,
    batch_id: BatchID,
    last_event_id: Annotated[
        str | None,
        Header(
            alias="Last-Event-ID",
            max_length=64,
            description="The last event that was received. The first one has everything anyway.",
        ),
    ] = None,
) -> Response:
    """Send how a batch stands whenever one of its puzzles changes its state, until it ends."""
    batch = await _find(call, batch_id)
    if last_event_id == _END_ID and (await _look(call, batch)).is_final:
        return Response(status_code=204)
    return EventSourceResponse(
        _follow(call, batch),
        # The buffers of a proxy would keep what must be seen at once.
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


async def _follow(call: Call, batch: Batch) -> AsyncIterator[bytes]:
    context = call.context
    entries = {entry.job_id: entry for entry in batch.entries if entry.job_id is not None}
    context.metrics.event_streams.inc()
    try:
        async with context.feed.subscribe(*entries) as queue:
            # Read after subscribing: nothing falls between.
            view = await _look(call, batch)
            yield _state(view)
            while not view.is_final and not context.waits.is_over:
                try:
                    async with context.waits.at_most(KEEPALIVE_S):
                        events = [await queue.get()]
                except TimeoutError:
                    yield KEEPALIVE_COMMENT
                    # A look at the jobs themselves: no stream outlives them, whatever was missed.
                    view = await _look(call, batch)
                    if view.is_final:
                        yield _state(view)
                    continue
                while not queue.empty():
                    events.append(queue.get_nowait())
                changed = dict.fromkeys(one.job_id for one in events if _is_news(view, one))
                for job_id, job in (await context.store.read_listed(list(changed))).items():
                    view = BatchView(batch, {**view.jobs, job_id: job})
                    puzzle = {"puzzle": view.puzzle(entries[job_id])}
                    yield _wire("progress", view.progress() | puzzle, job.last_event)
                if view.is_final:
                    view = await _look(call, batch)  # whether it was cancelled
                    yield _state(view)
    except QueueError as error:
        # The client connects again, and then learns what is wrong.
        structlog.get_logger(__name__).warning(
            "event stream cut", batch_id=batch.id, reason=str(error)
        )
    finally:
        context.metrics.event_streams.dec()


def _is_news(view: BatchView, event: Event) -> bool:
    """Return whether an event says more than is known: what waited may be in the first look."""
    known = view.jobs.get(event.job_id)
    return (
        event.kind == "state"
        and known is not None
        and event_order(event.id) > event_order(known.last_event)
    )


def _state(view: BatchView) -> bytes:
    if view.is_final:
        return _wire("state", view.progress(), _END_ID)
    newest = max((job.last_event for job in view.jobs.values()), key=event_order)
    return _wire("state", view.progress(), newest)


def _wire(kind: str, document: dict[str, Any], event_id: str) -> bytes:
    return format_sse_event(data_str=json_text(document).decode(), event=kind, id=event_id)


async def _find(call: Call, batch_id: str) -> Batch:
    return await call.context.batches.get(checked_id(batch_id), call.owner)


async def _look(call: Call, batch: Batch) -> BatchView:
    """Read how a batch stands, and whether somebody has cancelled it meanwhile."""
    batches = call.context.batches
    jobs: dict[str, Job] = await batches.jobs(batch)
    if any(job.state is JobState.CANCELLED for job in jobs.values()):
        batch = await batches.get(batch.id, call.owner)
    return BatchView(batch, jobs)
