"""The embedded server, as real processes: what outlives what."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis

from service.runtime import embedded
from service.runtime.embedded import EmbeddedServer
from service.wire.errors import EmbeddedServerError

PATIENCE_S = 30.0
# A program that starts a server and tells its process id and address; then it sleeps.
PARENT = """
import sys, time
from pathlib import Path
from service.runtime.embedded import EmbeddedServer
server = EmbeddedServer(Path(sys.argv[1])).start()
print(server.pid, server.url, flush=True)
time.sleep(600)
"""


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        if time.monotonic() > deadline:
            pytest.fail(f"not within {PATIENCE_S:.0f} s")
        time.sleep(0.02)


def is_gone(pid: int) -> bool:
    """Whether a process has ended; one that nobody has waited for yet has."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text(encoding="ascii")
    except (FileNotFoundError, ProcessLookupError):
        return True
    return status.rpartition(")")[2].split()[0] == "Z"


@pytest.fixture
def parent(tmp_path: Path) -> Iterator[tuple["subprocess.Popen[str]", int, str]]:
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        pid, url = process.stdout.readline().split()
        yield process, int(pid), url
        process.kill()


def test_it_keeps_jobs_on_disk_refuses_to_forget_and_listens_to_nobody_else(
    tmp_path: Path,
) -> None:
    with EmbeddedServer(tmp_path) as url, redis.Redis.from_url(url, protocol=2) as client:
        settings = {
            name: client.config_get(name)[name]
            for name in ("appendonly", "appendfsync", "maxmemory-policy", "port", "unixsocketperm")
        }
    assert settings == {
        "appendonly": "yes",
        "appendfsync": "everysec",
        "maxmemory-policy": "noeviction",
        "port": "0",
        "unixsocketperm": "700",
    }
    assert (tmp_path / "valkey").stat().st_mode & 0o77 == 0


def test_data_survive_a_clean_stop_and_the_address_stays(tmp_path: Path) -> None:
    with EmbeddedServer(tmp_path) as url, redis.Redis.from_url(url) as client:
        client.set("job", "kept")
        first = url

    with EmbeddedServer(tmp_path) as url, redis.Redis.from_url(url) as client:
        assert client.get("job") == b"kept"
        assert url == first


def test_data_survive_a_killed_server(tmp_path: Path) -> None:
    server = EmbeddedServer(tmp_path).start()
    with redis.Redis.from_url(server.url) as client:
        for number in range(500):
            client.rpush("jobs", number)
    assert server.pid is not None

    os.kill(server.pid, signal.SIGKILL)
    wait_until(lambda: not server.is_running)

    with server as url, redis.Redis.from_url(url) as client:
        assert client.llen("jobs") == 500


def test_the_server_ends_with_a_killed_parent(
    parent: tuple["subprocess.Popen[str]", int, str], tmp_path: Path
) -> None:
    process, pid, url = parent
    with redis.Redis.from_url(url) as client:
        client.set("job", "kept")

    process.kill()
    process.wait()

    wait_until(lambda: is_gone(pid))
    with EmbeddedServer(tmp_path) as again, redis.Redis.from_url(again) as client:
        assert client.get("job") == b"kept"


def test_the_server_does_not_get_the_terminals_interrupt(
    parent: tuple["subprocess.Popen[str]", int, str],
) -> None:
    process, pid, _ = parent

    assert os.getsid(pid) != os.getsid(process.pid)
    assert os.getpgid(pid) == pid


def test_a_server_that_runs_is_adopted_and_left_running(
    parent: tuple["subprocess.Popen[str]", int, str], tmp_path: Path
) -> None:
    _, pid, url = parent

    server = EmbeddedServer(tmp_path)
    with server as adopted:
        assert adopted == url
        assert server.pid is None
        assert server.is_running

    assert not is_gone(pid)
    assert server.is_running


def test_an_adopters_next_start_replaces_the_server_that_went(
    parent: tuple["subprocess.Popen[str]", int, str], tmp_path: Path
) -> None:
    process, pid, url = parent
    with EmbeddedServer(tmp_path) as adopted:
        process.kill()
        wait_until(lambda: is_gone(pid))
        server = EmbeddedServer(tmp_path)
        with server as replaced:
            assert replaced == adopted == url
            assert server.pid not in (None, pid)


def test_a_lock_without_a_server_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded, "START_TIMEOUT_S", 0.2)
    (tmp_path / "valkey").mkdir()
    holder = subprocess.Popen(
        [
            *(sys.executable, "-c"),
            "import fcntl, sys; f = open(sys.argv[1], 'w'); fcntl.flock(f, fcntl.LOCK_EX); "
            "print('held', flush=True); sys.stdin.read()",
            str(tmp_path / "valkey" / "lock"),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        with pytest.raises(EmbeddedServerError, match="HRM_ARC_STATE_FOLDER"):
            EmbeddedServer(tmp_path).start()
        assert holder.stdin is not None
        holder.stdin.close()


def test_a_deep_state_folder_gets_a_short_socket_path_that_is_remembered(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 60) / ("e" * 60)

    with EmbeddedServer(deep) as url, redis.Redis.from_url(url) as client:
        assert client.ping()
        first = url
    with EmbeddedServer(deep) as url:
        assert url == first
        with EmbeddedServer(deep) as adopted:
            assert adopted == url

    path = Path(first.removeprefix("unix://"))
    assert len(str(path)) <= embedded.MAX_SOCKET_PATH
    assert path.parent.stat().st_mode & 0o77 == 0
    path.parent.rmdir()


def test_a_damaged_file_is_reported_with_the_servers_own_words(tmp_path: Path) -> None:
    with EmbeddedServer(tmp_path) as url, redis.Redis.from_url(url) as client:
        for number in range(100):
            client.set(f"job:{number}", number)
    folder = tmp_path / "valkey" / "appendonlydir"
    (file,) = folder.glob("*.incr.aof")
    data = bytearray(file.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 40] = b"x" * 40
    file.write_bytes(data)

    with pytest.raises(EmbeddedServerError, match=r"(?s)valkey\.log:\n.*Bad file format"):
        EmbeddedServer(tmp_path).start()


def test_the_package_has_a_binary_for_this_machine() -> None:
    # It is found by way of a private module of the package.
    version = subprocess.run(
        [embedded.find_binary(), "--version"], capture_output=True, text=True, check=True
    )
    assert version.stdout.startswith("Valkey server v=9.1.")
