"""The supervisor of `hrm-arc serve`: starts, watches and stops Valkey, the workers and the API.

Each part is a separate process: the API never waits for a step of the network, and the parts
outlive each other's crashes.
"""

import http.client
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from subprocess import Popen

import structlog

from service.runtime.devices import isolate, list_devices
from service.runtime.embedded import EmbeddedServer
from service.runtime.hangup import hangup_blocked, on_hangup
from service.runtime.logs import mask_url
from service.runtime.settings import PREFIX, Settings
from service.runtime.tether import kill_tethered, start_tethered
from service.runtime.timing import Backoff
from service.wire.errors import EmbeddedServerError, SettingsError

PROGRAM = (sys.executable, "-P", "-m", "service.cli")
# A part that exits with this has reported a wrong setting: a restart would not help.
BAD_INPUT_CODE = 2
FIRST_PAUSE_S, MAX_PAUSE_S = 0.5, 30.0
# A part that ran this long did not fail during its start.
SETTLED_S = 60.0
# Time for a part to return its jobs and exit, beyond the grace time.
STOP_MARGIN_S = 10.0
_POLL_S = 0.1
_READY_POLL_S = 1.0

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Restarts:
    """When a part may be started again: later with each failure in a row."""

    backoff: Backoff = field(default_factory=lambda: Backoff(FIRST_PAUSE_S, MAX_PAUSE_S))
    started_at: float = 0.0
    start_at: float = 0.0

    def note_end(self, now: float) -> float:
        """Record that the part ended, and return the pause before its next start."""
        if now - self.started_at > SETTLED_S:
            self.backoff.reset()
        pause_s = self.backoff.next_s()
        self.start_at = now + pause_s
        return round(pause_s, 2)


@dataclass(slots=True)
class Part:
    """A process of the service, which is started again whenever it ends.

    `reloads`: whether it reloads checkpoints on SIGHUP.
    """

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    reloads: bool = False
    process: Popen[bytes] | None = None
    restarts: Restarts = field(default_factory=Restarts)

    @property
    def is_running(self) -> bool:
        """Whether the process runs."""
        return self.process is not None and self.process.poll() is None

    def start_if_due(self) -> None:
        """Start the process unless it runs or its pause is not over.

        Raises: SettingsError when it ended because of a setting.
        """
        now = time.monotonic()
        if self.process is not None:
            code = self.process.poll()
            if code is None:
                return
            self.process = None
            if code == BAD_INPUT_CODE:
                raise SettingsError(f"{self.name} could not start: its message above says why")
            pause_s = self.restarts.note_end(now)
            log.warning("part ended", name=self.name, code=code, restart_in_s=pause_s)
        if now >= self.restarts.start_at:
            with hangup_blocked():
                self.process = start_tethered(self.command, environment=self.environment)
            self.restarts.started_at = now

    def kill(self) -> None:
        """End the process at once."""
        if self.process is not None and self.is_running:
            kill_tethered(self.process)


