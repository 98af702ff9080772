"""Addresses that need no key: the pages, `/health` for probes and `/metrics` for Prometheus."""

import base64
import hashlib
import re
from pathlib import Path
from typing import Final, Literal

from fastapi import APIRouter
from fastapi.openapi.docs import get_swagger_ui_html
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response
from starlette.staticfiles import StaticFiles

from service.api.context import Opened
from service.api.documents import model_answer
from service.api.fleet import not_ready
from service.api.openapi import answer_doc, answers, problems
from service.wire.errors import QueueUnavailable

_FILES: Final = StaticFiles(directory=Path(__file__).parents[2] / "web", check_dir=False)
# The page loads nothing from elsewhere and connects to nothing else; no text can become a script.
POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
)
# The documentation's own script is allowed by its hash; its library styles elements directly.
DOCS_POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self' 'sha256-{}'",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
# Where the files of the documentation are served.
DOCS_FILES: Final = "/docs-files"
_INLINE_SCRIPT: Final = re.compile(rb"<script>(.*?)</script>", re.DOTALL)
HEADERS: Final = {
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    # Stored, but validated each time: an updated service must not meet old files of the page.
    "Cache-Control": "no-cache",
}

router = APIRouter()


class AliveOut(BaseModel):
    """The process answers."""

    status: Literal["alive"]


class ReadyOut(BaseModel):
    """Jobs sent now will be worked on."""

    status: Literal["ready"]
    workers: int
    checkpoints: list[str]


@router.api_route("/", methods=["GET", "HEAD"], include_in_schema=False)
@router.api_route("/web/{path:path}", methods=["GET", "HEAD"], include_in_schema=False)
async def get_page(request: Request) -> Response:
    """Return the page or one of its files, or 304 where the client has it already."""
    path = request.path_params.get("path", "index.html")
    response = await _FILES.get_response(path, request.scope)
    response.headers.update(HEADERS)
    return response


@router.get("/docs", include_in_schema=False)
async def get_docs(request: Request) -> Response:
    """Return the documentation of the API, as a page to try it."""
    root = request.scope.get("root_path", "")
    response = get_swagger_ui_html(
        openapi_url=f"{root}/openapi.json",
        title=request.app.title,
        swagger_js_url=f"{root}{DOCS_FILES}/swagger-ui-bundle.js",
        swagger_css_url=f"{root}{DOCS_FILES}/swagger-ui.css",
        swagger_favicon_url=f"{root}/web/icon.svg",
    )
    (script,) = _INLINE_SCRIPT.findall(bytes(response.body))
    digest = base64.b64encode(hashlib.sha256(script).digest()).decode()
    response.headers.update(HEADERS)
    response.headers["Content-Security-Policy"] = DOCS_POLICY.format(digest)
    return response


@router.get(
    "/health/live",
    summary="Does this process answer?",
    tags=["health"],
    responses=answers(AliveOut, "It does."),
)
async def is_alive() -> Response:
    """Answer. Needs no key."""
    return model_answer(AliveOut(status="alive"))


@router.get(
    "/health/ready",
    summary="Will jobs be worked on?",
    tags=["health"],
    responses=answers(ReadyOut, "They will.", "not_ready", "queue_unavailable"),
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


@router.get(
    "/metrics",
    summary="Counts for Prometheus",
    tags=["metrics"],
    responses={
        200: answer_doc(
            "The text format of Prometheus.",
            content={"text/plain": {"schema": {"type": "string"}}},
        ),
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
