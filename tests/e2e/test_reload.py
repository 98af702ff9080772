"""Checkpoints are added to a running service and taken from it, by command and by signal."""

import json
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench.stack import FAKE_WORKER, running_service
from service.client import Client

pytestmark = pytest.mark.full

PATIENCE_S = 300.0


def names(client: Client) -> list[str]:
    return [one.name for one in client.checkpoints()]


def wait_until(holds: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_a_running_service_serves_what_is_in_its_folder(
    hrm_arc: Any, valkey_url: str, fresh_redis: Any, small_folder: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "checkpoints"
    shutil.copytree(small_folder, folder / "first")
    with (
        running_service(valkey_url, folder, tmp_path, worker=FAKE_WORKER) as service,
        Client(service.url) as client,
    ):
        assert names(client) == ["first"]
        shutil.copytree(small_folder, folder / "second")
        done = hrm_arc("checkpoints", "reload", "--url", service.url)
        assert done.code == 0, done.said
        assert [line.split()[0] for line in done.out.splitlines()] == ["name", "first", "second"]
        answer = client.solve("examples/6150a2bd.json", checkpoint="second", adapt="never")
        assert answer.checkpoint == "second"

        shutil.rmtree(folder / "first")
        service.worker.send_signal(signal.SIGHUP)
        wait_until(lambda: names(client) == ["second"])

        (folder / "third").mkdir()
        (folder / "third" / "all_config.yaml").write_text("{}", encoding="utf-8")
        done = hrm_arc("checkpoints", "reload", "--url", service.url, "--json")
        assert done.code == 1
        found = json.loads(done.out)
        assert [one["name"] for one in found["checkpoints"]] == ["second"]
        assert list(found["refused"]) == ["third"]
        listed = json.loads(hrm_arc("checkpoints", "list", "--url", service.url, "--json").out)
        assert [one["name"] for one in listed] == ["second"]


def test_serve_reloads_on_a_signal_and_goes_on(
    start_hrm_arc: Any, tiny_folder: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "checkpoints"
    shutil.copytree(tiny_folder, folder / "first")
    process: subprocess.Popen[str] = start_hrm_arc(
        *("serve", "--port", 0, "--checkpoints", folder, "--device", "cpu"),
        *("--state-folder", tmp_path / "state"),
    )
    with process:
        try:
            assert process.stdout is not None
            said = next(line for line in process.stdout if line.startswith("Listening on"))
            with Client(said.split()[2].rstrip(",")) as client:
                # At once: the worker may not have got as far as to handle it.
                process.send_signal(signal.SIGHUP)
                next(line for line in process.stdout if line.startswith("Ready"))
                assert names(client) == ["first"]
                shutil.copytree(tiny_folder, folder / "second")
                process.send_signal(signal.SIGHUP)
                wait_until(lambda: names(client) == ["first", "second"])
            process.send_signal(signal.SIGTERM)
            out, err = process.communicate(timeout=PATIENCE_S)
        finally:
            process.kill()
    assert process.returncode == 0, err
    assert out.splitlines()[-1] == "Stopped."
    assert "part ended" not in err
