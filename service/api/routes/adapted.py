"""`/v1/adapted`: the checkpoints that a caller's jobs have adapted to a puzzle, and are kept."""

from typing import Annotated

from fastapi import APIRouter, Path
from starlette.responses import Response

from service.api.answers import described_headers, model_answer, problems, response_doc
from service.api.context import Known
from service.api.examples import ADAPTED
from service.wire.checkpoint import Adapted, AdaptedList
from service.wire.errors import AdaptedNotFound

router = APIRouter(tags=["adapted"])

AdaptedID = Annotated[
    str, Path(description="An adapted checkpoint's id.", examples=[ADAPTED["id"]])
]


@router.get(
    "/v1/adapted",
    operation_id="list_adapted",
    summary="List the adapted checkpoints kept",
    response_class=Response,
    responses={
        200: response_doc(AdaptedList, "Yours, the newest made first."),
        **problems("queue_unavailable"),
    },
)
async def list_adapted(call: Known) -> Response:
    """List what your jobs have made and workers keep for your next job of the same puzzle."""
    records = await call.context.store.served.adapted(call.owner)
    return model_answer(
        AdaptedList(adapted=tuple(record.document() for record in records), total=len(records))
    )


@router.get(
    "/v1/adapted/{adapted_id}",
    operation_id="get_adapted",
    summary="Look an adapted checkpoint up",
    response_class=Response,
    responses={
        200: response_doc(Adapted, "The adapted checkpoint."),
        **problems("adapted_not_found", "not_found", "queue_unavailable"),
    },
)
async def get_adapted(call: Known, adapted_id: AdaptedID) -> Response:
    """Return of which checkpoint and puzzle it is, and how it was made."""
    for record in await call.context.store.served.adapted(call.owner):
        if record.id == adapted_id:
            return model_answer(record.document())
    raise AdaptedNotFound(adapted_id)


@router.delete(
    "/v1/adapted/{adapted_id}",
    operation_id="remove_adapted",
    summary="Remove an adapted checkpoint",
    status_code=204,
    response_class=Response,
    responses={
        204: {
            "description": "It is listed no more, and its files are gone in a moment.",
            "headers": described_headers(),
        },
        **problems("adapted_not_found", "not_found", "queue_unavailable"),
    },
)
async def remove_adapted(call: Known, adapted_id: AdaptedID) -> Response:
    """Remove one of yours; the next job of its puzzle makes a new one. Jobs that use it go on."""
    await call.context.store.served.remove_adapted(adapted_id, call.owner)
    return Response(status_code=204)
