"""What tests of the API share: the app on a real Valkey, and a worker that follows a script."""

import asyncio
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import httpx
import pytest
import redis

from augment import parse_task
from service.api import create_app
from service.api.examples import FINISHED_JOB, TASK
from service.jobs import (
    CheckpointRecord,
    Claims,
    Failure,
    Job,
    KnownPuzzle,
    WorkerRecord,
)
from service.runtime.settings import Settings
from service.wire.answer import Answer
from service.wire.checkpoint import Finding

KNOWN_HASH = parse_task(TASK, "known").puzzle.demonstrations_hash
ANSWER = Answer.model_validate(FINISHED_JOB["result"]).to_json().decode()
DEMO = CheckpointRecord(
    name="demo",
    sha256="d" * 64,
    architecture="trm",
    canvas=10,
    parameters=1_000,
    rows=129,
    puzzles=3,
    halt_max_steps=16,
    finding=Finding.ALIGNED,
    verdict="aligned",
    base=True,
)
OTHER = DEMO.model_copy(update={"name": "other", "sha256": "e" * 64, "canvas": 30, "puzzles": 0})
PUZZLES = tuple(
    KnownPuzzle(name=f"p{number}", demonstrations_sha256=f"{number}" * 64, variants=8)
    for number in range(2)
)


class Worker:
    """A worker without an engine: tests say what becomes of a job."""

    def __init__(self, url: str) -> None:
        self.claims = Claims(url, worker_id="w1", lease_s=30)
        self.claims.publish_puzzles(
            DEMO.sha256,
            [KnownPuzzle(name="6150a2bd", demonstrations_sha256=KNOWN_HASH, variants=8), *PUZZLES],
        )
        self._record: WorkerRecord | None = None
        self._over = threading.Event()
        self._heart = threading.Thread(target=self._beat)
        self._heart.start()

    def register(
        self,
        *checkpoints: CheckpointRecord,
        state: Literal["starting", "ready", "stalled", "draining"] = "ready",
    ) -> None:
        self._record = WorkerRecord(
            id="w1",
            host="here",
            device="cpu",
            state=state,
            num_running=0,
            num_slots=8,
            checkpoints=checkpoints or (DEMO, OTHER),
            started_at=0.0,
        )
        self.claims.register(self._record)

    def close(self) -> None:
        self._over.set()
        self._heart.join()
        self.claims.close()

    def _beat(self) -> None:
        # A process that is slow to start must still find the worker there.
        while not self._over.wait(2):
            if self._record is not None:
                self.claims.register(self._record)

    def claim(self) -> Job:
        (claim,) = self.claims.claim(1, 5.0)
        return claim

    def finish(self, claim: Job | None = None) -> Job:
        job = claim or self.claim()
        assert self.claims.succeed(job.id, ANSWER.encode())
        return job

    def fail(self, code: str, detail: str = "it went wrong") -> Job:
        job = self.claim()
        assert self.claims.fail(job.id, Failure(code, detail))
        return job

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Finish whatever comes, as a real worker would."""
        over = threading.Event()

        def work() -> None:
            while not over.is_set():
                for claim in self.claims.claim(8, 0.1):
                    self.claims.succeed(claim.id, ANSWER.encode())

        thread = threading.Thread(target=work)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()


class Transport(httpx.ASGITransport):
    """Calls the app in this process; says when an answer's body begins, to who asks for it."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        begun: asyncio.Event | None = request.extensions.get("begun")

        async def announced(scope: Any, receive: Any, send: Any) -> None:
            async def passed_on(message: Any) -> None:
                await send(message)
                if begun is not None and message.get("body"):
                    begun.set()

            await self.app(scope, receive, passed_on)

        return await httpx.ASGITransport(app=announced).handle_async_request(request)


async def follow(client: httpx.AsyncClient, address: str) -> asyncio.Task[httpx.Response]:
    """Begin to receive a stream of events; return when its first one has been sent."""
    begun = asyncio.Event()
    following = asyncio.create_task(client.get(address, extensions={"begun": begun}))
    await asyncio.wait_for(begun.wait(), 30)
    return following


