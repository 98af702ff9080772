"""Tracing: off without an endpoint, and harmless where the collector is away."""

import logging
import socket
import sys
from collections.abc import Iterator

import pytest
from recorded_spans import SPAN_ID, TRACE_ID, TRACEPARENT, Collector, RecordingTracer

from service.runtime import otel
from service.runtime.settings import Settings
from service.runtime.tracing import NO_SPAN, open_tracer
from service.wire.errors import BatchTooLarge, SettingsError


@pytest.fixture
def collector() -> Iterator[Collector]:
    collector = Collector()
    yield collector
    collector.close()


def test_without_an_endpoint_nothing_is_recorded() -> None:
    tracer = open_tracer(Settings(), "api")
    assert tracer.begin("work", TRACEPARENT, attributes={"a": 1}) is NO_SPAN
    with tracer.inside("work") as span:
        span.note(a=1)
        span.fail("unsolvable")
    assert (span, tracer.current, span.traceparent) == (NO_SPAN, NO_SPAN, "")
    assert tracer.app_options(()) == {}
    tracer.close()


def test_missing_packages_are_named_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "service.runtime.otel")
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    with pytest.raises(SettingsError, match=r"HRM_ARC_OTLP_ENDPOINT .*hrm-arc\[otel\]"):
        open_tracer(Settings(otlp_endpoint="http://localhost:4318"), "api")


@pytest.mark.parametrize("address", ["localhost:4318", "grpc://localhost:4317", "collector"])
def test_an_address_that_is_none_of_a_collector_is_refused(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HRM_ARC_OTLP_ENDPOINT", address)
    with pytest.raises(SettingsError, match="HRM_ARC_OTLP_ENDPOINT is not valid"):
        Settings.load()


@pytest.mark.parametrize("path", ["", "/"])
def test_spans_are_sent_to_the_collector_when_it_is_closed(collector: Collector, path: str) -> None:
    settings = Settings(otlp_endpoint=f"{collector.url}{path}")
    passed_on = Settings(**{"otlp_endpoint": settings.environment()["HRM_ARC_OTLP_ENDPOINT"]})
    tracer = open_tracer(passed_on, "worker")
    tracer.begin("work", TRACEPARENT, ago_s=2.0, attributes={"number": 3, "none": None}).end()
    tracer.close()

    (work,) = collector.spans
    assert (work.name, work.trace_id, work.parent_id) == ("work", TRACE_ID, SPAN_ID)
    assert (work.part, work["number"], len(work.attributes)) == ("hrm-arc-worker", 3, 1)
    assert work.end_ns - work.start_ns >= 2e9


def test_what_a_caller_does_not_want_sampled_is_not_recorded_and_passed_on_so() -> None:
    tracer = RecordingTracer()
    span = tracer.begin("work", f"{TRACEPARENT[:-2]}00")
    span.end()
    assert tracer.spans == []
    assert span.traceparent.startswith(f"00-{TRACE_ID}-")
    assert span.traceparent.endswith("-00")


def test_an_error_inside_fails_the_span_with_its_code_and_without_its_message() -> None:
    tracer = RecordingTracer()
    with pytest.raises(BatchTooLarge), tracer.inside("work"):
        raise BatchTooLarge("of what somebody sent")
    work = tracer.spans.named("work")
    assert (work.is_error, work["code"]) == (True, BatchTooLarge.code)
    assert "somebody" not in str(work.attributes)


def test_a_collector_that_is_away_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{closed.getsockname()[1]}"
        tracer = otel.export_to(address, "worker")
        with caplog.at_level(logging.WARNING):
            tracer.begin("work").end()
            tracer.close()
    assert any(record.name.startswith("opentelemetry.exporter") for record in caplog.records)


def test_a_collector_that_hangs_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(otel, "FLUSH_S", 0.1)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        tracer = otel.export_to(f"http://127.0.0.1:{silent.getsockname()[1]}", "worker")
        tracer.begin("work").end()
        tracer.close()
        connection, _ = silent.accept()  # it was sent, and nobody has answered it
        connection.close()
