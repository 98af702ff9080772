"""Hostile bodies against a real process: refused quickly, and its memory stays flat."""

import json
import socket
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from conftest import Served

from service.api.examples import TASK

MEBIBYTE = 2**20
MAX_GROWTH_MB = 64.0
MAX_CPU_S = 1.0
JSON = {"Content-Type": "application/json"}


def task_with(members: bytes) -> bytes:
    return json.dumps(TASK).encode()[:-1] + b"," + members + b"}"


def wrong_everywhere() -> bytes:
    grid: list[Any] = [[False] * 30] * 30
    pair = {"input": grid, "output": grid}
    return json.dumps({"train": [pair] * 10, "test": [pair] * 10}).encode()


BODIES: dict[str, Callable[[], bytes]] = {
    "50 MB of zeros": lambda: b"0" * (50 * MEBIBYTE),
    "50 MB of test inputs": lambda: b'{"test":[' + b'{"input":[[0]]},' * (3 * MEBIBYTE),
    "10^6 test inputs": lambda: (
        b'{"train":[],"test":[' + b'{"input":[[0]]},' * 999_999 + b'{"input":[[0]]}]}'
    ),
    "test inputs up to the limit": lambda: (
        b'{"train":[],"test":[' + b'{"input":[[0]]},' * 250_000 + b'{"input":[[0]]}]}'
    ),
    "empty lists up to the limit": lambda: b'{"test":[' + b"[]," * 1_300_000 + b"0]}",
    "unknown members up to the limit": lambda: (
        b"{" + b",".join(b'"k%d":0' % number for number in range(300_000)) + b"}"
    ),
    "lists nested deep": lambda: b"[" * (4 * MEBIBYTE - 1),
    "objects nested deep": lambda: b'{"train":' * 400_000,
    "a name of 4 MB": lambda: b'{"name":"' + b"n" * (4 * MEBIBYTE - 100) + b'"}',
    "a number of 4 million digits": lambda: task_with(b'"name":' + b"9" * (4 * MEBIBYTE - 1000)),
    "numbers of 4,000 digits": lambda: b'{"test":[' + b",".join([b"9" * 4_000] * 1_000) + b"]}",
    "blanks up to the limit": lambda: b" " * (4 * MEBIBYTE),
    "NaN and Infinity": lambda: task_with(b'"options":{"deadline_s":NaN,"seed":Infinity}'),
    "every cell wrong": wrong_everywhere,
    "wrong types": lambda: b'{"train":"x","test":{"a":[1]},"name":[],"options":7}',
    "bytes that are no UTF-8": lambda: task_with(b'"name":"\xff\xfe\xfd"'),
    "half a surrogate": lambda: task_with(b'"name":"\\ud800"'),
    "nothing": lambda: b"",
}


@pytest.mark.parametrize("address", ["/v1/solve", "/v1/jobs"])
def test_hostile_bodies_are_refused_quickly_in_flat_memory(served: Served, address: str) -> None:
    with httpx.Client(base_url=served.url, timeout=60) as client:
        assert client.post("/v1/jobs", json=TASK).status_code == 202  # everything is loaded
        before_mb = served.memory_mb("VmRSS")
        served.forget_peak()
        for name, make in BODIES.items():
            body = make()
            cpu_before_s = served.cpu_s()
            answer = client.post(address, content=body, headers=JSON)
            cpu_s = served.cpu_s() - cpu_before_s
            assert 400 <= answer.status_code < 500, name
            assert answer.headers["content-type"] == "application/problem+json", name
            assert len(answer.content) < 20_000, name
            assert cpu_s < MAX_CPU_S, f"{name}: {cpu_s:.2f} s"
            if len(body) > 5 * MEBIBYTE:
                assert answer.status_code == 413, name
            growth_mb = served.memory_mb("VmHWM") - before_mb
            assert growth_mb < MAX_GROWTH_MB, f"{name}: {growth_mb:.0f} MB"
        assert client.post("/v1/jobs", json=TASK).status_code == 202


def test_a_body_without_a_length_is_cut_off_at_the_limit(served: Served) -> None:
    sent = 0

    def endless() -> Iterator[bytes]:
        nonlocal sent
        for _ in range(50 * 16):
            sent += MEBIBYTE // 16
            yield b" " * (MEBIBYTE // 16)

    served.forget_peak()
    before_mb = served.memory_mb("VmRSS")
    with httpx.Client(base_url=served.url, timeout=60) as client:
        answer = client.post("/v1/solve", content=endless(), headers=JSON)
    assert answer.status_code == 413
    assert sent < 50 * MEBIBYTE  # the rest was not waited for
    assert served.memory_mb("VmHWM") - before_mb < MAX_GROWTH_MB


def raw(served: Served, length: int, body: bytes) -> bytes:
    """Send a body under a length that is a lie, and read what comes back."""
    head = (
        f"POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"Content-Length: {length}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", served.port), timeout=30) as connection:
        answer = b""
        try:
            connection.sendall(head.encode() + body)
            connection.shutdown(socket.SHUT_WR)
            while part := connection.recv(65_536):
                answer += part
        except (BrokenPipeError, ConnectionResetError):
            pass  # it does not listen to the rest
        return answer


def test_a_length_that_is_a_lie_helps_nobody(served: Served) -> None:
    served.forget_peak()
    before_mb = served.memory_mb("VmRSS")
    # Too short a length: the rest is no request, and the connection ends.
    answer = raw(served, 10, b"x" * (50 * MEBIBYTE))
    assert answer == b"" or answer.startswith(b"HTTP/1.1 400 ")
    # Too long a one: refused on its word alone, before a byte of the body.
    assert raw(served, 50 * MEBIBYTE, b"").startswith(b"HTTP/1.1 413 ")
    # And one that never comes true: nobody is there to be answered.
    assert b" 500 " not in raw(served, 1_000, b"{}")
    assert served.memory_mb("VmHWM") - before_mb < MAX_GROWTH_MB
    assert httpx.get(f"{served.url}/health/live").status_code == 200
