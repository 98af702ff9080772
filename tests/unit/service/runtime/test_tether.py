"""Processes on a tether end with whoever started them, on systems with and without prctl."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from service.runtime.tether import start_tethered

# What systems other than Linux do, which works here as well.
WATCH = "import sys; from service.runtime.tether import watch; sys.exit(watch(sys.argv[1:]))"
ECHO = "import time; print('begun', flush=True); time.sleep(600)"


@pytest.fixture
def watcher() -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "-c", WATCH, sys.executable, "-c", ECHO],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )


def test_a_watched_command_ends_when_the_pipe_closes(watcher: "subprocess.Popen[bytes]") -> None:
    with watcher:
        assert watcher.stdout is not None
        assert watcher.stdin is not None
        assert watcher.stdout.readline() == b"begun\n"

        watcher.stdin.close()

        assert watcher.stdout.read() == b""  # the command held the other end
        assert watcher.wait(30) == 128 + signal.SIGTERM


def test_a_watched_command_gets_the_signal_to_stop(watcher: "subprocess.Popen[bytes]") -> None:
    with watcher:
        assert watcher.stdout is not None
        assert watcher.stdout.readline() == b"begun\n"

        watcher.terminate()

        assert watcher.stdout.read() == b""
        assert watcher.wait(30) == 128 + signal.SIGTERM


def test_a_watched_commands_exit_code_is_passed_on() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", WATCH, sys.executable, "-c", "import sys; sys.exit(7)"],
        stdin=subprocess.PIPE,
    ) as process:
        assert process.wait(60) == 7


def test_a_tethered_command_runs_as_asked(tmp_path: Path) -> None:
    program = (
        "import os, sys; print(os.environ['COLOUR'], os.getsid(0) == os.getpid()); sys.exit(3)"
    )
    with (tmp_path / "output").open("wb") as output:
        process = start_tethered(
            [sys.executable, "-c", program], environment={"COLOUR": "red"}, output=output
        )
        code = process.wait(60)

    assert code == 3
    assert (tmp_path / "output").read_text() == "red True\n"


@pytest.mark.skipif(sys.platform != "linux", reason="not known elsewhere")
@pytest.mark.parametrize("is_killed", [True, False])
def test_a_command_knows_whether_its_parent_has_ended(is_killed: bool) -> None:
    command = (
        "import os, signal, time; from service.runtime.tether import has_lost_parent\n"
        "def stop(*_): print(has_lost_parent(), flush=True); os._exit(0)\n"
        "signal.signal(signal.SIGTERM, stop); print(os.getpid(), flush=True); time.sleep(600)"
    )
    parent = (
        "import sys; from service.runtime.tether import start_tethered;"
        f"start_tethered([sys.executable, '-c', {command!r}]).wait()"
    )
    with subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        child = int(process.stdout.readline())

        if is_killed:
            process.kill()
        else:
            os.kill(child, signal.SIGTERM)

        assert process.stdout.readline() == f"{is_killed}\n".encode()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the pipe closes")
def test_a_command_whose_parent_is_gone_already_does_not_start() -> None:
    tether = Path(sys.modules["service.runtime.tether"].__file__ or "")

    done = subprocess.run(
        [sys.executable, str(tether), "1", sys.executable, "-c", ECHO],
        capture_output=True,
        check=False,
        timeout=60,
    )

    assert done.returncode == 1
    assert done.stdout == b""


@pytest.mark.skipif(sys.platform != "linux", reason="not known elsewhere")
def test_a_command_that_does_not_stop_ends_soon_after_its_parent() -> None:
    command = (
        "import signal, time; from service.runtime.tether import end_with_parent\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "end_with_parent(lambda: print('stopping', flush=True), limit_s=0.1)\n"
        "print('begun', flush=True); time.sleep(600)"
    )
    parent = (
        "import sys; from service.runtime.tether import start_tethered;"
        f"start_tethered([sys.executable, '-c', {command!r}]).wait()"
    )
    with subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"begun\n"

        process.kill()

        assert process.stdout.read() == b"stopping\n"  # until the command, too, is gone


@pytest.mark.skipif(sys.platform != "linux", reason="not known elsewhere")
def test_what_a_tethered_command_starts_is_not_tethered() -> None:
    command = (
        "import subprocess, sys; subprocess.run([sys.executable, '-c',"
        "'from service.runtime.tether import end_with_parent, has_lost_parent;"
        "end_with_parent(lambda: print(1), 0); print(has_lost_parent())'])"
    )
    parent = (
        "import sys; from service.runtime.tether import start_tethered;"
        f"start_tethered([sys.executable, '-c', {command!r}]).wait()"
    )

    done = subprocess.run([sys.executable, "-c", parent], capture_output=True, check=True)

    assert done.stdout == b"False\n"