class Supervisor:
    """Runs the whole service on one machine until a signal stops it.

    `say` shows a sentence to the person who started it.
    """

    def __init__(self, settings: Settings, say: Callable[[str], None]) -> None:
        """Check the settings before anything starts.

        Raises: SettingsError for settings that the service cannot run with.
        """
        settings.check_exposure()
        settings.checkpoint_folders()
        self._settings, self._say = settings, say
        self._port = check_port(settings.host, settings.port)
        self._server: EmbeddedServer | None = None
        self._server_restarts = Restarts()
        self._parts: list[Part] = []
        self._num_signals = 0
        self._num_hangups = self._num_reloads = 0

    @property
    def address(self) -> str:
        """Where the service listens, as a URL."""
        host = self._settings.host
        return f"http://{f'[{host}]' if ':' in host else host}:{self._port}"

    def run(self) -> None:
        """Start everything, keep it running, and stop it in order on SIGINT or SIGTERM.

        On SIGHUP the workers reload their checkpoints; when its terminal is closed, it stops.

        Raises: ServiceError when the service cannot run; everything is stopped by then.
        """
        with self._counted_signals():
            try:
                self._start()
                self._watch()
            finally:
                self._stop()

    def _start(self) -> None:
        url = self._settings.redis_url
        if url is None:
            self._server = EmbeddedServer(self._settings.state_folder).start()
            self._server_restarts.started_at = time.monotonic()
            url = self._server.url
            self._say(f"Jobs are kept in {self._server.folder} (embedded Valkey).")
            if self._server.pid is None:
                self._say(
                    "Another `hrm-arc serve` uses this folder: both share one queue, and each "
                    "answers the other's jobs. For a separate queue give another --state-folder."
                )
        else:
            self._say(f"Jobs are kept in {mask_url(url)}.")
        common = self._settings.environment() | {
            f"{PREFIX}REDIS_URL": url,
            f"{PREFIX}PORT": str(self._port),
        }
        self._add_part("api", "api", common)
        devices = list_devices(self._settings.device)
        metrics_port = self._settings.worker_metrics_port
        for index, device in enumerate(devices):
            seen, variables = isolate(device, os.environ)
            variables[f"{PREFIX}DEVICE"] = seen
            if metrics_port:  # 0 lets each worker choose a free port
                variables[f"{PREFIX}WORKER_METRICS_PORT"] = str(metrics_port + index)
            self._add_part(f"worker on {device}", "worker", common | variables)
        self._say(f"Listening on {self.address}, with a worker on {', '.join(devices)}.")
        self._say(
            f"Stop with Ctrl-C: running jobs get {self._settings.grace_s:g} s to finish, waiting "
            "ones are kept."
        )

    def _add_part(self, name: str, command: str, settings: Mapping[str, str]) -> None:
        others = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
        part = Part(name, (*PROGRAM, command), {**others, **settings}, command == "worker")
        self._parts.append(part)
        part.start_if_due()

    def _watch(self) -> None:
        started_at = ask_again_at = time.monotonic()
        is_ready = False
        while not self._num_signals:
            self._restart_server_if_due()
            for part in self._parts:
                part.start_if_due()
            self._reload_if_asked()
            if not is_ready and time.monotonic() >= ask_again_at:
                is_ready = answers_ready(self._settings.host, self._port)
                ask_again_at = time.monotonic() + _READY_POLL_S
                if is_ready:
                    self._say(f"Ready after {time.monotonic() - started_at:.0f} s.")
            time.sleep(_POLL_S)

    def _reload_if_asked(self) -> None:
        num_hangups = self._num_hangups
        if num_hangups == self._num_reloads:
            return
        self._num_reloads = num_hangups
        self._say("Reloading the checkpoints.")
        for part in self._parts:
            if part.reloads and part.process is not None and part.is_running:
                part.process.send_signal(signal.SIGHUP)

    def _restart_server_if_due(self) -> None:
        server, now = self._server, time.monotonic()
        if server is None or server.is_running or now < self._server_restarts.start_at:
            return
        # The pause begins with the start, not the end: nothing works without the server.
        pause_s = self._server_restarts.note_end(now)
        log.warning("part ended", name="valkey", next_restart_in_s=pause_s)
        try:
            server.start()
            self._server_restarts.started_at = now
        except EmbeddedServerError as error:
            log.error("valkey does not start", reason=str(error))

    def _stop(self) -> None:
        if any(part.is_running for part in self._parts):
            self._say("Stopping: running jobs may finish. Ctrl-C again ends them at once.")
        # The API first, so that no job arrives while the workers finish.
        for part in self._parts:
            if part.process is not None:
                part.process.terminate()
        deadline = time.monotonic() + self._settings.grace_s + STOP_MARGIN_S
        num_before = self._num_signals
        while any(part.is_running for part in self._parts):
            if time.monotonic() > deadline or self._num_signals > num_before:
                for part in self._parts:
                    part.kill()
            time.sleep(_POLL_S)
        if self._server is not None:
            self._server.stop()
        if self._num_signals:
            self._say("Stopped.")

    @contextmanager
    def _counted_signals(self) -> Iterator[None]:
        def count(*_: object) -> None:
            self._num_signals += 1

        def count_hangup() -> None:
            self._num_hangups += 1

        numbers = (signal.SIGINT, signal.SIGTERM)
        before = {number: signal.signal(number, count) for number in numbers}
        before[signal.SIGHUP] = on_hangup(count_hangup, count)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def check_port(host: str, port: int) -> int:
    """Return the port to listen on, a free one for 0.

    Raises: SettingsError when the port is taken or the host is not an address of this machine.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            trial.bind(address)
            trial.listen()
            return int(trial.getsockname()[1])
    except OSError as error:
        raise SettingsError(
            f"cannot listen on {host}, port {port} ({error.strerror}): choose another with --host "
            "and --port (HRM_ARC_HOST, HRM_ARC_PORT), or stop the program that listens there"
        ) from error


def answers_ready(host: str, port: int) -> bool:
    """Whether the service reports that it is ready."""
    # Compared, not listened on.
    reachable = {"0.0.0.0": "127.0.0.1", "": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104
    try:
        with closing(http.client.HTTPConnection(reachable, port, timeout=2.0)) as connection:
            connection.request("GET", "/health/ready")
            return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
