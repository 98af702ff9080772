"""Spans that OpenTelemetry records and sends to a collector, by OTLP over HTTP.

Attributes of ours begin with `hrm_arc.`. The SDK's own variables (OTEL_TRACES_SAMPLER,
OTEL_EXPORTER_OTLP_HEADERS, OTEL_BSP_…, OTEL_RESOURCE_ATTRIBUTES) have effect.
"""

import os
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from threading import Thread
from typing import Any, Final

from opentelemetry import context, trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from service.runtime.tracing import Kind, Span, Tracer, Value

FLUSH_S: Final = 2.0
_PROPAGATOR: Final = TraceContextTextMapPropagator()


class RecordedSpan(Span):
    """A span of OpenTelemetry."""

    __slots__ = ("span",)

    def __init__(self, span: trace.Span) -> None:
        self.span = span

    @property
    def traceparent(self) -> str:
        """What work elsewhere needs to go on with the trace."""
        carrier: dict[str, str] = {}
        _PROPAGATOR.inject(carrier, trace.set_span_in_context(self.span, context.Context()))
        return carrier.get("traceparent", "")

    def note(self, **attributes: Value | None) -> None:
        """Set attributes; None leaves one out."""
        self.span.set_attributes(_named(attributes))

    def fail(self, code: str) -> None:
        """Mark the work as failed, with the code of the problem."""
        # FastAPI sets error.type to the status of an answer.
        self.span.set_attributes({"error.type": code, "hrm_arc.code": code})
        self.span.set_status(trace.StatusCode.ERROR, code)

    def end(self, *, ago_s: float = 0.0) -> None:
        """End the work, which took until `ago_s` seconds ago."""
        self.span.end(_time_ns(ago_s))


class OpenTelemetryTracer(Tracer):
    """Records spans of one part of the service, and hands them to a processor."""

    def __init__(self, processor: SpanProcessor, part: str) -> None:
        about = {
            "service.name": os.environ.get("OTEL_SERVICE_NAME") or f"hrm-arc-{part}",
            "service.instance.id": f"{socket.gethostname()}-{os.getpid()}",
        }
        # Closed by `close`: at exit the SDK itself would wait for a collector that is away.
        self._provider = TracerProvider(resource=Resource.create(about), shutdown_on_exit=False)
        self._provider.add_span_processor(processor)
        self._tracer = self._provider.get_tracer("hrm-arc")

    def begin(
        self,
        name: str,
        parent: Span | str = "",
        *,
        attributes: Mapping[str, Value | None] | None = None,
        kind: Kind = "internal",
        ago_s: float = 0.0,
    ) -> Span:
        """Begin a span, as of `ago_s` seconds ago; its parent is a span or a traceparent."""
        above = context.Context()
        if isinstance(parent, RecordedSpan):
            above = trace.set_span_in_context(parent.span, above)
        elif isinstance(parent, str) and parent:
            above = _PROPAGATOR.extract({"traceparent": parent}, above)
        return RecordedSpan(
            self._tracer.start_span(
                name,
                above,
                kind=trace.SpanKind[kind.upper()],
                attributes=_named(attributes or {}),
                start_time=_time_ns(ago_s),
            )
        )

    @contextmanager
    def inside(self, name: str, *, kind: Kind = "internal") -> Iterator[Span]:
        """Record what is done inside as a part of the request; an error fails it."""
        # Not the error itself: its message may describe a puzzle.
        with self._tracer.start_as_current_span(
            name,
            kind=trace.SpanKind[kind.upper()],
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            recorded = RecordedSpan(span)
            try:
                yield recorded
            except Exception as error:
                recorded.fail(str(getattr(error, "code", type(error).__name__)))
                raise

    @property
    def current(self) -> Span:
        """The innermost span that this task is inside of."""
        return RecordedSpan(trace.get_current_span())

    def app_options(self, quiet: tuple[str, ...]) -> dict[str, Any]:
        """Return options of a FastAPI app that records its requests, but for some paths.

        FastAPI names spans by routes, and goes on with the traces of callers.
        """
        telemetry = {
            "tracer_provider": self._provider,
            "exclude": lambda scope: scope["path"].startswith(quiet),
            # Its logs hold messages of errors, which may describe a puzzle.
            **dict.fromkeys(("metrics", "logs", "operation_spans", "auto_configure"), False),
        }
        return {"telemetry": telemetry}

    def close(self) -> None:
        """Export what is left, for two seconds at the most."""
        # In a thread, since an exporter may wait much longer for its collector.
        closing = Thread(target=self._provider.shutdown, name="otel-close", daemon=True)
        closing.start()
        closing.join(FLUSH_S)


def export_to(endpoint: str, part: str) -> OpenTelemetryTracer:
    """Return a tracer that sends spans in batches to a collector, from a thread of its own.

    Its queue is bounded: while the collector is away, spans are dropped, and errors are logged.
    """
    exporter = OTLPSpanExporter(f"{endpoint.rstrip('/')}/v1/traces")
    return OpenTelemetryTracer(BatchSpanProcessor(exporter), part)


def _named(attributes: Mapping[str, Value | None]) -> dict[str, Value]:
    return {f"hrm_arc.{name}": value for name, value in attributes.items() if value is not None}


def _time_ns(ago_s: float) -> int:
    return time.time_ns() - int(ago_s * 1e9)
