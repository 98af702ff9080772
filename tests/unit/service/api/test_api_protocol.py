"""Connections: limited while nothing has been asked, and left alone while it is answered."""

import asyncio
import json
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest
import uvicorn
from uvicorn.server import ServerState

from service.api.server import ConnectionLimits, LimitedProtocol

pytestmark = pytest.mark.anyio

LIMIT_S = 60  # far more than anything here takes
NEVER_S = 3600.0
HOST = b"Host: localhost\r\n"
GET = b"GET / HTTP/1.1\r\n" + HOST + b"\r\n"
HALF = b"GET / HTTP/1.1\r\n" + HOST + b"X: "
CHUNKED = b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class App:
    """Answers GET / and POST / with what it received; /early before that, /held when released.

    /watched is answered as long as the client is there.
    """

    def __init__(self) -> None:
        self.released = asyncio.Event()
        self.saw_disconnect = asyncio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body = b""
        while scope["path"] != "/early":
            message = await receive()
            if message["type"] == "http.disconnect":
                self.saw_disconnect.set()
                return
            body += message["body"]
            if not message["more_body"]:
                break
        await send({"type": "http.response.start", "status": 200, "headers": []})
        if scope["path"] == "/held":
            await send({"type": "http.response.body", "body": b"begun,", "more_body": True})
            await self.released.wait()
        if scope["path"] == "/watched":
            await send({"type": "http.response.body", "body": b"begun,", "more_body": True})
            if (await receive())["type"] == "http.disconnect":
                self.saw_disconnect.set()
        await send({"type": "http.response.body", "body": b"answer to [" + body + b"]"})


class Client:
    """A connection, and what came through it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    def send(self, *parts: bytes) -> None:
        self.writer.write(b"".join(parts))

    async def until(self, text: bytes) -> bytes:
        async with asyncio.timeout(LIMIT_S):
            return await self.reader.readuntil(text)

    async def rest(self) -> bytes:
        """Give all that comes until the server closes the connection."""
        async with asyncio.timeout(LIMIT_S):
            return await self.reader.read()

    async def is_closed(self) -> bool:
        try:
            return await self.rest() == b""
        except ConnectionResetError:
            return True


class Clock:
    """An event loop whose timers go off when a test lets time pass."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._now_s = 0.0
        self._timers: list[tuple[float, asyncio.TimerHandle, Callable[[], None]]] = []

    def call_later(self, delay: float, callback: Callable[[], None]) -> asyncio.TimerHandle:
        handle = self._loop.call_later(NEVER_S, callback)
        self._timers.append((self._now_s + delay, handle, callback))
        return handle

    def advance(self, seconds: float) -> None:
        self._now_s += seconds
        due = [timer for timer in self._timers if timer[0] <= self._now_s]
        self._timers = [timer for timer in self._timers if timer[0] > self._now_s]
        for _, handle, callback in due:
            if not handle.cancelled():
                handle.cancel()
                callback()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loop, name)


