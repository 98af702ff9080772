"""A service of real processes on this machine, for measurements and tests, and load on it.

The load takes little of the processor that it shares with the service. A request of httpx costs a
millisecond of the processor, half a core at the measured rates. Here the request's bytes are made
once, and only the status and length of a reply are read.
"""

import asyncio
import gc
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from service.runtime.settings import PREFIX
from service.runtime.supervisor import answers_ready, check_port
from service.runtime.tether import kill_tethered, start_tethered

HOST = "127.0.0.1"
API = (sys.executable, "-m", "service.cli", "api")
WORKER = (sys.executable, "-m", "service.cli", "worker")
FAKE_WORKER = (sys.executable, "-m", "bench.fake_engine")
READY_LIMIT_S = 240.0  # a busy machine takes its time to import torch
STOP_LIMIT_S = 40.0
LOG_TAIL = 4000


@dataclass(frozen=True, slots=True)
class Service:
    """A running service: its address, and its processes."""

    host: str
    port: int
    api: subprocess.Popen[bytes]
    workers: tuple[subprocess.Popen[bytes], ...]

    @property
    def worker(self) -> subprocess.Popen[bytes]:
        """The first worker."""
        return self.workers[0]

    @property
    def url(self) -> str:
        """The address that it listens on."""
        return f"http://{self.host}:{self.port}"


@contextmanager
def running_service(
    redis_url: str,
    checkpoints: Path,
    log_folder: Path,
    *,
    worker: Sequence[str] = FAKE_WORKER,
    settings: Mapping[str, str] | None = None,
    devices: Sequence[str] = ("cpu",),
) -> Iterator[Service]:
    """Run an API and a worker on each device until the context is left; wait until one is ready.

    `settings` by names without the prefix: {"max_queued": "3"}.

    Raises: RuntimeError with the logs when it does not become ready.
    """
    port = free_port()
    environment = {name: text for name, text in os.environ.items() if not name.startswith(PREFIX)}
    own = {
        "redis_url": redis_url,
        "checkpoints": str(checkpoints),
        "host": HOST,
        "port": str(port),
        "allow_unverified": "true",
        # Not the caller's folder, which may contain adapted checkpoints.
        "state_folder": str(log_folder / "worker-state"),
        "log_level": "warning",
        "grace_s": "5",
    }
    environment |= {f"{PREFIX}{k.upper()}": v for k, v in (own | dict(settings or {})).items()}
    # The networks are too small to gain from threads.
    environment |= {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[1])}
    with ExitStack() as stack:
        api = stack.enter_context(running(API, log_folder / "api.log", environment))
        workers = tuple(
            stack.enter_context(
                running(
                    worker,
                    log_folder / f"worker{index or ''}.log",
                    {f"{PREFIX}DEVICE": device} | environment,
                )
            )
            for index, device in enumerate(devices)
        )
        service = Service(HOST, port, api, workers)
        _wait_until_ready(service, log_folder)
        yield service


@contextmanager
def running(
    command: Sequence[str], log_path: Path, environment: Mapping[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a process until the context is left; its output goes to a file."""
    log_path.parent.mkdir(parents=True, exist_ok=True)
    with log_path.open("ab") as log:
        process = start_tethered(command, environment=environment, output=log)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_LIMIT_S)
        except subprocess.TimeoutExpired:
            kill_tethered(process)
            process.wait()


def free_port() -> int:
    """Return a free port of this machine."""
    return check_port(HOST, 0)


def _wait_until_ready(service: Service, log_folder: Path) -> None:
    deadline = time.monotonic() + READY_LIMIT_S
    while not answers_ready(service.host, service.port):
        ended = [p for p in (service.api, *service.workers) if p.poll() is not None]
        if ended or time.monotonic() > deadline:
            text = "\n".join(
                f"--- {path.name}\n{path.read_text('utf-8', 'replace')[-LOG_TAIL:]}"
                for path in (log_folder / "api.log", *sorted(log_folder.glob("worker*.log")))
            )
            raise RuntimeError(f"the service did not become ready:\n{text}")
        time.sleep(0.1)


@dataclass(frozen=True, slots=True)
class Load:
    """The results of a run of load.

    Units: seconds; `latencies_s` are from request to answer, sorted.
    """

    latencies_s: tuple[float, ...]
    wall_s: float

    @property
    def rate(self) -> float:
        """Answers per second."""
        return len(self.latencies_s) / self.wall_s

    def percentile_ms(self, percent: float) -> float:
        """Return the latency that the given percentage of the answers does not exceed."""
        last = len(self.latencies_s) - 1
        return 1e3 * self.latencies_s[min(last, int(len(self.latencies_s) * percent / 100))]


def load(service: Service, task: Mapping[str, Any], num_at_once: int, num_requests: int) -> Load:
    """Post a task to be solved `num_requests` times over `num_at_once` connections.

    Raises: RuntimeError for an answer other than 200.
    """
    body = json.dumps(task, separators=(",", ":")).encode()
    lines = [
        "POST /v1/solve HTTP/1.1",
        f"Host: {service.host}:{service.port}",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        "",
        "",
    ]
    request = "\r\n".join(lines).encode() + body
    gc.freeze()  # what a collection takes would depend on what else this process has loaded
    return asyncio.run(_load(service, request, num_at_once, num_requests))


async def _load(service: Service, request: bytes, num_at_once: int, num_requests: int) -> Load:
    left = iter(range(num_requests))
    latencies_s: list[float] = []

    async def work() -> None:
        reader, writer = await asyncio.open_connection(service.host, service.port)
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
