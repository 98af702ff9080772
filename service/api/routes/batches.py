"""`/v1/batches`: a whole challenges file at once."""

import asyncio
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Path, Query
from starlette.responses import Response

from service.api.admission import make_batch
from service.api.bodies import JSON_TYPE, parse_batch_body, read_json_body
from service.api.context import Call, Known
from service.api.documents import (
    BatchView,
    json_answer,
    json_text,
    link_to,
    model_answer,
    next_page,
    submission_part,
)
from service.api.examples import BATCH, BATCH_ID
from service.api.openapi import answer_doc, answers, problems, request_body, submission_answers
from service.api.routes.jobs import BATCH_PROBLEMS, IdempotencyKey, PageQuery
from service.jobs import Batch, JobState
from service.jobs.keys import is_id
from service.wire.batch import Batch as BatchDocument
from service.wire.batch import BatchList
from service.wire.errors import BatchNotFound, QueueUnavailable, SubmissionInDoubt

_BODY: Final = request_body(
    "A Kaggle challenges file as it is, {id: task, ...}; or an object with the file as "
    "`challenges`, and `options` (as of a single task) and `name` beside it.",
    # No more than this: a broken task is shown in the batch, and refuses nothing.
    {"type": "object", "minProperties": 1},
    {"a challenges file as it is": BATCH["challenges"], "with options": BATCH},
)
_SUBMISSION_SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "description": "By puzzle and test input: attempt_1 and attempt_2.",
}
_PROBLEMS_OF_ONE: Final = ("batch_not_found", "not_found", "queue_unavailable")

router = APIRouter(tags=["batches"])


async def checked_id(
    batch_id: Annotated[str, Path(description="A batch's id.", examples=[BATCH_ID])], _: Known
) -> str:
    """Pass on what may be a batch's id.

    Raises: BatchNotFound for anything else, which must not become part of a key in Redis.
    """
    if not is_id(batch_id):
        raise BatchNotFound(batch_id)
    return batch_id


BatchID = Annotated[str, Depends(checked_id)]


async def read_view(call: Call, batch: Batch) -> BatchView:
    """Read how a batch stands, and whether somebody has cancelled it meanwhile."""
    batches = call.context.batches
    jobs = await batches.jobs(batch)
    if any(job.state is JobState.CANCELLED for job in jobs.values()):
        batch = await batches.get(batch.id, call.owner)
    return BatchView(batch, jobs)


@router.post(
    "/v1/batches",
    summary="Submit a challenges file as a batch of jobs",
    status_code=202,
    responses=submission_answers(BatchDocument, "batch", *BATCH_PROBLEMS),
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
    with context.tracer.inside("submit", kind="producer") as span:
        submitted = await context.batches.submit(await make_batch(call, asked, idempotency_key))
        span.note(batch_id=submitted.batch.id, is_new=submitted.is_new)
    if submitted.is_new:
        context.metrics.count_submitted("batch", len(submitted.batch.job_ids))
    try:
        view = await read_view(call, submitted.batch)
    except QueueUnavailable as error:
        raise SubmissionInDoubt(str(error)) from error
    document = view.document()
    status, location = 202 if submitted.is_new else 200, document["links"]["self"]
    return json_answer(json_text(document), status, {"Location": location})


@router.get(
    "/v1/batches",
    summary="List batches, newest first",
    responses=answers(
        *(BatchList, "Batches without their puzzles.", "invalid_request", "queue_unavailable"),
        headers=("Link",),
    ),
)
async def list_batches(call: Known, query: Annotated[PageQuery, Query()]) -> Response:
    """List your batches, a page at a time; `next` and the Link header name the following page."""
    page = await call.context.batches.list(call.owner, after=query.cursor, limit=query.limit)
    following = next_page("/v1/batches", page.next, query.limit)
    return model_answer(BatchList(batches=page.items, next=following), link_to(following))


@router.get(
    "/v1/batches/{batch_id}",
    summary="Look a batch up",
    responses=answers(BatchDocument, "The batch as it stands.", *_PROBLEMS_OF_ONE),
)
async def get_batch(call: Known, batch_id: BatchID) -> Response:
    """Return the state of a batch: counts, and every puzzle's state and job."""
    batch = await call.context.batches.get(batch_id, call.owner)
    return json_answer(json_text((await read_view(call, batch)).document()))


@router.delete(
    "/v1/batches/{batch_id}",
    summary="Cancel a batch",
    responses=answers(
        BatchDocument, "The batch as it stands: running jobs end in a moment.", *_PROBLEMS_OF_ONE
    ),
)
async def cancel_batch(call: Known, batch_id: BatchID) -> Response:
    """Cancel all jobs of a batch that have not ended; what is answered stays."""
    batch = await call.context.batches.cancel(batch_id, call.owner)
    return json_answer(json_text((await read_view(call, batch)).document()))


@router.get(
    "/v1/batches/{batch_id}/submission.json",
    summary="Get a batch's submission",
    responses={
        200: answer_doc(
            "A valid submission at any time: where there is no answer, or none yet, the test "
            "input itself stands for it.",
            content={JSON_TYPE: {"schema": _SUBMISSION_SCHEMA}},
        ),
        **problems(*_PROBLEMS_OF_ONE),
    },
)
async def get_submission(call: Known, batch_id: BatchID) -> Response:
    """Give the submission as far as the batch is: every puzzle in order, two attempts each."""
    batch = await call.context.batches.get(batch_id, call.owner)
    parts = [
        await asyncio.to_thread(submission_part, page)
        async for page in call.context.batches.pages(batch)
    ]
    headers = {"Content-Disposition": 'attachment; filename="submission.json"'}
    return json_answer(b"{%s}" % b", ".join(parts), headers=headers)
