"""Processes that do not outlive the one that started them, not even when that one is killed.

This file is also the program that stands between the two: `python tether.py PARENT COMMAND…`. It
needs nothing but the standard library, and on Linux turns into the command.
"""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import IO

_PR_SET_PDEATHSIG = 1


def start_tethered(
    command: Sequence[str],
    *,
    environment: Mapping[str, str] | None = None,
    output: IO[bytes] | None = None,
    pass_fds: Sequence[int] = (),
) -> subprocess.Popen[bytes]:
    """Start a command in a session of its own that gets SIGTERM when this process is gone.

    Call it from a thread that lives as long as the process: Linux takes the end of the thread that
    started a child for the end of its parent. A session of its own keeps a terminal's Ctrl-C from
    reaching the command before whoever stops it in order.
    """
    is_linux = sys.platform == "linux"
    # No preexec_fn: between fork and exec a process with threads can do next to nothing safely.
    launcher = [sys.executable, "-I", "-S", str(Path(__file__)), str(os.getpid())]
    return subprocess.Popen(
        [*launcher, *command],
        env=environment,
        stdin=subprocess.DEVNULL if is_linux else subprocess.PIPE,
        stdout=output,
        stderr=None if output is None else subprocess.STDOUT,
        pass_fds=pass_fds,
        start_new_session=True,
    )


def kill_tethered(process: subprocess.Popen[bytes]) -> None:
    """Kill a tethered command at once, with what it started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def main(arguments: Sequence[str]) -> int:
    """Run the command under the tether; the arguments are the parent's id and the command."""
    parent, command = int(arguments[0]), list(arguments[1:])
    if sys.platform != "linux":
        return watch(command)
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() == parent:  # else it went before it could be watched
        os.execv(command[0], command)
    return 1


def watch(command: Sequence[str]) -> int:
    """Stay beside the command, and end it when the pipe from the parent closes."""
    # The end of the child must end the wait for the pipe as well.
    signal.signal(signal.SIGCHLD, lambda _number, _frame: os.close(0))
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, close_fds=False)

    def pass_on(number: int, _frame: FrameType | None) -> None:
        child.send_signal(number)

    signal.signal(signal.SIGTERM, pass_on)
    signal.signal(signal.SIGINT, pass_on)
    with contextlib.suppress(OSError):
        while os.read(0, 1):
            pass
    if child.poll() is None:
        child.terminate()
    code = child.wait()
    return code if code >= 0 else 128 - code  # as a shell tells of an end by a signal


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
