"""What happens around every request: an id, a line in the log, a count, and a net for faults."""

import re
import secrets
import time
from typing import Any, Final

import structlog
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.api.metrics import APIMetrics
from service.api.problems import internal_problem

UNMATCHED: Final = "unmatched"
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"})
_GIVEN_ID: Final = re.compile(r"[A-Za-z0-9._:-]{1,128}")
_MAX_SHOWN_PATH: Final = 200
_QUIET: Final = ("/health", "/metrics", "/web/")
# The status that logs and counts show for a request that lost its sender before the answer.
_GONE: Final = 499


class Observed:
    """Wraps the app: X-Request-ID in and out, metrics, access log; an unexpected error is a 500.

    Handlers put the fields of the log line (`job_id`, `owner`) into the request's state.
    """

    def __init__(self, app: ASGIApp, metrics: APIMetrics) -> None:
        self._app, self._metrics = app, metrics
        self._log = structlog.get_logger(__name__)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        state: dict[str, Any] = scope.setdefault("state", {})
        state["request_id"] = request_id = _request_id(scope)
        started = time.perf_counter()
        status, head_s = _GONE, 0.0

        async def send_marked(message: Message) -> None:
            nonlocal status, head_s
            if message["type"] == "http.response.start":
                status, head_s = message["status"], time.perf_counter() - started
                message["headers"] = [
                    *message.get("headers", ()),
                    (b"x-request-id", request_id.encode()),
                ]
            await send(message)

        with structlog.contextvars.bound_contextvars(request_id=request_id):
            self._metrics.in_progress.inc()
            try:
                await self._app(scope, receive, send_marked)
            except Exception:
                self._log.exception("request failed", **_about(scope))
                if status != _GONE:
                    raise  # too late for an answer: the server cuts the connection
                await internal_problem().response()(scope, receive, send_marked)
            finally:
                self._metrics.in_progress.dec()
                seconds = time.perf_counter() - started
                method = scope["method"] if scope["method"] in _METHODS else "other"
                route = _route(scope)
                self._metrics.observe(method, route, status, head_s or seconds)
                # Probes and scrapes come by the second, the page's files by the dozen: nothing new.
                is_quiet = status < 400 and route.startswith(_QUIET)
                self._log.log(
                    10 if is_quiet else 20,
                    "request",
                    **_about(scope),
                    status=status,
                    duration_s=round(seconds, 6),
                )


def _request_id(scope: Scope) -> str:
    given = Headers(scope=scope).get("x-request-id", "")
    return given if _GIVEN_ID.fullmatch(given) else secrets.token_hex(16)


def _route(scope: Scope) -> str:
    return str(getattr(scope.get("route"), "path", UNMATCHED))


def _about(scope: Scope) -> dict[str, Any]:
    # The path as sent, percent-encoded: a decoded one may hold line ends and escape sequences.
    path = scope.get("raw_path") or scope["path"].encode("ascii", "backslashreplace")
    about = {
        "method": scope["method"][:16],
        "path": path.decode("ascii", "backslashreplace")[:_MAX_SHOWN_PATH],
    }
    state = scope.get("state", {})
    return about | {name: state[name] for name in ("job_id", "owner") if name in state}
