"""What the API counts, and what is around every request: an id, a log line, a check of `Host`."""

import asyncio
import re
import secrets
import time
from functools import partial
from typing import Any, Final

import structlog
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.api.problems import RETRY_SOON, Problem, internal_problem
from service.jobs import Depth, WorkerRecord
from service.runtime.settings import PREFIX, Settings, parse_address
from service.wire.options import PRIORITIES, Priority

UNMATCHED: Final = "unmatched"
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"})
_READING: Final = frozenset({"GET", "HEAD", "OPTIONS"})
# What browsers send with the requests of other origins' pages.
_FOREIGN: Final = frozenset({"cross-site", "same-site"})
_GIVEN_ID: Final = re.compile(r"[A-Za-z0-9._:-]{1,128}")
_MAX_SHOWN_PATH: Final = 200
_HOST: Final = re.compile(r"(?:\[(?P<address>[^\]]+)\]|(?P<name>[^:]+))(?::[0-9]*)?")
QUIET: Final = ("/health", "/metrics", "/web/")
# nginx's number for a request that lost its sender before the answer, for logs and counts.
GONE: Final = 499
# From a look-up to the longest wait of a solve.
_LATENCY_BUCKETS: Final = (
    *(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5),
    *(1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0),
)
_WORKER_STATES: Final = ("starting", "ready", "stalled", "draining")


class APIMetrics:
    """Counts of requests and jobs, and the queue's depth as it was at the scrape."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=registry)
        counter, gauge = partial(Counter, registry=registry), partial(Gauge, registry=registry)
        per_request = ("method", "route", "status")
        self._requests = counter("hrm_arc_http_requests", "HTTP requests answered.", per_request)
        self._latency = Histogram(
            "hrm_arc_http_request_duration_seconds",
            "Seconds from a request to the head of its answer.",
            per_request,
            buckets=_LATENCY_BUCKETS,
            registry=registry,
        )
        self.in_progress = gauge(
            "hrm_arc_http_requests_in_progress", "HTTP requests not yet answered in full."
        )
        self.event_streams = gauge("hrm_arc_event_streams", "Streams of events being sent.")
        self._submitted = counter(
            "hrm_arc_jobs_submitted", "Jobs queued by this process.", ("priority",)
        )
        self._queue_up = gauge("hrm_arc_queue_up", "1 if Redis answered at this scrape.")
        self._waiting = gauge("hrm_arc_requests_waiting", "Jobs queued.", ("priority",))
        self._oldest = gauge(
            "hrm_arc_oldest_waiting_seconds",
            "Seconds that the job at the head of the queue has waited.",
            ("priority",),
        )
        self._running = gauge("hrm_arc_requests_running", "Jobs that workers hold.")
        self._dead = gauge(
            "hrm_arc_jobs_dead", "Jobs that used up their attempts and were not queued again."
        )
        self._workers = gauge("hrm_arc_workers", "Workers seen of late.", ("state",))
        for priority in PRIORITIES:  # there from the start, or the first increase goes unseen
            self._submitted.labels(priority)

    def count_submitted(self, priority: Priority, num_jobs: int = 1) -> None:
        """Count jobs that were queued."""
        self._submitted.labels(priority).inc(num_jobs)

    def observe(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count an answered request and how long its answer took.

        Units: seconds from the request to the head of the answer.
        """
        self._requests.labels(method, route, status).inc()
        self._latency.labels(method, route, status).observe(seconds)

    def tell_queue(self, depth: Depth, workers: tuple[WorkerRecord, ...]) -> None:
        """Set what was just read from the queue."""
        self._queue_up.set(1)
        self._running.set(depth.running)
        self._dead.set(depth.dead)
        for priority in PRIORITIES:
            self._waiting.labels(priority).set(depth.waiting.get(priority, 0))
            self._oldest.labels(priority).set(depth.oldest_waiting_s.get(priority, 0.0))
        for state in _WORKER_STATES:
            self._workers.labels(state).set(sum(worker.state == state for worker in workers))

    def tell_queue_is_away(self) -> None:
        """Leave out what cannot be read: an old number would pass for a new one."""
        self._queue_up.set(0)
        self._running.set(float("nan"))
        self._dead.set(float("nan"))
        for gauge in (self._waiting, self._oldest, self._workers):
            gauge.clear()

    def exposition(self) -> bytes:
        """Write all of it in the text format."""
        return generate_latest(self._registry)


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
        status, head_s = GONE, 0.0

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
            except asyncio.CancelledError:  # by a stop of the service, once the grace time is over
                if status != GONE:
                    raise
                await _stopping_problem().response()(scope, receive, send_marked)
            except Exception:
                self._log.exception("request failed", **_about(scope))
                if status != GONE:
                    raise  # too late for an answer: the server cuts the connection
                await internal_problem().response()(scope, receive, send_marked)
            finally:
                self._metrics.in_progress.dec()
                seconds = time.perf_counter() - started
                method = scope["method"] if scope["method"] in _METHODS else "other"
                route = str(getattr(scope.get("route"), "path", UNMATCHED))
                self._metrics.observe(method, route, status, head_s or seconds)
                # Probes and scrapes come by the second, the page's files by the dozen: nothing new.
                # While a worker starts, a probe's 503 is none either.
                is_fine = status < 400 or route == "/health/ready"
                is_quiet = is_fine and route.startswith(QUIET)
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


