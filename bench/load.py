"""A load generator that takes little of the processor that it shares with the service.

A request of httpx costs a millisecond of the processor, half a core at the measured rates. Here the
request's bytes are made once, and only the status and length of a reply are read.
"""

import asyncio
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Load:
    """The results of a run.

    Units: seconds; `latencies_s` are from request to answer, sorted.
    """

    latencies_s: tuple[float, ...]
    wall_s: float

    @property
    def rate(self) -> float:
        """Answers per second."""
        return len(self.latencies_s) / self.wall_s

    def percentile_s(self, percent: float) -> float:
        """Return the latency that the given percentage of the answers does not exceed."""
        last = len(self.latencies_s) - 1
        return self.latencies_s[min(last, int(len(self.latencies_s) * percent / 100))]


def solve_request(host: str, port: int, task: Mapping[str, Any]) -> bytes:
    """Return the bytes of a POST /v1/solve."""
    body = json.dumps(task, separators=(",", ":")).encode()
    lines = [
        "POST /v1/solve HTTP/1.1",
        f"Host: {host}:{port}",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        "",
        "",
    ]
    return "\r\n".join(lines).encode() + body


def load(
    host: str, port: int, task: Mapping[str, Any], num_at_once: int, num_requests: int
) -> Load:
    """Post a task to be solved `num_requests` times over `num_at_once` connections.

    Raises: RuntimeError for an answer other than 200.
    """
    return asyncio.run(
        _load(host, port, solve_request(host, port, task), num_at_once, num_requests)
    )


async def _load(host: str, port: int, request: bytes, num_at_once: int, num_requests: int) -> Load:
    left = iter(range(num_requests))
    latencies_s: list[float] = []

    async def work() -> None:
        reader, writer = await asyncio.open_connection(host, port)
        try:
            for _ in left:
                start = time.perf_counter()
                writer.write(request)
                await _read_answer(reader)
                latencies_s.append(time.perf_counter() - start)
        finally:
            writer.close()

    start = time.perf_counter()
    await asyncio.gather(*(work() for _ in range(num_at_once)))
    return Load(tuple(sorted(latencies_s)), time.perf_counter() - start)


async def _read_answer(reader: asyncio.StreamReader) -> None:
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    length = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0])
    body = await reader.readexactly(length)
    if not head.startswith(b"http/1.1 200 "):
        raise RuntimeError(f"{head.splitlines()[0].decode()}: {body[:500].decode()}")
