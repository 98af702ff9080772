"""`/health`: does the process answer, and will jobs be worked on? Open to all: it says no more."""

from fastapi import APIRouter
from starlette.responses import Response

from service.api.answers import model_answer, problems, response_doc
from service.api.context import Opened
from service.api.fleet import not_ready
from service.api.schemas import AliveOut, ReadyOut

router = APIRouter(prefix="/health", tags=["health"])


@router.get(
    "/live",
    operation_id="is_alive",
    summary="Does this process answer?",
    response_class=Response,
    responses={200: response_doc(AliveOut, "It does."), **problems()},
)
async def is_alive() -> Response:
    """Answer. Needs no key."""
    return model_answer(AliveOut(status="alive"))


@router.get(
    "/ready",
    operation_id="is_ready",
    summary="Will jobs be worked on?",
    response_class=Response,
    responses={
        200: response_doc(ReadyOut, "They will."),
        **problems("not_ready", "queue_unavailable"),
    },
)
async def is_ready(context: Opened) -> Response:
    """Return whether jobs can be queued and will be worked on. Needs no key.

    Redis takes writes, a worker is ready with a checkpoint, and the lists of the puzzles that ready
    workers' checkpoints know are there.
    """
    await context.store.submissions.check_writable()
    seen = await context.fleet.look(max_age_s=0)
    if context.waits.is_over or not seen.ready_checkpoints:
        raise not_ready()
    await context.store.served.check_published(seen.ready_checkpoints)
    return model_answer(
        ReadyOut(
            status="ready",
            workers=sum(worker.state == "ready" for worker in seen.workers),
            checkpoints=list(seen.checkpoints),
        )
    )
