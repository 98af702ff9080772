"""SIGHUP asks for a reload, or stops a program with its terminal."""

import fcntl
import os
import signal
import subprocess
import sys
import termios

from service.runtime.supervisor import Part


def test_a_signal_asks_for_a_reload_and_a_closed_terminal_for_the_end() -> None:
    program = """
import os, signal, time
from service.runtime.hangup import on_hangup
calls = []
on_hangup(lambda: calls.append("reload"), lambda: calls.append("stop"))
os.kill(os.getpid(), signal.SIGHUP)
print(*calls, flush=True)
deadline = time.monotonic() + 60
while len(calls) < 2 and time.monotonic() < deadline:
    time.sleep(0.01)
print(*calls, flush=True)
"""
    leader, follower = os.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(follower, termios.TIOCSCTTY, 0),
    )
    os.close(follower)
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "reload\n"
        os.close(leader)
        assert process.stdout.readline() == "reload stop\n"


def test_a_hangup_waits_until_a_worker_can_handle_it() -> None:
    program = """
import os, signal
from service.runtime.hangup import on_hangup
os.kill(os.getpid(), signal.SIGHUP)  # would end a process that does not block it
on_hangup(lambda: os._exit(7), lambda: os._exit(8))
"""
    part = Part("worker", (sys.executable, "-c", program), dict(os.environ))
    part.start_if_due()
    assert part.process is not None
    assert part.process.wait(60) == 7
    assert signal.SIGHUP not in signal.pthread_sigmask(signal.SIG_BLOCK, ())
