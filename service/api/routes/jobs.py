"""`/v1/jobs`: submit, look up, list, cancel."""

from typing import Annotated

from fastapi import APIRouter, Path, Query
from starlette.responses import Response

from service.api.answers import json_answer, link_to, next_page, problems, response_doc
from service.api.context import Known
from service.api.documents import job_document, job_list, job_path, task_document
from service.api.examples import JOB_ID
from service.api.routes.submission import BODY, PROBLEMS, IdempotencyKey, submit
from service.api.schemas import JobsQuery
from service.jobs import JobState
from service.jobs.keys import is_id
from service.wire.errors import JobNotFound
from service.wire.job import Job, JobList
from service.wire.task import Task

router = APIRouter(tags=["jobs"])

JobID = Annotated[str, Path(description="A job's id.", examples=[JOB_ID])]


def checked_id(job_id: str) -> str:
    """Pass on what may be a job's id.

    Raises: JobNotFound for anything else, which must not become part of a key in Redis.
    """
    if not is_id(job_id):
        raise JobNotFound(job_id[:64])
    return job_id


@router.post(
    "/v1/jobs",
    operation_id="submit_job",
    summary="Submit a puzzle as a job",
    status_code=202,
    response_class=Response,
    responses={
        200: response_doc(
            Job,
            "The job that the same idempotency key and body gave before.",
            headers=("Location",),
        ),
        202: response_doc(Job, "The job is queued.", headers=("Location",)),
        **problems(*PROBLEMS),
    },
    openapi_extra=BODY,
)
async def submit_job(call: Known, idempotency_key: IdempotencyKey = None) -> Response:
    """Queue the puzzle and answer at once with the job's address."""
    submitted = await submit(call, idempotency_key)
    return json_answer(
        job_document(submitted.job),
        202 if submitted.is_new else 200,
        {"Location": job_path(submitted.job.id)},
    )


@router.get(
    "/v1/jobs",
    operation_id="list_jobs",
    summary="List jobs, newest first",
    response_class=Response,
    responses={
        200: response_doc(JobList, "Jobs without their answers.", headers=("Link",)),
        **problems("invalid_request", "queue_unavailable"),
    },
)
async def list_jobs(call: Known, query: Annotated[JobsQuery, Query()]) -> Response:
    """List your jobs, a page at a time; `next` and the Link header name the following page."""
    page = await call.context.store.list(
        call.owner,
        states=[JobState(state) for state in query.state],
        after=query.cursor,
        limit=query.limit,
    )
    states = [("state", state) for state in query.state]
    following = next_page("/v1/jobs", page.next, query.limit, *states)
    return json_answer(job_list(page.items, following), headers=link_to(following))


@router.get(
    "/v1/jobs/{job_id}",
    operation_id="get_job",
    summary="Look a job up",
    response_class=Response,
    responses={
        200: response_doc(Job, "The job as it stands."),
        **problems("job_not_found", "not_found", "queue_unavailable"),
    },
)
async def get_job(call: Known, job_id: JobID) -> Response:
    """Return the state of a job: its state, its progress while it runs, its answer at the end."""
    job_id = checked_id(job_id)
    call.name_job(job_id)
    return json_answer(job_document(await call.context.store.get(job_id, call.owner)))


@router.get(
    "/v1/jobs/{job_id}/task",
    operation_id="get_task",
    summary="Look a job's puzzle up",
    response_class=Response,
    responses={
        200: response_doc(Task, "The task as it was sent, without options."),
        **problems("job_not_found", "not_found", "queue_unavailable"),
    },
)
async def get_task(call: Known, job_id: JobID) -> Response:
    """Give the task that a job was made of: what its answer is an answer to."""
    job_id = checked_id(job_id)
    call.name_job(job_id)
    return json_answer(task_document(await call.context.store.get(job_id, call.owner)))


@router.delete(
    "/v1/jobs/{job_id}",
    operation_id="cancel_job",
    summary="Cancel a job",
    response_class=Response,
    responses={
        200: response_doc(Job, "The job as it stands: a running one ends in a moment."),
        **problems("job_not_found", "not_found", "queue_unavailable"),
    },
)
async def cancel_job(call: Known, job_id: JobID) -> Response:
    """Cancel a queued or running job; one that has ended stays as it is."""
    job_id = checked_id(job_id)
    call.name_job(job_id)
    return json_answer(job_document(await call.context.store.cancel(job_id, call.owner)))
