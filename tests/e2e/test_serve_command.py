"""`hrm-arc serve`: the whole service as a person runs it."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from augment import Task, task_document

PATIENCE_S = 300.0


def children_of(pid: int) -> dict[int, str]:
    """Return the processes that a process started, with their command lines."""
    found = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((entry / "stat").read_text("utf-8").rpartition(")")[2].split()[1])
            words = (entry / "cmdline").read_bytes().split(b"\0")
        except (FileNotFoundError, ProcessLookupError):
            continue
        if parent == pid:
            found[int(entry.name)] = b" ".join(words).decode().strip()
    return found


def child_of(pid: int, ending: str) -> int:
    (found,) = [child for child, line in children_of(pid).items() if line.endswith(ending)]
    return found


def wait_until(holds: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        if time.monotonic() > deadline:
            pytest.fail(f"not within {PATIENCE_S:.0f} s")
        time.sleep(0.05)


def answers(url: str, path: str) -> bool:
    try:
        return httpx.get(url + path, timeout=10.0).status_code == 200
    except httpx.HTTPError:
        return False


@contextmanager
def running_service(
    start_hrm_arc: Any, checkpoints: Path, state: Path
) -> Iterator[tuple["subprocess.Popen[str]", str]]:
    """Run a service; gives it once it is ready, with its address."""
    process: subprocess.Popen[str] = start_hrm_arc(
        *("serve", "--port", 0, "--checkpoints", checkpoints, "--device", "cpu"),
        *("--state-folder", state, "--log-format", "json"),
    )
    with process:
        assert process.stdout is not None
        said = ""
        for line in process.stdout:
            said += line
            if line.startswith("Ready"):
                break
        found = re.search(r"Listening on (http://127\.0\.0\.1:\d+), with a worker on cpu", said)
        if found is None:
            process.kill()
            pytest.fail(f"it said: {said}{process.stderr and process.stderr.read()}")
        assert "Stop with Ctrl-C" in said
        yield process, found[1]
        process.kill()


@pytest.fixture
def serving(
    start_hrm_arc: Any, tiny_folder: Path, tmp_path: Path
) -> Iterator[tuple["subprocess.Popen[str]", str]]:
    """Return a service that is ready, and its address."""
    with running_service(start_hrm_arc, tiny_folder, tmp_path / "state") as running:
        yield running


def test_it_answers_replaces_what_dies_and_stops_in_order(
    serving: tuple["subprocess.Popen[str]", str],
    constant_tasks: tuple[Task, ...],
    tmp_path: Path,
    hrm_arc: Any,
) -> None:
    process, url = serving
    task = constant_tasks[0]
    job = httpx.post(
        f"{url}/v1/solve",
        json={**task_document(task), "name": task.puzzle.name},
        headers={"Prefer": "wait=120"},
        timeout=PATIENCE_S,
    ).json()
    assert job["state"] == "succeeded"
    assert all(test["right"] for test in job["result"]["tests"])

    # Whatever part dies, another takes its place, and the job is still known.
    parts = children_of(process.pid)
    assert len(parts) == 3
    os.kill(child_of(process.pid, " api"), signal.SIGKILL)
    (server,) = [pid for pid, line in parts.items() if "valkey-server" in line]
    os.kill(server, signal.SIGKILL)
    wait_until(lambda: len(children_of(process.pid).keys() - parts.keys()) == 2)
    wait_until(lambda: answers(url, f"/v1/jobs/{job['id']}"))
    wait_until(lambda: answers(url, "/health/ready"))

    parts = children_of(process.pid)
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=PATIENCE_S)

    assert process.returncode == 0, err
    assert out.splitlines()[-1] == "Stopped."
    assert not [pid for pid in parts if Path(f"/proc/{pid}").exists()]
    ended = [json.loads(line) for line in err.splitlines() if '"part ended"' in line]
    assert {line["name"] for line in ended} == {"api", "valkey"}
    shown = hrm_arc("jobs", "show", job["id"], "--state-folder", tmp_path / "state")
    assert shown.code == 0, shown.said
    assert json.loads(shown.out)["result"] == job["result"]


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the parts are stopped in order")
def test_a_job_of_a_killed_service_ends_after_a_restart(
    start_hrm_arc: Any, tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HRM_ARC_GRACE_S", "3600")  # no part may wait for it
    unknown = {"train": [{"input": [[1, 2]], "output": [[2, 1]]}], "test": [{"input": [[3, 4]]}]}
    with running_service(start_hrm_arc, tiny_folder, tmp_path / "state") as (process, url):
        body = unknown | {"options": {"adapt": "always", "adapt_s": 5}}
        job_id = httpx.post(f"{url}/v1/jobs", json=body).json()["id"]
        job_url = f"/v1/jobs/{job_id}"
        wait_until(lambda: httpx.get(url + job_url).json()["state"] == "adapting")
        parts = children_of(process.pid)
        assert len(parts) == 3

        process.kill()

        wait_until(lambda: not [pid for pid in parts if Path(f"/proc/{pid}").exists()])
    with running_service(start_hrm_arc, tiny_folder, tmp_path / "state") as (process, url):
        wait_until(lambda: httpx.get(url + job_url).json()["state"] == "succeeded")
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=PATIENCE_S)
        assert process.returncode == 0


def test_a_taken_port_is_reported_before_anything_starts(
    hrm_arc: Any, golden_folder: Path, tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = hrm_arc(
            *("serve", "--port", port, "--state-folder", tmp_path / "state"),
            *("--checkpoints", golden_folder / "trm"),
        )

    assert done.code == 2
    assert f"cannot listen on 127.0.0.1, port {port}" in done.said
    assert "--port" in done.said
    assert not (tmp_path / "state").exists()


def test_strangers_are_not_served_without_keys(hrm_arc: Any, golden_folder: Path) -> None:
    done = hrm_arc("serve", "--host", "0.0.0.0", "--checkpoints", golden_folder / "trm")

    assert done.code == 2
    assert "HRM_ARC_API_KEYS" in done.said


def test_it_goes_on_when_nobody_reads_what_it_says() -> None:
    program = (
        "import sys; from service.cli.serve import say; sys.stdin.read();"
        "say('one'); say('two'); print('went on', file=sys.stderr)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        process.stdout.close()
        process.stdout = None
        _, err = process.communicate("")

    assert err == "went on\n"
    assert process.returncode == 0
