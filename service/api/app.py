"""The app: routes, errors and what is opened at its start, put together."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache, partial
from typing import Final

import structlog
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from fastapi_offline import FastAPIOffline
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from augment import AugmentError
from service.api import openapi
from service.api.context import Context, Waits
from service.api.fleet import Fleet
from service.api.observing import GONE, QUIET, APIMetrics, KnownHosts, Observed
from service.api.problems import Problem, problem_of, problem_of_status
from service.api.routes import batches, checkpoints, events, jobs, keyless, solve
from service.jobs import BatchStore, EventFeed, JobStore
from service.runtime.settings import Settings
from service.runtime.tracing import open_tracer
from service.wire.errors import QueueUnavailable, ServiceError
from service.wire.problem import Fault

_ROUTERS: Final = tuple(
    module.router for module in (solve, jobs, events, batches, checkpoints, keyless)
)


def create_app(settings: Settings) -> FastAPI:
    """Make the app.

    Raises: SettingsError when nothing says where the queue is, or packages for tracing are missing.
    """
    queue_url, keys, counts = settings.queue_url, settings.key_ring, APIMetrics()
    tracer = open_tracer(settings, "api")

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        store = JobStore.connect(
            queue_url,
            max_queued=settings.max_queued,
            result_ttl_s=settings.result_ttl_s,
            idempotency_ttl_s=settings.idempotency_ttl_s,
            strict_durability=settings.strict_durability,
        )
        feed, waits = EventFeed(store.redis), Waits()
        await feed.start()
        app.state.context = Context(
            settings=settings,
            keys=keys,
            store=store,
            batches=BatchStore(store),
            feed=feed,
            fleet=Fleet(store, settings.default_checkpoint),
            metrics=counts,
            waits=waits,
            tracer=tracer,
        )
        try:
            yield
        finally:
            waits.end()
            await feed.stop()
            await store.close()
            await asyncio.to_thread(tracer.close)

    # It brings the files of the documentation: hosts with GPUs often have no way out.
    app = FastAPIOffline(
        title=openapi.TITLE,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        static_url=keyless.DOCS_FILES,
        default_response_class=Response,
        generate_unique_id_function=lambda route: route.name,
        **tracer.app_options(QUIET),
    )
    for router in _ROUTERS:
        app.include_router(router)
    for raised in (ServiceError, AugmentError):
        app.add_exception_handler(raised, _answer_error)
    app.add_exception_handler(RequestValidationError, _answer_validation_error)
    app.add_exception_handler(HTTPException, _answer_status)
    app.add_exception_handler(ClientDisconnect, _answer_nobody)
    if not keys.keys:
        app.add_middleware(KnownHosts, settings=settings)
    app.add_middleware(Observed, metrics=counts)
    documented = cache(partial(openapi.describe, app.routes, needs_key=bool(keys.keys)))
    app.openapi = documented  # type: ignore[method-assign]  # as the framework's manual has it
    return app


async def _answer_error(_request: Request, error: Exception) -> Response:
    problem = problem_of(error)
    log = structlog.get_logger(__name__)
    if problem.code == "internal":
        log.error("request failed", exc_info=error)
    elif isinstance(error, QueueUnavailable):
        log.warning("queue unavailable", reason=str(error))
    return problem.response()


async def _answer_validation_error(_request: Request, error: Exception) -> Response:
    """Return which parameters are wrong: bodies are checked elsewhere."""
    found = error.errors() if isinstance(error, RequestValidationError) else ()
    faults = tuple(Fault(str(entry["msg"]), parameter=str(entry["loc"][1])[:80]) for entry in found)
    detail = "; ".join(f"{fault.parameter}: {fault.detail}" for fault in faults[:3])
    return Problem("invalid_request", detail, faults).response()


async def _answer_status(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    return problem_of_status(status, _allowed(request.scope["path"])).response()


async def _answer_nobody(_request: Request, _error: Exception) -> Response:
    return Response(status_code=GONE)


def _allowed(path: str) -> str:
    """Name the methods of an address; the framework knows those of one route only."""
    routes = [route for router in _ROUTERS for route in router.routes]
    found = [one for one in routes if isinstance(one, APIRoute) and one.path_regex.match(path)]
    return ", ".join(sorted({method for route in found for method in route.methods or ()}))
