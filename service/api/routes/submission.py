"""What `solve` and `jobs` share: from a body to a queued job."""

from typing import Annotated, Any, Final

from fastapi import Header

from service.api.admission import admit
from service.api.bodies import parse_task_body
from service.api.body import JSON_TYPE, read_json_body
from service.api.context import Call
from service.api.examples import TASK, TASK_TO_ADAPT_TO, TASK_WITH_OPTIONS
from service.jobs import Submitted

# Printable ASCII, as every header can carry.
IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        pattern=r"^[!-~]{1,255}$",
        description="The same key and body give the same job, however often they are sent.",
    ),
]

# The body is read by hand, with a limit, so the framework does not know of it.
BODY: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "description": "An ARC task file as it is; `name` and `options` may be added.",
        "content": {
            JSON_TYPE: {
                "schema": {"$ref": "#/components/schemas/TaskBody"},
                "examples": {
                    "a task file as it is": {"value": TASK},
                    "with options": {"value": TASK_WITH_OPTIONS},
                    "a puzzle that nobody trained on": {"value": TASK_TO_ADAPT_TO},
                },
            }
        },
    }
}
PROBLEMS: Final = (
    *("invalid_json", "unknown_checkpoint", "unknown_puzzle", "body_too_large", "request_timeout"),
    *("unsupported_media_type", "invalid_request", "canvas_exceeded", "idempotency_conflict"),
    *("queue_full", "queue_share_exceeded", "not_ready", "queue_unavailable", "not_durable"),
)


async def submit(call: Call, idempotency_key: str | None) -> Submitted:
    """Read a request's body and queue it as a job.

    Raises: Refused for a body that is no task, or a task that cannot be answered; QueueFull,
    IdempotencyConflict, QueueUnavailable, PuzzlesUnpublished.
    """
    context = call.context
    body = await read_json_body(call.request, context.settings.max_body_bytes)
    task, options = parse_task_body(body)
    new = await admit(
        task,
        options,
        owner=call.owner,
        idempotency_key=idempotency_key,
        share=context.share,
        fleet=context.fleet,
        settings=context.settings,
    )
    submitted = await context.store.submit(new)
    call.name_job(submitted.job.id)
    if submitted.is_new:
        context.metrics.count_submitted(submitted.job.priority)
    return submitted
