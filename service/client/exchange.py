"""The effects that operations ask of a driver, and how a request is sent until it is answered.

Operations do no input or output: they are generators that yield an effect and are sent its outcome.
Their driver, blocking or not, performs the effects; where the service cannot be reached, it
throws `ServiceUnreachable` in.
"""

import random
from collections.abc import Awaitable, Callable, Generator
from dataclasses import dataclass
from typing import Any, TypeVar

import httpx

from service.client.errors import ServiceProblem, ServiceUnreachable
from service.client.messages import UNEXPLAINED, D, Request, problem_of, read
from service.runtime.timing import backoff_s

# Too many requests or jobs, and a service that is about to be back.
PASSING_STATUSES = frozenset({429, 503})
# A proxy's words for the same. The service itself says 504 of a job that ended.
PASSING_STATUSES_OF_PROXIES = frozenset({502, 504})


@dataclass(frozen=True, slots=True)
class Send:
    """Send a request; the outcome is the response, read."""

    request: Request


@dataclass(frozen=True, slots=True)
class Listen:
    """Open a stream of events; the outcome is an iterator of its chunks, None where it is refused.

    Units: after silence_s seconds without a byte the stream counts as broken.
    """

    request: Request
    silence_s: float


@dataclass(frozen=True, slots=True)
class NextChunk:
    """Wait for bytes of the open stream; the outcome is None at its end."""

    chunks: Any


@dataclass(frozen=True, slots=True)
class HangUp:
    """Close the stream, where one is open."""


@dataclass(frozen=True, slots=True)
class Pause:
    """Let time pass."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Report:
    """Hand progress to the caller that waits; a driver for asyncio awaits what it returns."""

    listener: Callable[[Any], Awaitable[None] | None]
    progress: object


@dataclass(frozen=True, slots=True)
class Emit:
    """Hand a value to the caller that iterates over an operation."""

    value: object


Effect = Send | Listen | NextChunk | HangUp | Pause | Report | Emit
T = TypeVar("T")
Steps = Generator[Effect, Any, T]


@dataclass(frozen=True, slots=True)
class Retries:
    """How often a request is sent again, and how long is waited before.

    The pause doubles from `first_pause_s`; a service's Retry-After goes before it. A service that
    names a time longer than `longest_pause_s` is not waited for.
    """

    most: int = 6
    first_pause_s: float = 0.2
    longest_pause_s: float = 30.0

    def pause_s(self, num_failures: int, retry_after_s: float | None = None) -> float | None:
        """Return the pause after so many failures in a row; None: give up.

        A random part keeps many clients from coming back at the same moment.
        """
        if num_failures > self.most:
            return None
        if retry_after_s is None:
            return backoff_s(num_failures, self.first_pause_s, self.longest_pause_s)
        if retry_after_s > self.longest_pause_s:
            return None
        return retry_after_s + random.uniform(0, self.first_pause_s)  # noqa: S311 - no secret


def send(request: Request, retries: Retries) -> Steps[httpx.Response]:
    """Send a request until it is answered, or there is no more use in it.

    Raises: ServiceProblem, ServiceUnreachable.
    """
    num_failures = 0
    while True:
        error: ServiceProblem | ServiceUnreachable
        retry_after_s = None
        try:
            response: httpx.Response = yield Send(request)
        except ServiceUnreachable as unreachable:
            error = unreachable
        else:
            if response.is_success:
                return response
            error = problem_of(response)
            if not _is_passing(error):
                raise error
            retry_after_s = error.retry_after_s
        num_failures += 1
        pause_s = retries.pause_s(num_failures, retry_after_s)
        if pause_s is None:
            raise error
        yield Pause(pause_s)


def ask(model: type[D], request: Request, retries: Retries) -> Steps[D]:
    """Send a request and read the document that answers it.

    Raises: ServiceProblem, ServiceUnreachable, BadReply.
    """
    response = yield from send(request, retries)
    return read(model, response.content, response.status_code)


def _is_passing(problem: ServiceProblem) -> bool:
    return problem.status in PASSING_STATUSES or (
        problem.code == UNEXPLAINED and problem.status in PASSING_STATUSES_OF_PROXIES
    )
