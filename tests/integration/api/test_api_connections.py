"""Connections to a real process: those that no key was asked of yet do not slow it down."""

import json
import socket
from contextlib import ExitStack, suppress
from pathlib import Path

import httpx
import pytest
from conftest import Served, Worker, serving

MEBIBYTE = 2**20
TIMEOUT_S = 60
HALF = b"GET /v1/jobs HTTP/1.1\r\nHost: localhost\r\nX: "
MAX_CPU_S = 1.0
MAX_GROWTH_MB = 16.0


def connect(served: Served) -> socket.socket:
    return socket.create_connection(("127.0.0.1", served.port), timeout=TIMEOUT_S)


@pytest.mark.parametrize(
    ("head", "status", "code"),
    [(HALF, 431, "headers_too_large"), (b"GET /", 414, "url_too_long")],
)
def test_an_endless_head_is_refused_and_costs_nothing(
    served: Served, head: bytes, status: int, code: str
) -> None:
    served.forget_peak()
    before_mb, before_s = served.memory_mb("VmRSS"), served.cpu_s()
    with connect(served) as connection:
        connection.sendall(head + b"a" * 65_536)
        answer = connection.makefile("rb").read()
        with suppress(OSError):  # it is cut off after a while
            for _ in range(100):
                connection.sendall(b"a" * MEBIBYTE)
    assert answer.startswith(b"HTTP/1.1 %d " % status)
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["code"] == code
    assert served.cpu_s() - before_s < MAX_CPU_S
    assert served.memory_mb("VmHWM") - before_mb < MAX_GROWTH_MB


def test_a_body_that_never_comes_is_answered_when_the_service_stops(
    valkey_url: str, tmp_path: Path
) -> None:
    log = tmp_path / "api.log"
    head = b"POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    with serving(valkey_url, log, HRM_ARC_GRACE_S="1") as served, connect(served) as connection:
        connection.sendall(head + b"Content-Length: 9\r\nExpect: 100-continue\r\n\r\n")
        assert connection.recv(100).startswith(b"HTTP/1.1 100 ")  # the body is being waited for
        served.process.terminate()
        answer = connection.makefile("rb").read()
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["code"] == "not_ready"
    assert "Traceback" not in log.read_text("utf-8")


def test_half_requests_make_room_for_whole_ones(
    valkey_url: str, worker: Worker, tmp_path: Path
) -> None:
    variables = {"HRM_ARC_MAX_CONNECTIONS": "20"}
    with serving(valkey_url, tmp_path / "api.log", **variables) as served, ExitStack() as opened:
        half = [opened.enter_context(connect(served)) for _ in range(50)]
        for connection in half:
            with suppress(OSError):
                connection.sendall(HALF)
        assert httpx.get(f"{served.url}/health/live", timeout=TIMEOUT_S).status_code == 200
        for connection in half[:25]:
            with suppress(ConnectionResetError):
                assert connection.recv(1) == b""
