"""Callers that send what is wrong, or too much, or too slowly, and some that never read."""

import asyncio
import contextlib
import json

from soak.actions import Action, Callers
from soak.caller import Reply
from soak.ledger import SUCCEEDED
from soak.puzzles import oversized_task
from soak.stack import MAX_BODY_BYTES

HANG_S = 15.0


async def _expect(callers: Callers, code: str, content: bytes, kind: str) -> None:
    headers = {"Content-Type": kind}
    reply = await callers.ask(
        "POST", "/v1/jobs", expects=frozenset({code}), content=content, headers=headers
    )
    if reply is not None and reply.is_accepted:
        callers.ledger.surprise(f"{content[:60]!r} was accepted")


async def send_nonsense(callers: Callers) -> None:
    """Send what is no JSON, no task, or not said to be JSON."""
    code, content, kind = callers.rng.choice(
        (
            ("invalid_json", b'{"train": [', "application/json"),
            ("invalid_json", b'{"train": NaN}', "application/json"),
            ("invalid_request", b'{"train": [], "test": 7}', "application/json"),
            ("unsupported_media_type", b"{}", "text/plain"),
        )
    )
    await _expect(callers, code, content, kind)


async def send_too_much(callers: Callers) -> None:
    """Send a body that is too large, or a puzzle that fits no canvas."""
    if callers.rng.random() < 0.5:
        await _expect(callers, "body_too_large", b" " * (MAX_BODY_BYTES + 1), "application/json")
    else:
        content = json.dumps(oversized_task()).encode()
        await _expect(callers, "canvas_exceeded", content, "application/json")


async def send_slowly(callers: Callers) -> None:
    """Send a few bytes of a body, and then nothing."""
    head = (
        b"POST /v1/solve HTTP/1.1\r\nHost: %b\r\nContent-Type: application/json\r\n"
        b"Content-Length: 20000\r\n\r\n{" % callers.http.base_url.netloc
    )
    async with _connection(callers) as (reader, writer):
        writer.write(head)
        await writer.drain()
        with contextlib.suppress(TimeoutError):
            reply = await asyncio.wait_for(reader.read(4096), HANG_S)
            if reply and b" 408 " not in reply.splitlines()[0] and b" 503 " not in reply:
                callers.ledger.surprise(f"a body that does not come: {reply[:100]!r}")
            callers.ledger.replies["request_timeout" if reply else "cut off"] += 1


async def read_nothing(callers: Callers) -> None:
    """Ask for a job's events or for lists, over and over, and read none of the answers."""
    asked = callers.question
    job_id = await callers.submit(asked.body, asked.key)
    host = callers.http.base_url.netloc
    line = b"GET /v1/jobs/%b/events HTTP/1.1\r\nHost: %b\r\n\r\n"
    listing = b"GET /v1/jobs?limit=100 HTTP/1.1\r\nHost: %b\r\n\r\n" % host
    async with _connection(callers) as (_, writer):
        writer.write(listing * 20 + line % (str(job_id).encode(), host))
        await callers.sleep(HANG_S)
        writer.transport.abort()


async def hang_up(callers: Callers) -> None:
    """Ask for an answer with a key, hang up before it comes, and ask again."""
    asked = callers.question
    key = f"soak-{callers.rng.getrandbits(64):x}"
    headers = {"Idempotency-Key": key, "Prefer": "wait=10"}
    request = callers.http.post("/v1/solve", json=asked.body, headers=headers)
    with contextlib.suppress(Exception):
        await asyncio.wait_for(request, callers.rng.uniform(0.001, 0.2))
    reply = await callers.until_known(
        lambda: callers.ask("POST", "/v1/solve", json=asked.body, headers=headers), retries=True
    )
    if isinstance(reply, Reply) and reply.job_id is not None:
        callers.ledger.accept(reply.job_id, asked.key, SUCCEEDED, reply.document.get("result"))


async def ask_twice_at_once(callers: Callers) -> None:
    """Send one key twice at the same time: one job."""
    asked = callers.question
    headers = {"Idempotency-Key": f"soak-{callers.rng.getrandbits(64):x}"}

    async def send() -> Reply | None:
        return await callers.until_known(
            lambda: callers.ask("POST", "/v1/jobs", json=asked.body, headers=headers), retries=True
        )

    found = [one.job_id for one in await asyncio.gather(send(), send()) if one is not None]
    for job_id in found:
        if job_id is not None:
            callers.ledger.accept(job_id, asked.key, SUCCEEDED)
    if len(set(found)) > 1:
        callers.ledger.surprise(f"one key made {found}")


class _connection:  # noqa: N801 - used like a function
    """A bare connection to the API; what fails on it is of no interest."""

    def __init__(self, callers: Callers) -> None:
        url = callers.http.base_url
        self._address = url.host, url.port

    async def __aenter__(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        for _ in range(50):
            with contextlib.suppress(OSError):
                reader, self._writer = await asyncio.open_connection(*self._address)
                return reader, self._writer
            await asyncio.sleep(0.2)  # the API is being started again
        raise OSError(f"nobody listens at {self._address}")

    async def __aexit__(self, _kind: object, error: BaseException | None, _trace: object) -> bool:
        self._writer.close()
        return isinstance(error, OSError)


HOSTILE_ACTIONS: dict[Action, int] = {
    send_nonsense: 5,
    send_too_much: 3,
    send_slowly: 2,
    read_nothing: 2,
    hang_up: 4,
    ask_twice_at_once: 4,
}
