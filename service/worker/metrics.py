"""The metrics of a worker, for Prometheus."""

import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any
from wsgiref.simple_server import WSGIServer

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    start_http_server,
)

from hrm_core import Engine, Outcome, used_memory
from service.wire.answer import Answer
from service.worker.messages import CODES

PREFIX = "hrm_arc"
STEP_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
WAIT_BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 7200)
SEGMENT_BUCKETS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)
SHARE_BUCKETS = tuple(tenths / 10 for tenths in range(1, 11))
MEMORY_EVERY_S = 1.0
READY_PATH = "/health/ready"
# How a job can end: a result, a request, another worker's result, or the code of a failure.
_ENDS = ("succeeded", "cancelled", "superseded", "deadline_exceeded", *(code for _, code in CODES))


class WorkerMetrics:
    """The metrics of one worker, in a separate registry."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"{PREFIX}_{name}", text, labels, registry=registry)

        def gauge(name: str, text: str) -> Gauge:
            return Gauge(f"{PREFIX}_{name}", text, registry=registry)

        def histogram(name: str, text: str, buckets: Iterable[float]) -> Histogram:
            return Histogram(
                f"{PREFIX}_{name}", text, registry=registry, buckets=tuple(map(float, buckets))
            )

        self.requests_running = gauge("requests_running", "Jobs held by this worker.")
        self.queue_time = histogram(
            "queue_time_seconds", "From submission to this worker's claim.", WAIT_BUCKETS_S
        )
        self.e2e_latency = histogram(
            "e2e_latency_seconds", "From submission to the answer.", WAIT_BUCKETS_S
        )
        self.jobs_ended = counter("jobs_ended_total", "Jobs ended, by end.", "end")
        for end in _ENDS:  # there from the start, or the first increase goes unseen
            self.jobs_ended.labels(end)
        self.jobs_reclaimed = counter(
            "jobs_reclaimed_total", "Jobs taken over after their lease ran out."
        )
        self.jobs_lost = counter("jobs_lost_total", "Jobs lost to another worker with their lease.")
        self.jobs_handed_back = counter(
            "jobs_handed_back_total", "Jobs put back into the queue, unfinished."
        )
        self._steps = counter("engine_steps_total", "Steps of the engines.")
        self._step_s = histogram(
            "engine_step_seconds", "Duration of an engine's step.", STEP_BUCKETS_S
        )
        self._occupancy = gauge(
            "slot_occupancy_ratio", "Share of the slots taken in the last step; 0 when idle."
        )
        self._variants = counter("variants_total", "Variants of test inputs that were answered.")
        self._variant_segments = counter(
            "variant_segments_total", "Segments computed for variants of test inputs."
        )
        self._halting_steps = histogram(
            "halting_steps", "Segments after which a variant halted.", SEGMENT_BUCKETS
        )
        self._vote_share = histogram(
            "vote_share", "Share of the votes that a test input's winner had.", SHARE_BUCKETS
        )
        self.adaptations_waiting = gauge(
            "adaptations_waiting", "Adaptations that jobs wait for, with the one being trained."
        )
        self.adaptation_s = counter("adaptation_seconds_total", "Seconds spent on adaptations.")
        self._memory = gauge("gpu_memory_used_bytes", "Memory taken on the device, if CUDA.")
        self._memory_read_at = 0.0
        self.checkpoints_verified = gauge(
            "checkpoints_verified",
            "Checkpoints served with rows known to belong to their names.",
        )

    def count_step(
        self, step_s: float, num_seated: int, num_slots: int, outcomes: Sequence[Outcome]
    ) -> None:
        """Count a step of an engine in which `num_seated` slots were taken."""
        self._steps.inc()
        self._step_s.observe(step_s)
        self._occupancy.set(num_seated / num_slots)
        self._variant_segments.inc(num_seated)
        self._variants.inc(len(outcomes))
        for outcome in outcomes:
            self._halting_steps.observe(outcome.steps)

    def count_idle(self) -> None:
        """Record that no engine has work."""
        self._occupancy.set(0)

    def read_memory(self, engines: Sequence[Engine]) -> None:
        """Read the memory taken on the device of the engines, at most once a second."""
        now = time.monotonic()
        if now - self._memory_read_at >= MEMORY_EVERY_S:
            self._memory_read_at = now
            for engine in engines[:1]:  # all are on one device
                used = used_memory(engine.device)
                if used is not None:
                    self._memory.set(used)

    def count_answer(self, answer: Answer) -> None:
        """Count the votes of an answer."""
        for test in answer.tests:
            if test.candidates:
                self._vote_share.observe(test.candidates[0].share)

    def serve(self, host: str, port: int, is_ready: Callable[[], bool]) -> WSGIServer:
        """Serve the metrics, and whether the worker is ready, over HTTP in a thread.

        Port 0 takes any free one.

        Raises: OSError when the port is taken.
        """
        server, _ = start_http_server(port, addr=host, registry=self.registry)
        metrics: Any = server.get_app()

        def answer(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
            if environ["PATH_INFO"] != READY_PATH:
                found: Iterable[bytes] = metrics(environ, start_response)
                return found
            status = "200 OK" if is_ready() else "503 Service Unavailable"
            start_response(status, [("Content-Type", "text/plain; charset=utf-8")])
            return [status.encode()]

        server.set_app(answer)
        return server
