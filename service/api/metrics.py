"""What the API counts, in a registry of its own app."""

from typing import Final

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

from service.jobs import Depth, WorkerRecord
from service.wire.options import PRIORITIES, Priority

# From a look-up to the longest wait of a solve.
_LATENCY_BUCKETS: Final = (
    *(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5),
    *(1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0),
)
_WORKER_STATES: Final = ("starting", "ready", "stalled", "draining")


class APIMetrics:
    """Counts of requests and jobs, and the queue's depth as it was at the scrape."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=self.registry)
        per_request = ("method", "route", "status")
        self.requests = Counter(
            "hrm_arc_http_requests",
            "HTTP requests answered.",
            per_request,
            registry=self.registry,
        )
        self.latency = Histogram(
            "hrm_arc_http_request_duration_seconds",
            "Seconds from a request to the head of its answer.",
            per_request,
            buckets=_LATENCY_BUCKETS,
            registry=self.registry,
        )
        self.in_progress = Gauge(
            "hrm_arc_http_requests_in_progress",
            "HTTP requests not yet answered in full.",
            registry=self.registry,
        )
        self.event_streams = Gauge(
            "hrm_arc_event_streams", "Streams of events being sent.", registry=self.registry
        )
        self.jobs_submitted = Counter(
            "hrm_arc_jobs_submitted",
            "Jobs queued by this process.",
            ("priority",),
            registry=self.registry,
        )
        self._queue_up = Gauge(
            "hrm_arc_queue_up", "1 if Redis answered at this scrape.", registry=self.registry
        )
        self._waiting = Gauge(
            "hrm_arc_requests_waiting", "Jobs queued.", ("priority",), registry=self.registry
        )
        self._oldest = Gauge(
            "hrm_arc_oldest_waiting_seconds",
            "Seconds that the job at the head of the queue has waited.",
            ("priority",),
            registry=self.registry,
        )
        self._running = Gauge(
            "hrm_arc_requests_running", "Jobs that workers hold.", registry=self.registry
        )
        self._dead = Gauge(
            "hrm_arc_jobs_dead",
            "Jobs that used up their attempts and were not queued again.",
            registry=self.registry,
        )
        self._workers = Gauge(
            "hrm_arc_workers", "Workers seen of late.", ("state",), registry=self.registry
        )
        for priority in PRIORITIES:  # there from the start, or the first increase goes unseen
            self.jobs_submitted.labels(priority)

    def count_submitted(self, priority: Priority) -> None:
        """Count a job that was queued."""
        self.jobs_submitted.labels(priority).inc()

    def observe(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count an answered request and how long its answer took.

        Units: seconds from the request to the head of the answer.
        """
        self.requests.labels(method, route, status).inc()
        self.latency.labels(method, route, status).observe(seconds)

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
        return generate_latest(self.registry)