class Server:
    """Serves an app under limits, on a clock of its own; clients are closed with it."""

    def __init__(self, app: App, **limits: Any) -> None:
        self.limits = ConnectionLimits(**{"num_connections": 100} | limits)
        self.clock = Clock(asyncio.get_running_loop())
        self._num_received = 0
        self._state = ServerState()
        self._config = uvicorn.Config(app, ws="none", log_config=None)
        self._make = LimitedProtocol.maker(self.limits)
        self._opened = AsyncExitStack()

    async def __aenter__(self) -> "Server":
        self._server = await asyncio.get_running_loop().create_server(self._accept, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._opened.aclose()
        self._server.close()

    async def connect(self) -> Client:
        port = self._server.sockets[0].getsockname()[1]
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        self._opened.callback(writer.close)
        return Client(reader, writer)

    async def receives(self, client: Client, data: bytes) -> None:
        """Send data and wait until the protocol has dealt with all of it."""
        expected = self._num_received + len(data)
        client.send(data)
        async with asyncio.timeout(LIMIT_S):
            while self._num_received < expected:
                await asyncio.sleep(0.001)

    def _accept(self) -> LimitedProtocol:
        protocol = self._make(
            config=self._config, server_state=self._state, app_state={}, _loop=self.clock
        )
        parse = protocol.data_received

        def counted(data: bytes) -> None:
            parse(data)
            self._num_received += len(data)

        protocol.data_received = counted  # type: ignore[method-assign]
        return protocol


def problem(answer: bytes) -> tuple[int, str]:
    """Read an answer that is a problem: its status and its code."""
    head, _, body = answer.partition(b"\r\n\r\n")
    status = int(head.split()[1])
    document = json.loads(body)
    assert b"content-type: application/problem+json" in head
    assert b"x-request-id: " in head
    assert b"connection: close" in head
    assert document["status"] == status
    return status, document["code"]


@pytest.mark.parametrize(
    ("sent", "refused"),
    [
        (HALF + b"a" * 40_000, (431, "headers_too_large")),
        (HALF + b"a" * 40_000 + b"\r\n\r\n", (431, "headers_too_large")),
        (GET[:-2] + b"a: b\r\n" * 8_000, (431, "headers_too_large")),
        (GET[:-2] + b"a: 12345\r\n" * 6_000 + b"\r\n", (431, "headers_too_large")),
        (b"\r\n" * 20_000, (431, "headers_too_large")),
        (b"GET /" + b"a" * 9_000, (414, "url_too_long")),
        (b"GET /" + b"a" * 9_000 + b" HTTP/1.1\r\n\r\n", (414, "url_too_long")),
        (b"GET /" + b"a" * 1_000_000, (414, "url_too_long")),
        (b"\0nonsense\r\n\r\n", (400, "invalid_http")),
    ],
)
@pytest.mark.parametrize("before", [b"", GET])
async def test_a_head_that_is_too_large_or_none_is_refused(
    before: bytes, sent: bytes, refused: tuple[int, str]
) -> None:
    async with Server(App()) as server:
        client = await server.connect()
        if before:
            client.send(before)
            await client.until(b"0\r\n\r\n")
        client.send(sent)
        assert problem(await client.rest()) == refused


async def test_a_head_within_the_limits_is_served() -> None:
    async with Server(App()) as server:
        client = await server.connect()
        for _ in range(3):
            client.send(b"GET /?", b"a" * 8_000, b" HTTP/1.1\r\n", HOST, b"X: ", b"a" * 20_000)
            client.send(b"\r\n\r\n")
            assert b" 200 " in await client.until(b"0\r\n\r\n")


async def test_a_refused_client_that_goes_on_sending_gets_its_answer_and_is_cut_off() -> None:
    async with Server(App()) as server:
        client = await server.connect()
        await server.receives(client, HALF + b"a" * 40_000)
        assert (await client.until(b"\r\n\r\n")).startswith(b"HTTP/1.1 431 ")
        await server.receives(client, b"a" * 1_000_000)
        server.clock.advance(server.limits.linger_s)
        with pytest.raises(ConnectionError):  # noqa: PT012 - at any of the pieces
            async with asyncio.timeout(LIMIT_S):
                while True:
                    client.send(b"a" * 65_536)
                    await client.writer.drain()


async def test_many_bodies_and_small_chunks_count_for_nothing() -> None:
    body = b"1\r\nx\r\n" * 20_000
    async with Server(App()) as server:
        client = await server.connect()
        client.send(CHUNKED, body, b"0\r\n\r\n")
        assert b"answer to [" + b"x" * 1_000 in await client.until(b"0\r\n\r\n")


async def test_endless_trailers_end_the_request() -> None:
    app = App()
    async with Server(app) as server:
        client = await server.connect()
        await server.receives(client, CHUNKED + b"0\r\nX: ")
        client.send(b"a" * 40_000)
        assert problem(await client.rest()) == (431, "headers_too_large")
        async with asyncio.timeout(LIMIT_S):
            await app.saw_disconnect.wait()


CHUNKS = b"Transfer-Encoding: chunked\r\n"


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        (b"Content-Length: 6\r\n" + CHUNKS, b"0\r\n\r\nG"),
        (CHUNKS + b"Content-Length: 6\r\n", b"0\r\n\r\nG"),
        (b"Content-Length: 5\r\nContent-Length: 6\r\n", b"hello!"),
        (b"Content-Length: +5\r\n", b"hello"),
        (b"Content-Length : 5\r\n", b"hello"),
        (b"Transfer-Encoding: chunked, identity\r\n", b"0\r\n\r\n"),
        (b"Transfer-Encoding: xchunked\r\n", b"0\r\n\r\n"),
        (CHUNKS + b"Transfer-Encoding: identity\r\n", b"0\r\n\r\n"),
        (b"X: a\rContent-Length: 5\r\n", b"hello"),
        (b"X: a\r\n Content-Length: 5\r\n", b"hello"),
        (CHUNKS, b"5\nhello\r\n0\r\n\r\n"),
        (CHUNKS, b"0x5\r\nhello\r\n0\r\n\r\n"),
    ],
)
async def test_a_request_with_two_readings_is_refused_and_ends_its_connection(
    headers: bytes, body: bytes
) -> None:
    async with Server(App()) as server:
        client = await server.connect()
        client.send(b"POST / HTTP/1.1\r\n", HOST, headers, b"\r\n", body, GET)
        assert problem(await client.rest()) == (400, "invalid_http")


async def test_a_broken_chunk_ends_the_request() -> None:
    app = App()
    async with Server(app) as server:
        client = await server.connect()
        client.send(CHUNKED, b"nonsense\r\n")
        assert problem(await client.rest()) == (400, "invalid_http")
        async with asyncio.timeout(LIMIT_S):
            await app.saw_disconnect.wait()


@pytest.mark.parametrize("before", [b"", GET])
async def test_half_a_head_is_timed_out_however_it_trickles(before: bytes) -> None:
    async with Server(App()) as server:
        client = await server.connect()
        if before:
            client.send(before)
            await client.until(b"0\r\n\r\n")
        for part in (HALF, b"a", b"a"):
            await server.receives(client, part)
            server.clock.advance(0.4 * server.limits.head_s)
        assert problem(await client.rest()) == (408, "request_timeout")


