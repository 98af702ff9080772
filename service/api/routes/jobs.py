"""`/v1/jobs`: submit, look up, list, cancel."""

from typing import Annotated, Final

from fastapi import APIRouter, Depends, Header, Path, Query
from pydantic import BaseModel, Field
from starlette.responses import Response

from service.api.admission import make_job
from service.api.bodies import parse_task_body, read_json_body
from service.api.context import Call, Known
from service.api.documents import job_document, job_list, job_path, json_answer, link_to, next_page
from service.api.examples import JOB_ID, MAZE, SUDOKU, TASK, TASK_TO_ADAPT_TO, TASK_WITH_OPTIONS
from service.api.openapi import answers, request_body, submission_answers
from service.jobs import JobState, Submitted
from service.jobs.keys import is_id
from service.wire.errors import JobNotFound
from service.wire.job import Job, JobList
from service.wire.task import BODIES, Maze, Sudoku, Task

BODY: Final = request_body(
    "An ARC task file as it is, a Sudoku or a maze; `name` and `options` may be added.",
    {"anyOf": [{"$ref": f"#/components/schemas/{body.__name__}"} for body in BODIES]},
    {
        "a task file as it is": TASK,
        "with options": TASK_WITH_OPTIONS,
        "a puzzle that nobody trained on": TASK_TO_ADAPT_TO,
        "a Sudoku": SUDOKU,
        "a maze": MAZE,
    },
)
_QUEUE_PROBLEMS: Final = (
    *("invalid_json", "unknown_checkpoint", "body_too_large", "request_timeout"),
    *("unsupported_media_type", "invalid_request", "idempotency_conflict"),
    *("queue_full", "queue_share_exceeded", "not_ready", "queue_unavailable", "not_durable"),
)
BATCH_PROBLEMS: Final = (*_QUEUE_PROBLEMS, "batch_too_large")
PROBLEMS: Final = (*_QUEUE_PROBLEMS, "unknown_puzzle", "canvas_exceeded", "unsolvable")
_PROBLEMS_OF_ONE: Final = ("job_not_found", "not_found", "queue_unavailable")

router = APIRouter(tags=["jobs"])


class PageQuery(BaseModel, extra="forbid"):
    """Which page of one's jobs or batches."""

    cursor: str | None = Field(
        default=None, max_length=200, description="From `next`: where the page before ended."
    )
    limit: int = Field(default=20, ge=1, le=100)


class JobsQuery(PageQuery):
    """Which page of one's jobs, and what the list is narrowed to."""

    state: list[JobState] = Field(
        default_factory=list, max_length=6, description="Only jobs in these states."
    )


async def checked_id(
    call: Known, job_id: Annotated[str, Path(description="A job's id.", examples=[JOB_ID])]
) -> str:
    """Pass on what may be a job's id.

    Raises: JobNotFound for anything else, which must not become part of a key in Redis.
    """
    if not is_id(job_id):
        raise JobNotFound(job_id)
    call.name_job(job_id)
    return job_id


JobID = Annotated[str, Depends(checked_id)]
# Printable ASCII, as every header can carry.
IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        pattern=r"^[!-~]{1,255}$",
        description="The same key and body give the same job, however often they are sent.",
    ),
]


async def submit(call: Call, idempotency_key: str | None) -> Submitted:
    """Read a request's body and queue it as a job.

    Raises: Problem for a body that is no task, or a task that cannot be answered; QueueFull,
    IdempotencyConflict, QueueUnavailable, PuzzlesUnpublished.
    """
    context = call.context
    body = await read_json_body(call.request, context.settings.max_body_bytes)
    with context.tracer.inside("submit", kind="producer") as span:
        new = await make_job(call, *parse_task_body(body), idempotency_key)
        submitted = await context.store.submit(new)
        span.note(job_id=submitted.job.id, is_new=submitted.is_new)
    call.name_job(submitted.job.id)
    if submitted.is_new:
        context.metrics.count_submitted(submitted.job.priority)
    return submitted


@router.post(
    "/v1/jobs",
    summary="Submit a puzzle as a job",
    status_code=202,
    responses=submission_answers(Job, "job", *PROBLEMS),
    openapi_extra=BODY,
)
async def submit_job(call: Known, idempotency_key: IdempotencyKey = None) -> Response:
    """Queue the puzzle and answer at once with the job's address."""
    submitted = await submit(call, idempotency_key)
    status, path = 202 if submitted.is_new else 200, job_path(submitted.job.id)
    return json_answer(job_document(submitted.job), status, {"Location": path})


@router.get(
    "/v1/jobs",
    summary="List jobs, newest first",
    responses=answers(
        *(JobList, "Jobs without their answers.", "invalid_request", "queue_unavailable"),
        headers=("Link",),
    ),
)
async def list_jobs(call: Known, query: Annotated[JobsQuery, Query()]) -> Response:
    """List your jobs, a page at a time; `next` and the Link header name the following page."""
    page = await call.context.store.list(
        call.owner, states=query.state, after=query.cursor, limit=query.limit
    )
    states = [("state", state) for state in query.state]
    following = next_page("/v1/jobs", page.next, query.limit, *states)
    return json_answer(job_list(page.items, following), headers=link_to(following))


@router.get(
    "/v1/jobs/{job_id}",
    summary="Look a job up",
    responses=answers(Job, "The job as it stands.", *_PROBLEMS_OF_ONE),
)
async def get_job(call: Known, job_id: JobID) -> Response:
    """Return the state of a job: its state, its progress while it runs, its answer at the end."""
    return json_answer(job_document(await call.context.store.get(job_id, call.owner)))


@router.get(
    "/v1/jobs/{job_id}/task",
    summary="Look a job's puzzle up",
    responses=answers(
        Task | Sudoku | Maze, "The puzzle as it was sent, without options.", *_PROBLEMS_OF_ONE
    ),
)
async def get_task(call: Known, job_id: JobID) -> Response:
    """Give the task that a job was made of: what its answer is an answer to."""
    return json_answer((await call.context.store.get(job_id, call.owner)).task)


@router.delete(
    "/v1/jobs/{job_id}",
    summary="Cancel a job",
    responses=answers(
        Job, "The job as it stands: a running one ends in a moment.", *_PROBLEMS_OF_ONE
    ),
)
async def cancel_job(call: Known, job_id: JobID) -> Response:
    """Cancel a queued or running job; one that has ended stays as it is."""
    return json_answer(job_document(await call.context.store.cancel(job_id, call.owner)))
