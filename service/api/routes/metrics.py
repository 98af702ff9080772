"""`GET /metrics`: counts for Prometheus. Open to all, as scrapers expect: it names nobody."""

from fastapi import APIRouter
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.responses import Response

from service.api.answers import described_headers, problems
from service.api.context import Opened
from service.wire.errors import QueueUnavailable

router = APIRouter(tags=["metrics"])


@router.get(
    "/metrics",
    operation_id="get_metrics",
    summary="Counts for Prometheus",
    response_class=Response,
    responses={
        200: {
            "description": "The text format of Prometheus.",
            "headers": described_headers(),
            "content": {"text/plain": {"schema": {"type": "string"}}},
        },
        **problems(),
    },
)
async def get_metrics(context: Opened) -> Response:
    """Return request counts and latencies, and the depth and age of the queue. Needs no key."""
    metrics = context.metrics
    try:
        depth, seen = await context.store.depth(), await context.fleet.look()
    except QueueUnavailable:
        metrics.tell_queue_is_away()
    else:
        metrics.tell_queue(depth, seen.workers)
    return Response(metrics.exposition(), headers={"Content-Type": CONTENT_TYPE_LATEST})