def parse_events(text: str) -> list[tuple[str, str, dict[str, Any]]]:
    """Read a stream as (kind, id, data), without its comments."""
    events = []
    for block in filter(None, text.split("\n\n")):
        fields = dict(line.split(": ", 1) for line in block.split("\n") if not line.startswith(":"))
        if fields:
            events.append((fields["event"], fields["id"], json.loads(fields["data"])))
    return events


Open = Callable[..., AbstractAsyncContextManager[httpx.AsyncClient]]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def worker(valkey_url: str, fresh_redis: "redis.Redis") -> Iterator[Worker]:
    """Return a worker that is registered and serves `demo` and `other`."""
    worker = Worker(valkey_url)
    worker.register()
    yield worker
    worker.close()


@pytest.fixture
def open_client(valkey_url: str, fresh_redis: "redis.Redis") -> Open:
    """Return what opens an app with settings, and a client of it in this process."""

    @asynccontextmanager
    async def opened(**settings: Any) -> AsyncIterator[httpx.AsyncClient]:
        app = create_app(Settings(redis_url=valkey_url, strict_durability=False, **settings))
        async with app.router.lifespan_context(app):
            transport = Transport(app=app)
            async with httpx.AsyncClient(
                transport=transport, base_url="http://localhost"
            ) as client:
                yield client

    return opened


@pytest.fixture
async def client(open_client: Open, worker: Worker) -> AsyncIterator[httpx.AsyncClient]:
    """Return a client of an app with the usual settings, with a worker registered."""
    async with open_client() as opened:
        yield opened


@dataclass(frozen=True, slots=True)
class Served:
    """A process that serves the API."""

    url: str
    process: subprocess.Popen[bytes]

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    def memory_mb(self, what: Literal["VmRSS", "VmHWM"]) -> float:
        """Megabytes that it takes now (VmRSS), or took at the most (VmHWM)."""
        status = Path(f"/proc/{self.process.pid}/status").read_text(encoding="ascii")
        (line,) = (line for line in status.splitlines() if line.startswith(what))
        return int(line.split()[1]) / 1024

    def forget_peak(self) -> None:
        Path(f"/proc/{self.process.pid}/clear_refs").write_text("5", encoding="ascii")

    def cpu_s(self) -> float:
        """Seconds that it has computed, however busy the machine is with other things."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text(encoding="ascii")
        user, system = fields.rpartition(")")[2].split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


_PROGRAM = """
from service.api import run_api
from service.runtime.logs import configure_logging
from service.runtime.settings import Settings
settings = Settings.load()
configure_logging(settings, "api")
raise SystemExit(run_api(settings))
"""


@contextmanager
def serving(valkey_url: str, log: Path, **variables: str) -> Iterator[Served]:
    """Serve the API in a process of its own, its log in a file."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = os.environ | {
        "HRM_ARC_REDIS_URL": valkey_url,
        "HRM_ARC_PORT": str(port),
        "HRM_ARC_STRICT_DURABILITY": "false",
        **variables,
    }
    with (
        log.open("wb") as file,
        subprocess.Popen(
            [sys.executable, "-c", _PROGRAM], env=environment, stdout=file, stderr=file
        ) as process,
    ):
        served = Served(f"http://127.0.0.1:{port}", process)
        try:
            _wait_until_alive(served, log)
            yield served
        finally:
            process.terminate()
            process.wait(30)


def _wait_until_alive(served: Served, log: Path) -> None:
    give_up_at = time.monotonic() + 60
    while time.monotonic() < give_up_at and served.process.poll() is None:
        try:
            if httpx.get(f"{served.url}/health/live").status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.1)
    pytest.fail(f"the API did not start: {log.read_text(encoding='utf-8')}")


@pytest.fixture
def served(valkey_url: str, worker: Worker, tmp_path: Path) -> Iterator[Served]:
    """Return the API as a process, with a worker registered."""
    with serving(valkey_url, tmp_path / "api.log") as served:
        yield served