def _about(scope: Scope) -> dict[str, Any]:
    # The path as sent, percent-encoded: a decoded one may hold line ends and escape sequences.
    path = scope.get("raw_path") or scope["path"].encode("ascii", "backslashreplace")
    about = {
        "method": scope["method"][:16],
        "path": path.decode("ascii", "backslashreplace")[:_MAX_SHOWN_PATH],
    }
    state = scope.get("state", {})
    return about | {name: state[name] for name in ("job_id", "owner") if name in state}


class KnownHosts:
    """Wraps the app and refuses requests with a `Host` that is none of the service's names.

    A foreign web page may let its own name lead to this machine (DNS rebinding), and is then of the
    same origin as the service: only the name in `Host` gives it away. Under its own name it cannot
    read answers, and what browsers say of where a request comes from shows that it would change
    something.
    """

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        names = ("localhost", settings.host, *settings.allowed_hosts)
        self._names = frozenset(_normalised(name) for name in names)
        # A service that listens on all addresses has any of them. One that is written out as an
        # address comes from no DNS.
        listens_on = parse_address(settings.host)
        self._takes_addresses = listens_on is not None and listens_on.is_unspecified

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] == "http":
            headers = Headers(scope=scope)
            refusal = None
            if not self._knows(host := headers.get("host", "")):
                refusal = _unknown_host(host)
            elif scope["method"] not in _READING and headers.get("sec-fetch-site") in _FOREIGN:
                refusal = Problem(
                    "cross_site", "a page of another site sent this: call it yourself"
                )
            if refusal is not None:
                await refusal.response()(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _knows(self, header: str) -> bool:
        found = _HOST.fullmatch(header)
        if found is None:
            return False
        host = found["address"] or found["name"]
        address = parse_address(host)
        if address is not None and (address.is_loopback or self._takes_addresses):
            return True
        return _normalised(host) in self._names


def _normalised(host: str) -> str:
    address = parse_address(host)
    return host.lower() if address is None else str(address)


def _stopping_problem() -> Problem:
    return Problem(
        "not_ready",
        "the service stops, and the request did not arrive in time: try again in a moment",
        headers=RETRY_SOON,
    )


def _unknown_host(host: str) -> Problem:
    return Problem(
        "unknown_host",
        f"Host says {host[:80]!r}, which is none of the names of this service: call it by its "
        f"address, or add the name to {PREFIX}ALLOWED_HOSTS",
    )
