"""`POST /v1/solve`: a puzzle in, its answer out, for as long as the caller waits."""

import contextlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Header
from pydantic import WithJsonSchema
from starlette.responses import Response

from service.api.context import Call, Known
from service.api.documents import job_document, job_path, json_answer
from service.api.openapi import answer_doc, problems
from service.api.problems import Problem
from service.api.routes.jobs import BODY, PROBLEMS, IdempotencyKey, submit
from service.jobs import Job, JobState
from service.wire.errors import QueueUnavailable
from service.wire.job import Job as JobDocument

# What a job can have failed with, each of them a problem of its own.
FAILURES = (
    *("unknown_puzzle", "unknown_checkpoint", "canvas_exceeded", "unsolvable"),
    *("deadline_exceeded", "attempts_exhausted", "engine_failed"),
)
# A preference of `Prefer` (RFC 7240): name [= token or quoted text], then parameters, which none of
# ours has. What is none is passed over up to the next comma.
_PREFERENCE = re.compile(
    r"\s*(?P<name>[!#$%&'*+.^_`|~0-9A-Za-z-]+)"
    r"(?:\s*=\s*(?:\"(?P<quoted>[^\"\\]*)\"|(?P<token>[!#$%&'*+.^_`|~0-9A-Za-z-]*)))?"
    r"\s*(?:;[^,]*)?(?:,|$)"
    r"|[^,]*(?:,|$)"
)
_WHOLE_SECONDS = re.compile(r"[0-9]{1,9}")

router = APIRouter(tags=["solve"])


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait for an answer; `applied` names the preferences that were honoured.

    Units: wait_s in seconds.
    """

    wait_s: float
    applied: str | None

    @property
    def headers(self) -> dict[str, str]:
        """The header that says what was honoured."""
        return {} if self.applied is None else {"Preference-Applied": self.applied}


@router.post(
    "/v1/solve",
    summary="Solve a puzzle and wait for the answer",
    responses={
        200: answer_doc(
            "The job has ended: solved, or cancelled by somebody.",
            "Preference-Applied",
            model=JobDocument,
        ),
        202: answer_doc(
            "It takes longer. The job goes on; its address shows how it ends.",
            *("Location", "Preference-Applied"),
            model=JobDocument,
        ),
        **problems(*PROBLEMS, *FAILURES),
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
        ),
        # On the wire any text is a value; several headers come here as a list.
        WithJsonSchema({"type": "string", "examples": ["wait=30"]}),
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
    job = await _wait_for_end(call, submitted.job, patience.wait_s)
    headers, path = patience.headers, job_path(job.id)
    if not job.state.is_final:
        return json_answer(job_document(job), 202, headers | {"Location": path})
    if job.state is JobState.FAILED:
        code, detail = "engine_failed", "the job failed"
        if job.failure is not None:  # a code that is not known here counts as a fault
            code = job.failure.code if job.failure.code in FAILURES else code
            detail = job.failure.detail
        call.context.tracer.current.fail(code)
        return Problem(code, detail, headers=headers, instance=path).response()
    return json_answer(job_document(job), 200, headers)


def read_patience(values: Iterable[str], *, default_s: float, longest_s: float) -> Patience:
    """Read `wait=N` and `respond-async` out of `Prefer` headers; the rest is not for us.

    Of a preference given twice the first counts, and what cannot be read is passed over: a
    preference is a wish, never a reason to refuse.

    Units: default_s and longest_s in seconds; more than the longest is cut to it.
    """
    wishes: dict[str, str] = {}
    for found in _PREFERENCE.finditer(",".join(values)):
        if found["name"]:
            wishes.setdefault(found["name"].lower(), found["quoted"] or found["token"] or "")
    wait = wishes.get("wait", "")
    is_async = "respond-async" in wishes
    if not _WHOLE_SECONDS.fullmatch(wait):
        return Patience(0.0, "respond-async") if is_async else Patience(default_s, None)
    wait_s = min(int(wait), longest_s)
    applied = f"wait={wait_s:g}"
    return Patience(wait_s, f"respond-async, {applied}" if is_async else applied)


async def _wait_for_end(call: Call, job: Job, seconds: float) -> Job:
    """Wait for a job to end and read it; after the time given, read it as it then stands.

    While Redis cannot be used, that is as it was last read: the job is queued and goes on.

    Raises: JobNotFound.
    """
    if job.state.is_final or seconds <= 0:
        return job
    context = call.context
    try:
        async with context.feed.subscribe(job.id) as events:
            # It may have ended before anybody listened.
            if not await context.store.has_ended(job.id):
                with contextlib.suppress(TimeoutError):
                    async with context.waits.at_most(seconds):
                        while not (await events.get()).is_last:
                            pass
        return await context.store.get(job.id, call.owner)
    except QueueUnavailable:
        return job
