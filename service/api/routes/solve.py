"""`POST /v1/solve`: a puzzle in, its answer out, for as long as the caller waits."""

from typing import Annotated

from fastapi import APIRouter, Header
from starlette.responses import Response

from service.api.answers import (
    failure_code,
    finished_failure_codes,
    json_answer,
    problems,
    response_doc,
)
from service.api.context import Call, Known
from service.api.documents import job_document, job_path
from service.api.prefer import read_patience
from service.api.problems import Problem
from service.api.routes.submission import BODY, PROBLEMS, IdempotencyKey, submit
from service.api.waits import wait_for_end
from service.jobs import Job, JobState
from service.wire.job import Job as JobDocument

router = APIRouter(tags=["solve"])


@router.post(
    "/v1/solve",
    operation_id="solve",
    summary="Solve a puzzle and wait for the answer",
    response_class=Response,
    responses={
        200: response_doc(
            JobDocument,
            "The job has ended: solved, or cancelled by somebody.",
            headers=("Preference-Applied",),
        ),
        202: response_doc(
            JobDocument,
            "It takes longer. The job goes on; its address shows how it ends.",
            headers=("Location", "Preference-Applied"),
        ),
        **problems(*PROBLEMS, *finished_failure_codes()),
    },
    openapi_extra=BODY,
)
async def solve(
    call: Known,
    idempotency_key: IdempotencyKey = None,
    prefer: Annotated[
        list[str] | None,
        Header(
            description="`wait=N`: answer after N seconds at the latest (RFC 7240). "
            "`respond-async`: at once, unless `wait` says otherwise.",
            examples=[["wait=30"]],
        ),
    ] = None,
) -> Response:
    """Queue the puzzle and wait for its answer, for as long as `Prefer: wait=N` says.

    A job that takes longer goes on: the answer is then 202 with its address.
    """
    settings = call.context.settings
    patience = read_patience(
        prefer or (), default_s=settings.default_wait_s, longest_s=settings.max_wait_s
    )
    submitted = await submit(call, idempotency_key)
    job = await wait_for_end(
        submitted.job,
        patience.wait_s,
        owner=call.owner,
        store=call.context.store,
        feed=call.context.feed,
        waits=call.context.waits,
    )
    return _answer(call, job, patience.headers)


def _answer(call: Call, job: Job, headers: dict[str, str]) -> Response:
    if not job.state.is_final:
        return json_answer(job_document(job), 202, headers | {"Location": job_path(job.id)})
    if job.state is JobState.FAILED:
        detail = "the job failed" if job.failure is None else job.failure.detail
        return Problem(
            failure_code(job), detail, headers=headers, instance=job_path(job.id)
        ).response()
    return json_answer(job_document(job), 200, headers)
