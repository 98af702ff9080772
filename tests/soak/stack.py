"""The processes of the service, each of which can be killed and is started again."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import httpx
import redis

from bench.stack import API, HOST, free_port
from service.runtime.embedded import EmbeddedServer
from service.runtime.settings import PREFIX
from service.runtime.tether import kill_tethered, start_tethered
from soak.clock import ServerClock

ROOT = Path(__file__).parents[2]
WORKER_PROGRAM = str(Path(__file__).with_name("worker.py"))
LEASE_S = 3.0
GRACE_S = 3.0
MAX_BODY_BYTES = 32 * 1024
MAX_ATTEMPTS = 4
SETTINGS = {
    "strict_durability": "true",
    "lease_s": LEASE_S,
    "grace_s": GRACE_S,
    "max_attempts": MAX_ATTEMPTS,
    "max_jobs": 16,
    "max_queued": 500,
    "max_connections": 150,
    "max_body_bytes": MAX_BODY_BYTES,
    "shard_above": 8,
    "adapt_max_s": 30,
    "adapt_gather_s": 0.3,
    "adapt_snapshot_s": 1,
    "device": "cpu",
    "threads": 1,
    "log_format": "json",
    "worker_metrics_port": 0,
}
READY_LIMIT_S = 300.0
MAX_MEMORY = 512 * 2**20


class Part:
    """A process of the service; `is_wanted`: it is to be started again when it ends."""

    def __init__(
        self, name: str, command: Sequence[str], environment: Mapping[str, str], folder: Path
    ) -> None:
        self.name = name
        self.log_path = folder / f"{name}.log"
        self._command, self._environment = command, environment
        self._process: subprocess.Popen[bytes] | None = None
        self.is_wanted = True
        self.start_at = 0.0

    @property
    def pid(self) -> int | None:
        """The id of the process while it runs."""
        is_running = self._process is not None and self._process.poll() is None
        return self._process.pid if self._process is not None and is_running else None

    def start(self) -> None:
        """Start the process; it is ready some seconds later."""
        with self.log_path.open("ab") as log:
            self._process = start_tethered(self._command, environment=self._environment, output=log)

    def signal(self, number: int) -> None:
        """Send a signal, if the process runs."""
        if self.pid is not None and self._process is not None:
            self._process.send_signal(number)

    def kill(self) -> None:
        """End the process as a power cut would."""
        self.signal(signal.SIGKILL)
        self.wait(60.0)

    def wait(self, timeout_s: float) -> int | None:
        """Wait for the end of the process; return its code, None where it does not end in time."""
        try:
            return None if self._process is None else self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return None

    def close(self) -> None:
        """End the process and what it started."""
        if self.pid is not None and self._process is not None:
            kill_tethered(self._process)
            self._process.wait()


class Stack:
    """Valkey, the API and two workers on this machine."""

    def __init__(self, folder: Path, checkpoints: Path, step_s: float) -> None:
        self.folder = folder
        self.poison = folder / "poison"
        self.clock = ServerClock(folder)
        self.server = EmbeddedServer(folder / "state")
        self.server_start_at: float | None = None
        self._start_server()
        self.port = free_port()
        own = SETTINGS | {
            "redis_url": self.server.url,
            "checkpoints": checkpoints,
            "host": HOST,
            "port": self.port,
            "state_folder": folder / "state",
        }
        others = {name: text for name, text in os.environ.items() if not name.startswith(PREFIX)}
        others |= {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
        shared = others | {f"{PREFIX}{name.upper()}": str(value) for name, value in own.items()}
        worker = (sys.executable, WORKER_PROGRAM, str(self.poison), str(step_s))
        self.api = Part("api", API, shared, folder)
        self.workers = [
            Part(name, worker, shared | {f"{PREFIX}WORKER_ID": name}, folder)
            for name in ("one", "two")
        ]
        self.parts = [self.api, *self.workers]
        # The timeout is for a server that is paused by the thread that asks.
        self.redis = redis.Redis.from_url(self.server.url, socket_timeout=2.0)

    @property
    def url(self) -> str:
        """The address of the API."""
        return f"http://{HOST}:{self.port}"

    @property
    def all_ready(self) -> bool:
        """Whether every worker is ready."""
        with httpx.Client(base_url=self.url, timeout=10.0) as client:
            try:
                found = client.get("/health/ready").json().get("workers")
            except (httpx.HTTPError, ValueError):
                return False
        return found == len(self.workers)

    def start(self) -> None:
        """Start every part, and wait until the workers are ready.

        Raises: TimeoutError.
        """
        for part in self.parts:
            part.start()
        deadline = time.monotonic() + READY_LIMIT_S
        while not self.all_ready:
            if time.monotonic() > deadline:
                raise TimeoutError(f"the service did not become ready: see {self.folder}")
            time.sleep(0.2)

    def keep_running(self, now: float) -> list[str]:
        """Start again what has ended and is due; return the names of what has ended by itself."""
        ended = []
        if self.server_start_at is not None and now >= self.server_start_at:
            self._start_server()
            self.server_start_at = None
        for part in self.parts:
            if part.is_wanted and part.pid is None and now >= part.start_at:
                if part.start_at == 0.0:
                    ended.append(part.name)
                part.start()
                part.start_at = 0.0
        return ended

    def kill_server(self, start_at: float) -> None:
        """Kill Valkey, to be started again at a time of the monotonic clock."""
        if self.server.pid is not None:
            os.kill(self.server.pid, signal.SIGKILL)
        self.server_start_at = start_at

    def close(self) -> None:
        """End everything."""
        self.redis.close()
        for part in self.parts:
            part.close()
        self.server.stop()

    def _start_server(self) -> None:
        with self.clock.preloaded():
            self.server.start()
        with redis.Redis.from_url(self.server.url) as client:
            client.config_set("maxmemory", MAX_MEMORY)
