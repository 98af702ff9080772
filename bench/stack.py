"""A service of real processes on this machine, for measurements and tests."""

import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from service.runtime.settings import PREFIX
from service.runtime.tether import kill_tethered, start_tethered

API = (sys.executable, "-m", "service.cli", "api")
WORKER = (sys.executable, "-m", "service.cli", "worker")
FAKE_WORKER = (sys.executable, "-m", "bench.fake_worker")
READY_LIMIT_S = 240.0  # a busy machine takes its time to import torch
STOP_LIMIT_S = 40.0
LOG_TAIL = 4000


@dataclass(frozen=True, slots=True)
class Service:
    """A running service: its address, and its processes."""

    host: str
    port: int
    api: subprocess.Popen[bytes]
    worker: subprocess.Popen[bytes]

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
) -> Iterator[Service]:
    """Run an API and a worker on a Redis until the context is left; wait until they are ready.

    `settings` by names without the prefix: {"max_queued": "3"}.

    Raises: RuntimeError with the logs when it does not become ready.
    """
    host, port = "127.0.0.1", free_port()
    environment = {name: text for name, text in os.environ.items() if not name.startswith(PREFIX)}
    own = {
        "redis_url": redis_url,
        "checkpoints": str(checkpoints),
        "host": host,
        "port": str(port),
        "allow_unverified": "true",
        # Not the caller's folder, which may contain adapted checkpoints.
        "state_folder": str(log_folder / "worker-state"),
        "device": "cpu",
        "log_level": "warning",
        "grace_s": "5",
    }
    environment |= {f"{PREFIX}{k.upper()}": v for k, v in (own | dict(settings or {})).items()}
    # The networks are too small to gain from threads.
    environment |= {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[1])}
    with ExitStack() as stack:
        api = stack.enter_context(running(API, log_folder / "api.log", environment))
        computing = stack.enter_context(running(worker, log_folder / "worker.log", environment))
        service = Service(host, port, api, computing)
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
    with socket.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        return int(trial.getsockname()[1])


def _wait_until_ready(service: Service, log_folder: Path) -> None:
    deadline = time.monotonic() + READY_LIMIT_S
    while not _is_ready(service):
        ended = [p for p in (service.api, service.worker) if p.poll() is not None]
        if ended or time.monotonic() > deadline:
            logs = [
                (name, (log_folder / name).read_text("utf-8", "replace")[-LOG_TAIL:])
                for name in ("api.log", "worker.log")
            ]
            text = "\n".join(f"--- {name}\n{tail}" for name, tail in logs)
            raise RuntimeError(f"the service did not become ready:\n{text}")
        time.sleep(0.1)


def _is_ready(service: Service) -> bool:
    connection = http.client.HTTPConnection(service.host, service.port, timeout=2.0)
    try:
        connection.request("GET", "/health/ready")
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
