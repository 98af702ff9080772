"""What the client's core asks of the world, and what it gets.

The core does no input or output: it is generators that yield an effect and are sent its outcome.
Their driver, blocking or not, performs the effects; where the service cannot be reached, it
throws `ServiceUnreachable` in.
"""

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from service.wire.batch import BatchProgress
from service.wire.job import Progress


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request. All of ours may be repeated: what makes a job carries its own key.

    Units: patience_s are the seconds that the service may keep silent, beyond the usual.
    """

    method: str
    path: str
    headers: Mapping[str, str] = field(default_factory=dict)
    query: tuple[tuple[str, str], ...] = ()
    content: bytes | None = None
    patience_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Reply:
    """One HTTP reply; names of headers in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Send:
    """Send a request; the outcome is a `Reply`."""

    request: Request


@dataclass(frozen=True, slots=True)
class Listen:
    """Open a stream of events; the outcome is None, or the `Reply` that refuses it.

    Units: after silence_s seconds without a byte the stream counts as broken.
    """

    request: Request
    silence_s: float


@dataclass(frozen=True, slots=True)
class NextChunk:
    """Wait for bytes of the open stream; the outcome is None at its end."""


@dataclass(frozen=True, slots=True)
class HangUp:
    """Close the stream, where one is open."""


@dataclass(frozen=True, slots=True)
class Pause:
    """Let time pass.

    Units: seconds.
    """

    seconds: float


@dataclass(frozen=True, slots=True)
class Report:
    """Hand progress to the caller that waits."""

    progress: Progress | BatchProgress


Effect = Send | Listen | NextChunk | HangUp | Pause | Report
T = TypeVar("T")
Steps = Generator[Effect, Any, T]