async def test_a_connection_without_a_byte_is_closed_without_a_word() -> None:
    async with Server(App()) as server:
        client, other = await server.connect(), await server.connect()
        await server.receives(other, GET)  # accepted after the first
        server.clock.advance(server.limits.head_s)
        assert await client.rest() == b""


async def test_the_trickling_body_of_an_answered_request_is_timed_out() -> None:
    async with Server(App()) as server:
        client = await server.connect()
        client.send(b"POST /early HTTP/1.1\r\n", HOST, b"Content-Length: 1000000\r\n\r\n")
        await client.until(b"0\r\n\r\n")
        for _ in range(3):
            await server.receives(client, b"a")
            server.clock.advance(0.4 * server.limits.head_s)
        assert await client.is_closed()


async def test_a_request_under_way_has_no_time_limit() -> None:
    app = App()
    async with Server(app) as server:
        stream, upload = await server.connect(), await server.connect()
        stream.send(b"GET /held HTTP/1.1\r\n", HOST, b"\r\n")
        await stream.until(b"begun,")
        await server.receives(upload, CHUNKED + b"1\r\nx\r\n")
        server.clock.advance(NEVER_S)
        upload.send(b"0\r\n\r\n")
        assert b"answer to [x]" in await upload.until(b"0\r\n\r\n")
        app.released.set()
        assert b"answer to []" in await stream.until(b"0\r\n\r\n")
        stream.send(GET)  # and it is kept alive
        assert b" 200 " in await stream.until(b"0\r\n\r\n")


async def test_pipelined_requests_are_answered_in_order() -> None:
    app = App()
    async with Server(app) as server:
        client = await server.connect()
        client.send(b"GET /held HTTP/1.1\r\n", HOST, b"\r\n", GET, CHUNKED, b"1\r\nx\r\n0\r\n\r\n")
        await client.until(b"begun,")
        app.released.set()
        for said in (b"answer to []", b"answer to []", b"answer to [x]"):
            assert said in await client.until(b"0\r\n\r\n")


async def test_the_first_of_pipelined_requests_ends_with_its_client() -> None:
    app = App()
    async with Server(app) as server:
        client = await server.connect()
        client.send(GET, b"GET /watched HTTP/1.1\r\n", HOST, b"\r\n", GET, GET)
        await client.until(b"begun,")
        client.writer.transport.abort()
        async with asyncio.timeout(LIMIT_S):
            await app.saw_disconnect.wait()


@pytest.mark.parametrize("broken", [b"\0nonsense\r\n\r\n", HALF + b"a" * 400_000])
async def test_what_is_refused_in_a_pipeline_cuts_no_answer_before_it(broken: bytes) -> None:
    app = App()
    async with Server(app) as server:
        client = await server.connect()
        client.send(b"GET /held HTTP/1.1\r\n", HOST, b"\r\n", GET, broken)
        assert b"200 OK" in await client.until(b"begun,")
        app.released.set()
        for _ in range(2):
            assert b"answer to []" in await client.until(b"0\r\n\r\n")
        assert await client.is_closed()


async def test_a_body_that_waits_to_be_asked_for_is_asked_for() -> None:
    async with Server(App()) as server:
        client = await server.connect()
        client.send(
            b"POST / HTTP/1.1\r\n", HOST, b"Content-Length: 2\r\nExpect: 100-continue\r\n\r\n"
        )
        assert await client.until(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.send(b"ab")
        assert b"answer to [ab]" in await client.until(b"0\r\n\r\n")


async def test_the_connection_idle_for_the_longest_makes_room() -> None:
    async with Server(App(), num_connections=3) as server:
        held = await server.connect()
        held.send(b"GET /held HTTP/1.1\r\n", HOST, b"\r\n")
        await held.until(b"begun,")
        answered, half = await server.connect(), await server.connect()
        half.send(HALF)
        answered.send(GET)  # the younger of the two from here on
        await answered.until(b"0\r\n\r\n")
        another = await server.connect()
        another.send(GET)
        assert b" 200 " in await another.until(b"0\r\n\r\n")
        assert await half.is_closed()
        answered.send(GET)
        assert b" 200 " in await answered.until(b"0\r\n\r\n")


async def test_where_every_connection_is_in_use_a_further_one_is_refused() -> None:
    app = App()
    async with Server(app, num_connections=1) as server:
        held = await server.connect()
        held.send(b"GET /held HTTP/1.1\r\n", HOST, b"\r\n")
        await held.until(b"begun,")
        answer = await (await server.connect()).rest()
        assert problem(answer) == (503, "too_many_connections")
        assert b"retry-after: 2" in answer.lower()
        app.released.set()
        assert b"answer to []" in await held.until(b"0\r\n\r\n")
        again = await server.connect()
        again.send(GET)
        assert b" 200 " in await again.until(b"0\r\n\r\n")
