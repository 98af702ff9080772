"""Child processes that end with their parent, even when the parent is killed.

This file is also the launcher between the two: `python tether.py PARENT COMMAND…`. It needs only
the standard library, and on Linux it is replaced by the command.
"""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import IO

_PR_SET_PDEATHSIG = 1
# The process ids of the parent and of the command.
_PARENT = "TETHERED_TO"
# How long a command may take to end after its parent was killed.
ORPHAN_LIMIT_S = 5.0
_POLL_S = 0.25


def start_tethered(
    command: Sequence[str],
    *,
    environment: Mapping[str, str] | None = None,
    output: IO[bytes] | None = None,
    pass_fds: Sequence[int] = (),
) -> subprocess.Popen[bytes]:
    """Start a command in a new session; it receives SIGTERM when this process ends.

    Call this from a thread that lives as long as the process: on Linux the signal is sent at the
    end of the thread that started the child. The new session keeps a terminal's Ctrl-C from the
    command, so that the parent can stop its children in order.
    """
    is_linux = sys.platform == "linux"
    # No preexec_fn: it is not safe in a process with threads.
    launcher = [sys.executable, "-I", "-S", str(Path(__file__)), str(os.getpid())]
    return subprocess.Popen(  # noqa: S603 - commands are the product's own, without a shell
        [*launcher, *command],
        env=environment,
        stdin=subprocess.DEVNULL if is_linux else subprocess.PIPE,
        stdout=output,
        stderr=None if output is None else subprocess.STDOUT,
        pass_fds=pass_fds,
        start_new_session=True,
    )


def kill_tethered(process: subprocess.Popen[bytes]) -> None:
    """Kill a tethered command and its children."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def has_lost_parent() -> bool:
    """Whether the process that started this one by `start_tethered` has ended.

    Known on Linux only; False elsewhere, and for a process that was started otherwise.
    """
    return _is_tethered() and os.getppid() != int(os.environ[_PARENT].split()[0])


def _is_tethered() -> bool:
    """Whether `start_tethered` started this process, and not one from which it has the variable."""
    return os.environ.get(_PARENT, "").endswith(f" {os.getpid()}")


def end_with_parent(stop: Callable[[], None], limit_s: float = ORPHAN_LIMIT_S) -> None:
    """Call `stop` from a thread once the parent has ended, and end the process after the limit.

    The signal alone does not suffice: it may come while the parent's other threads still end, and
    then nothing says yet that the parent was killed and does not wait for an orderly stop.

    Units: limit_s from the end of the parent on.
    """

    def watch_parent() -> None:
        while not has_lost_parent():
            time.sleep(_POLL_S)
        stop()
        time.sleep(limit_s)
        os._exit(1)

    if _is_tethered():
        threading.Thread(target=watch_parent, name="tether", daemon=True).start()


def main(arguments: Sequence[str]) -> int:
    """Run a command; the arguments are the parent's process id and the command."""
    parent, command = int(arguments[0]), list(arguments[1:])
    if sys.platform != "linux":
        return watch(command)
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() == parent:  # otherwise the parent has already ended
        # The command that `start_tethered` was given; no shell is wanted.
        variables = {**os.environ, _PARENT: f"{parent} {os.getpid()}"}
        os.execve(command[0], command, variables)  # noqa: S606
    return 1


def watch(command: Sequence[str]) -> int:
    """Run the command as a child, and end it when the pipe from the parent closes."""
    # The end of the child must also end the wait for the pipe.
    signal.signal(signal.SIGCHLD, lambda _number, _frame: os.close(0))
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, close_fds=False)  # noqa: S603 - as above

    def pass_on(number: int, _frame: FrameType | None) -> None:
        child.send_signal(number)

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, pass_on)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})  # the child decides for itself
    with contextlib.suppress(OSError):
        while os.read(0, 1):
            pass
    if child.poll() is None:
        child.terminate()
    code = child.wait()
    return code if code >= 0 else 128 - code  # as shells report an end by a signal


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
