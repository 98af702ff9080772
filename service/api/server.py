"""uvicorn as the API's server: limits on slow clients, and a stop that answers who is waiting."""

import gc
import resource
import secrets
import signal
import socket
from asyncio import TimerHandle, Transport
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Self, cast

import structlog
import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)

from service.api.app import create_app
from service.api.problems import RETRY_SOON, Problem
from service.runtime.settings import PREFIX, Settings
from service.runtime.tether import end_with_parent

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
# What the process opens beside its clients' connections: those to Redis, logs, libraries.
_OTHER_FILES: Final = 256


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """What the connections of a server are limited to.

    Units: head_s from the first byte, or from connecting, to the end of the headers.
    """

    num_connections: int
    head_bytes: int = 32 * 2**10
    url_bytes: int = 8 * 2**10
    head_s: float = 10.0
    # How long a refused client may go on sending: cut off at once, it might lose the answer.
    linger_s: float = 2.0


class LimitedProtocol(HttpToolsProtocol):
    """A connection on which heads are limited in size and time, and refusals are problems.

    A request under way has no limit here: streams of events live long. When there are too many
    connections, the one that has been without a request for the longest makes room.
    """

    def __init__(
        self,
        *args: Any,
        limits: ConnectionLimits,
        idle: dict["LimitedProtocol", None],
        **options: Any,
    ) -> None:
        super().__init__(*args, **options)
        self._limits = limits
        self._idle = idle
        self._num_unread = 0  # bytes since the parser last handed out a head, or some body
        self._has_progressed = False
        self._is_in_head = False
        self._is_refused = False
        self._refusal: Problem | None = None
        self._timer: TimerHandle | None = None
        # What is being answered; of several pipelined requests the first, and `cycle` the last.
        self._answered: RequestResponseCycle | None = None

    @classmethod
    def maker(cls, limits: ConnectionLimits) -> Callable[..., Self]:
        """Return what makes the connections of one server, to be given to uvicorn."""
        # Those without a request under way, the one that has been so for the longest first.
        idle: dict[LimitedProtocol, None] = {}
        return partial(cls, limits=limits, idle=idle)

    @property
    def _is_serving(self) -> bool:
        """Whether a request is under way."""
        return self.cycle is not None and not self.cycle.response_complete

    # --- as asyncio calls it

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        """Let the client in while there is room."""
        super().connection_made(transport)
        if len(self.connections) > self._limits.num_connections:
            oldest = next(iter(self._idle), None)
            if oldest is None:
                self._answer(_too_many_connections())
                self.transport.close()
                return
            del self._idle[oldest]
            oldest.transport.abort()
        self._idle[self] = None
        self._start_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection, and with it the requests that were pipelined."""
        self._stop_timer()
        self._idle.pop(self, None)
        self.pipeline.clear()
        super().connection_lost(exc)
        if self._answered is not None and self._answered is not self.cycle:
            # uvicorn lets only the last request know.
            self._answered.disconnected = True
            self._answered.message_event.set()

    def data_received(self, data: bytes) -> None:
        """Parse what came, unless the client was refused."""
        if self._is_refused:
            return
        self._has_progressed = False
        super().data_received(data)
        if self._is_refused:
            return
        # Whatever else it is (a URL, a header, a trailer), the parser may be collecting it.
        self._num_unread = 0 if self._has_progressed else self._num_unread + len(data)
        if self._num_unread > self._limits.head_bytes:
            self._refuse(self._headers_too_large())
        elif not self._is_serving and self._timer is None:
            self._start_timer()

    # --- as the parser calls it: what is raised here ends in send_400_response

    def on_message_begin(self) -> None:
        """Begin a request."""
        super().on_message_begin()
        self._is_in_head = True

    def on_url(self, url: bytes) -> None:
        """Take a part of the URL."""
        super().on_url(url)
        limit = self._limits.url_bytes
        if len(self.url) > limit:
            self._refusal = Problem("url_too_long", f"the URL is longer than {limit:,} bytes")
            raise ValueError(self._refusal.detail)

    def on_headers_complete(self) -> None:
        """Hand the request over to the app."""
        self._has_progressed = True
        self._is_in_head = False
        num_bytes = len(self.url) + sum(len(name) + len(value) for name, value in self.headers)
        if num_bytes > self._limits.head_bytes:
            self._refusal = self._headers_too_large()
            raise ValueError(self._refusal.detail)
        self._stop_timer()
        super().on_headers_complete()
        if not self.pipeline:
            self._answered = self.cycle
        self._idle.pop(self, None)

    def on_body(self, body: bytes) -> None:
        """Take a part of the body."""
        self._has_progressed = True
        super().on_body(body)

    def on_message_complete(self) -> None:
        """End the request."""
        self._has_progressed = True
        super().on_message_complete()

    # --- as uvicorn calls it

    def on_response_complete(self) -> None:
        """Go on to the next request, or wait for one."""
        self._answered = self.pipeline[-1][0] if self.pipeline else None
        super().on_response_complete()
        if self in self.connections and not self._is_serving:
            self._idle[self] = None

    def send_400_response(self, msg: str) -> None:
        """Refuse what the parser could not read, or what was raised while it did."""
        self._refuse(self._refusal or Problem("invalid_http", "the request is no valid HTTP/1.1"))

    def _unsupported_upgrade_warning(self) -> None:
        """Log nothing: a client may offer another protocol, and is answered in this one."""

    # --- refusals

    def _start_timer(self) -> None:
        self._timer = self.loop.call_later(self._limits.head_s, self._time_out)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _time_out(self) -> None:
        self._timer = None
        if self._is_in_head:
            limit = f"{self._limits.head_s:g} s"
            self._refuse(Problem("request_timeout", f"the headers took longer than {limit}"))
        else:
            self.transport.close()  # nothing was asked for: there is nothing to answer

    def _refuse(self, problem: Problem) -> None:
        """Read no further; answer, unless an earlier request is being answered, and close."""
        self._is_refused = True
        self._stop_timer()
        if self.transport.is_closing():
            return
        if self._is_serving and not self.cycle.more_body:
            self.cycle.keep_alive = False  # closes when all that came before is answered
            return
        if self._is_serving:
            if self.cycle.response_started or self.pipeline:
                self.transport.close()
                return
            self.cycle.disconnected = True  # the app waits for a body that never ends
            self.cycle.message_event.set()
        self._answer(problem)
        self.transport.write_eof()
        self._timer = self.loop.call_later(self._limits.linger_s, self.transport.abort)

    def _answer(self, problem: Problem) -> None:
        self._is_refused = True
        request_id = secrets.token_hex(16)
        response = problem.response()
        response.headers.update({"connection": "close", "x-request-id": request_id})
        lines = (*self.server_state.default_headers, *response.raw_headers)
        head = b"".join(name + b": " + value + b"\r\n" for name, value in lines)
        self.transport.write(STATUS_LINE[problem.status] + head + b"\r\n" + bytes(response.body))
        structlog.get_logger(__name__).info(
            "request refused", status=problem.status, request_id=request_id, client=self.client
        )

    def _headers_too_large(self) -> Problem:
        return Problem(
            "headers_too_large", f"the headers are larger than {self._limits.head_bytes:,} bytes"
        )


def _too_many_connections() -> Problem:
    return Problem(
        "too_many_connections",
        "requests are under way on as many connections as the service has: try again in a moment",
        headers=RETRY_SOON,
    )


class _Server(uvicorn.Server):
    """uvicorn's server, which before it stops ends all waits: solves answer 202, streams end."""

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Let requests under way be answered, then stop."""
        cast(FastAPI, self.config.app).state.context.waits.end()
        await super().shutdown(sockets)


def run_api(settings: Settings) -> int:
    """Serve until SIGINT or SIGTERM and give the exit code.

    Raises: SettingsError for an address that strangers could reach without a key, or without a
    queue's address.
    """
    settings.check_exposure()
    limits = ConnectionLimits(_num_connections(settings.max_connections))
    protocol: Any = LimitedProtocol.maker(limits)
    server = _Server(
        uvicorn.Config(
            create_app(settings),
            host=settings.host,
            port=settings.port,
            http=protocol,
            ws="none",
            access_log=False,  # our own line says more
            log_config=None,
            server_header=False,
            proxy_headers=False,
            lifespan="on",
            timeout_graceful_shutdown=max(1, round(settings.grace_s)),
        ),
    )
    # A client that does not read keeps an orderly stop waiting for the grace time.
    end_with_parent(lambda: None)
    # uvicorn raises the signal again once it has stopped, which would end the process as if killed.
    previous = {number: signal.signal(number, signal.SIG_IGN) for number in _SIGNALS}
    gc.freeze()  # what is loaded stays, and need not be looked at in each collection
    try:
        server.run()
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
    return 0 if server.started else 1


def _num_connections(wanted: int) -> int:
    """Return how many connections the process may have, raising its limit of open files to that."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    num_files = wanted + _OTHER_FILES
    if soft == resource.RLIM_INFINITY or soft >= num_files:
        return wanted
    if hard != resource.RLIM_INFINITY and hard < num_files:
        num_files = hard
        structlog.get_logger(__name__).warning(
            "fewer connections than set: raise the limit of open files (ulimit -Hn)",
            setting=f"{PREFIX}MAX_CONNECTIONS",
            connections=max(1, num_files - _OTHER_FILES),
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (num_files, hard))
    return max(1, num_files - _OTHER_FILES)
