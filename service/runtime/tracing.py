"""Traces of requests and jobs; without HRM_ARC_OTLP_ENDPOINT nothing is recorded.

`Span` and `Tracer` are what the parts of the service use, and record nothing themselves.
`service/runtime/otel.py` has those that do, and is loaded only where an endpoint is set.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final, Literal

from service.runtime.settings import PREFIX, Settings
from service.wire.errors import SettingsError

Value = str | int | float | bool
Kind = Literal["internal", "producer", "consumer"]


class Span:
    """A piece of work in a trace; this one is recorded nowhere."""

    __slots__ = ()

    @property
    def traceparent(self) -> str:
        """What work elsewhere needs to go on with the trace (W3C Trace Context); empty: nothing."""
        return ""

    def note(self, **attributes: Value | None) -> None:
        """Set attributes; None leaves one out."""

    def fail(self, code: str) -> None:
        """Mark the work as failed, with the code of the problem."""

    def end(self, *, ago_s: float = 0.0) -> None:
        """End the work, which took until `ago_s` seconds ago."""


NO_SPAN: Final = Span()


class Tracer:
    """Begins spans; this one records none."""

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
        return NO_SPAN

    @contextmanager
    def inside(self, name: str, *, kind: Kind = "internal") -> Iterator[Span]:
        """Record what is done inside as a part of the request; an error fails it."""
        yield NO_SPAN

    @property
    def current(self) -> Span:
        """The innermost span that this task is inside of."""
        return NO_SPAN

    def app_options(self, quiet: tuple[str, ...]) -> dict[str, Any]:
        """Return options of a FastAPI app that records its requests, but for some paths."""
        return {}

    def close(self) -> None:
        """Export what is left, for two seconds at the most."""


def open_tracer(settings: Settings, part: str) -> Tracer:
    """Return the tracer of a process of the service, `part` being "api" or "worker".

    Raises: SettingsError where an endpoint is set and the packages are missing.
    """
    if settings.otlp_endpoint is None:
        return Tracer()
    try:
        from service.runtime.otel import export_to
    except ImportError as error:
        raise SettingsError(
            f"{PREFIX}OTLP_ENDPOINT is set, and tracing needs packages that are missing "
            f"({error.name}): pip install 'hrm-arc[otel]', or unset the variable"
        ) from error
    return export_to(str(settings.otlp_endpoint), part)
