"""Processes to be killed, a wire to be cut, and what is asked of the queue afterwards."""

import asyncio
import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import redis

from augment import Puzzle, Task, task_document
from service.jobs import Job, JobState, JobStore, NewJob
from service.jobs.keys import EVENTS
from service.runtime.embedded import find_binary
from service.runtime.tether import kill_tethered, start_tethered

ROOT = Path(__file__).parents[3]
FAKE = ("-m", "bench.fake_engine")
REAL = ("-m", "service.cli", "worker")
# Importing torch takes most of it, on a busy machine very long.
READY_S = 300.0
END_S = 240.0


class WorkerProcess:
    """A worker in a process of its own, which can be killed and started again."""

    def __init__(
        self,
        name: str,
        url: str,
        state: Path,
        *arguments: str,
        program: Sequence[str] = FAKE,
        **settings: Any,
    ) -> None:
        self.name = name
        self.log_path = state / f"{name}.log"
        self._command = [sys.executable, *program, *arguments]
        chosen = {
            "redis_url": url,
            "state_folder": state,
            "worker_id": name,
            "device": "cpu",
            "allow_unverified": program is FAKE,
            "log_format": "json",
        } | settings
        others = {key: value for key, value in os.environ.items() if "HRM_ARC_" not in key}
        self._environment = others | {
            f"HRM_ARC_{key.upper()}": str(value) for key, value in chosen.items()
        }
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> "WorkerProcess":
        """Start the process; it is ready some seconds later."""
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                self._command, cwd=ROOT, env=self._environment, stdout=log, stderr=log
            )
        return self

    def signal(self, number: int) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def kill(self) -> None:
        """End the process as a power cut would."""
        self.signal(signal.SIGKILL)
        self.wait()

    def wait(self, timeout_s: float = 60.0) -> int:
        """Wait for the end; gives the exit code."""
        assert self.process is not None
        return self.process.wait(timeout_s)

    def close(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.signal(signal.SIGCONT)
            self.kill()

    @property
    def log(self) -> str:
        return self.log_path.read_text(encoding="utf-8", errors="replace")


class Wire:
    """A way to the server that can be cut: bytes are kept back, connections stay as they are."""

    def __init__(self, target: Path, path: Path) -> None:
        self._target = str(target)
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(path))
        listener.listen(64)
        self._start(listener, f"unix://{path}")

    def _start(self, listener: socket.socket, url: str) -> None:
        self._open = threading.Event()
        self._open.set()
        self._listener, self.url = listener, url
        threading.Thread(target=self._accept, daemon=True).start()

    def _connect(self) -> socket.socket:
        far = socket.socket(socket.AF_UNIX)
        far.connect(self._target)
        return far

    def cut(self) -> None:
        self._open.clear()

    def repair(self) -> None:
        self._open.set()

    def close(self) -> None:
        self._listener.close()
        self._open.set()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
                far = self._connect()
            except OSError:
                return
            for source, sink in ((near, far), (far, near)):
                threading.Thread(target=self._forward, args=(source, sink), daemon=True).start()

    def _forward(self, source: socket.socket, sink: socket.socket) -> None:
        try:
            while data := source.recv(65536):
                self._open.wait()
                sink.sendall(data)
        except OSError:
            pass
        for end in (source, sink):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue


class Relay(Wire):
    """An address behind which another server can take over; connections stay where they lead."""

    def __init__(self, port: int) -> None:
        self.port = port
        listener = socket.create_server(("127.0.0.1", 0))
        self._start(listener, f"redis://127.0.0.1:{listener.getsockname()[1]}/0")

    def _connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port))


