"""Spans as tests see them: recorded in memory, or received by a collector on loopback."""

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from service.runtime.otel import OpenTelemetryTracer

# A trace that a caller has begun.
TRACE_ID, SPAN_ID = "a" * 32, "b" * 16
TRACEPARENT = f"00-{TRACE_ID}-{SPAN_ID}-01"


@dataclass(frozen=True, slots=True)
class Recorded:
    """A span that has ended; ids in hexadecimal digits."""

    name: str
    trace_id: str
    id: str
    parent_id: str
    start_ns: int
    end_ns: int
    is_error: bool
    part: str = field(compare=False)
    attributes: dict[str, Any] = field(compare=False)

    def __getitem__(self, name: str) -> Any:
        """Return one of our attributes, None where it is not set."""
        return self.attributes.get(f"hrm_arc.{name}")


class Spans(list[Recorded]):
    """Spans that have ended."""

    def named(self, name: str, **attributes: Any) -> Recorded:
        """Return the only span of a name with these attributes."""
        found = [
            one
            for one in self
            if one.name == name and all(one[key] == value for key, value in attributes.items())
        ]
        assert len(found) == 1, (name, attributes, [(one.name, one.attributes) for one in self])
        return found[0]

    def of_trace(self, trace_id: str) -> "Spans":
        return Spans(one for one in self if one.trace_id == trace_id)

    def under(self, parent: Recorded) -> list[str]:
        """Return the names of the spans below one, in the order in which they began."""
        below = [one for one in self if one.parent_id == parent.id]
        assert all(one.trace_id == parent.trace_id for one in below)
        return [one.name for one in sorted(below, key=lambda one: one.start_ns)]


class RecordingTracer(OpenTelemetryTracer):
    """A tracer that keeps in memory what it records."""

    def __init__(self, part: str = "test") -> None:
        self._exporter = InMemorySpanExporter()
        super().__init__(SimpleSpanProcessor(self._exporter), part)

    @property
    def spans(self) -> Spans:
        return Spans(
            Recorded(
                name=span.name,
                trace_id=f"{span.context.trace_id:032x}",
                id=f"{span.context.span_id:016x}",
                parent_id=f"{span.parent.span_id:016x}" if span.parent else "",
                start_ns=span.start_time or 0,
                end_ns=span.end_time or 0,
                is_error=not (span.status.is_ok or span.status.is_unset),
                part=str(span.resource.attributes["service.name"]),
                attributes=dict(span.attributes or {}),
            )
            for span in self._exporter.get_finished_spans()
        )


class Collector:
    """An OTLP collector on loopback, which keeps the spans that it receives."""

    def __init__(self) -> None:
        self._spans = Spans()
        self.raw = b""
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.path != "/v1/traces":
                    self.send_error(404)
                    return
                collector.raw += body
                collector._spans += read_request(body)
                reply = ExportTraceServiceResponse().SerializeToString()
                self.send_response(200)
                self.send_header("Content-Type", "application/x-protobuf")
                self.send_header("Content-Length", str(len(reply)))
                self.end_headers()
                self.wfile.write(reply)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def spans(self) -> Spans:
        return Spans(self._spans)

    def wait_until(self, holds: Callable[[Spans], bool], timeout_s: float = 60.0) -> Spans:
        """Wait until something holds of what was received; return that."""
        deadline = time.monotonic() + timeout_s
        while not holds(spans := self.spans):
            assert time.monotonic() < deadline, [(one.name, one.attributes) for one in spans]
            time.sleep(0.05)
        return spans

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def read_request(body: bytes) -> Iterable[Recorded]:
    """Read the spans of an export."""
    for group in ExportTraceServiceRequest.FromString(body).resource_spans:
        about = _values(group.resource.attributes)
        for scope in group.scope_spans:
            for span in scope.spans:
                yield Recorded(
                    name=span.name,
                    trace_id=span.trace_id.hex(),
                    id=span.span_id.hex(),
                    parent_id=span.parent_span_id.hex(),
                    start_ns=span.start_time_unix_nano,
                    end_ns=span.end_time_unix_nano,
                    is_error=span.status.code == span.status.STATUS_CODE_ERROR,
                    part=about["service.name"],
                    attributes=_values(span.attributes),
                )


def _values(attributes: Iterable[Any]) -> dict[str, Any]:
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in attributes}