class TcpServer:
    """A server with a port, as replication needs one."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = int(free.getsockname()[1])
        options = ("--bind", "127.0.0.1", "--dir", str(folder), "--save", "", "--appendonly", "yes")
        command = [str(find_binary()), "--port", str(self.port), *options]
        with (folder / "log").open("wb") as log:
            self._process = start_tethered(
                [*command, "--repl-diskless-sync-delay", "0"], output=log
            )
        self.client = redis.Redis(port=self.port)
        self.wait_until(lambda: self.client.ping())

    def wait_until(self, holds: Callable[[], bool]) -> None:
        deadline = time.monotonic() + END_S
        while True:
            try:
                if holds():
                    return
            except redis.ConnectionError:  # it is starting
                pass
            assert time.monotonic() < deadline, self._process.poll()
            time.sleep(0.05)

    def follow(self, primary: "TcpServer") -> None:
        """Become the replica of another server, and wait until it has what that one has."""
        self.client.replicaof("127.0.0.1", primary.port)
        self.wait_until(lambda: self.client.info("replication").get("master_link_status") == "up")

    def lead(self) -> None:
        """Become a primary."""
        self.client.replicaof("NO", "ONE")

    def close(self) -> None:
        self.client.close()
        kill_tethered(self._process)
        self._process.wait()


@dataclass(frozen=True, slots=True)
class Pair:
    """A primary and its replica behind one address."""

    primary: TcpServer
    replica: TcpServer
    relay: Relay

    def replicate(self) -> None:
        """Wait until the replica has everything that was written until now."""
        self.primary.client.set("fence", "")
        assert self.primary.client.wait(1, int(END_S * 1000)) == 1

    def fail_over(self) -> None:
        """Let the replica take over, and the primary, which keeps its connections, follow it."""
        self.replica.lead()
        self.relay.port = self.replica.port
        self.primary.follow(self.replica)


class Queue:
    """The job layer as a test uses it, and the count of what was written."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._ends: Counter[str] = Counter()
        self._last_event = "0-0"

    def ask(self, question: Callable[[JobStore], Awaitable[Any]]) -> Any:
        """Ask the store something, on a connection of its own."""

        async def asked() -> Any:
            store = JobStore.connect(self.url)
            try:
                return await question(store)
            finally:
                await store.close()

        return asyncio.run(asked())

    def submit(self, puzzles: Iterable[Puzzle], **options: Any) -> list[str]:
        """Queue a job for each puzzle; gives their ids."""

        async def submit(store: JobStore) -> list[str]:
            submitted = [
                await store.submit(_new_job(puzzle, number, options))
                for number, puzzle in enumerate(puzzles)
            ]
            return [one.job.id for one in submitted]

        return self.ask(submit)

    def get(self, job_id: str) -> Job:
        return self.ask(lambda store: store.get(job_id))

    def wait_until(
        self, job_ids: Sequence[str], holds: Callable[[Job], bool], timeout_s: float = END_S
    ) -> list[Job]:
        """Wait until something holds of every job; gives them as they are then."""

        async def wait(store: JobStore) -> list[Job]:
            deadline = time.monotonic() + timeout_s
            while True:
                await self._count_ends(store)
                jobs = [await store.get(job_id) for job_id in job_ids]
                late = [job for job in jobs if not holds(job)]
                if not late:
                    return jobs
                states = Counter((job.state, job.attempts) for job in jobs)
                assert time.monotonic() < deadline, f"{len(late)} jobs do not get there: {states}"
                await asyncio.sleep(0.1)

        return self.ask(wait)

    def wait_until_ended(self, job_ids: Sequence[str], timeout_s: float = END_S) -> list[Job]:
        return self.wait_until(job_ids, lambda job: job.state.is_final, timeout_s)

    def wait_until_ready(self, *names: str, timeout_s: float = READY_S) -> None:
        """Wait until workers of these names are ready."""

        async def wait(store: JobStore) -> None:
            deadline = time.monotonic() + timeout_s
            while True:
                ready = [
                    w.id.rpartition("-")[0]
                    for w in await store.served.workers()
                    if w.state == "ready"
                ]
                if set(names) <= set(ready):
                    return
                assert time.monotonic() < deadline, f"of {names}, ready are {ready}"
                await asyncio.sleep(0.1)

        self.ask(wait)

    def num_ends_written(self) -> Counter[str]:
        """Return, job by job, how often an end was written."""
        self.ask(self._count_ends)
        return self._ends

    async def _count_ends(self, store: JobStore) -> None:
        """Go on counting: the stream keeps only the last few thousand events."""
        for event_id, fields in await store.redis.xrange(EVENTS, min=f"({self._last_event}"):
            self._last_event = event_id.decode()
            if fields[b"last"] == b"1":
                self._ends[fields[b"job"].decode()] += 1


def check_all_succeeded_once(queue: Queue, job_ids: Sequence[str]) -> list[Job]:
    """Every job ended, well, and its end was written once."""
    jobs = queue.wait_until_ended(job_ids)
    assert Counter(job.state for job in jobs) == {JobState.SUCCEEDED: len(job_ids)}, [
        job.failure for job in jobs if job.failure
    ]
    assert queue.num_ends_written() == Counter(job_ids)
    return jobs


def attempts_of(job: Job) -> list[Any]:
    """Give the grids that a job's result answers with."""
    assert job.result is not None
    return [test["attempts"] for test in json.loads(job.result)["tests"]]


def random_moments(seed: int, num: int, least_s: float, most_s: float) -> list[float]:
    chosen = random.Random(seed)
    return [chosen.uniform(least_s, most_s) for _ in range(num)]


def task_body(puzzle: Puzzle, **options: Any) -> dict[str, Any]:
    """Write a puzzle as a request asks for it."""
    document = task_document(Task(puzzle, (None,) * len(puzzle.test)))
    return document | {"options": options} if options else document


def _new_job(puzzle: Puzzle, number: int, options: dict[str, Any]) -> NewJob:
    return NewJob(
        owner="anonymous",
        name=puzzle.name,
        priority="batch" if number % 3 == 0 else "interactive",
        task=json.dumps(task_body(puzzle)).encode(),
        options=json.dumps(options).encode(),
        deadline_s=options.get("deadline_s"),
        idempotency_key=None,
        fingerprint="",
        share=None,
    )
