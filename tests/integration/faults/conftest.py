"""A server of their own for tests that kill it, and processes that end with the test."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from fault_support import ROOT, Pair, Queue, Relay, TcpServer, Wire, WorkerProcess

from augment import Puzzle, Task, task_document
from service.runtime.embedded import EmbeddedServer
from service.solving.records import read_index


@pytest.fixture
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServer]:
    """Return a running server with an append-only file."""
    server = EmbeddedServer(tmp_path_factory.mktemp("s"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def queue(server: EmbeddedServer) -> Queue:
    """Return the server's queue."""
    return Queue(server.url)


@pytest.fixture
def wire(server: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Wire]:
    """Return a way to the server that can be cut."""
    socket_path = Path(server.url.removeprefix("unix://"))
    wire = Wire(socket_path, tmp_path_factory.mktemp("w") / "wire")
    yield wire
    wire.close()


@pytest.fixture
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """Return two servers behind one address, of which the second replicates the first."""
    with ExitStack() as stack:
        servers = []
        for name in ("primary", "replica"):
            servers.append(TcpServer(tmp_path_factory.mktemp(name)))
            stack.callback(servers[-1].close)
        primary, replica = servers
        relay = Relay(primary.port)
        stack.callback(relay.close)
        replica.follow(primary)
        yield Pair(primary, replica, relay)


@pytest.fixture
def worker(
    server: EmbeddedServer, tmp_path: Path, small_folder: Path
) -> Iterator[Callable[..., WorkerProcess]]:
    """Return what starts worker processes on the small checkpoint; they end with the test."""
    started: list[WorkerProcess] = []

    def start(name: str, *arguments: str, **settings: Any) -> WorkerProcess:
        url = settings.pop("url", server.url)
        settings = {"checkpoints": small_folder} | settings
        started.append(WorkerProcess(name, url, tmp_path, *arguments, **settings).start())
        return started[-1]

    yield start
    for process in started:
        process.close()


@pytest.fixture(scope="session")
def probes(small_folder: Path) -> tuple[Puzzle, ...]:
    """Return whole puzzles that the small checkpoint knows."""
    index = read_index(small_folder)
    assert index is not None
    return index.probes


@pytest.fixture
def solved_by_command_line(
    small_folder: Path, tmp_path: Path
) -> Callable[[tuple[Puzzle, ...]], list[Any]]:
    """Return what `hrm-arc solve` answers: the attempts of each puzzle."""

    def solve(puzzles: tuple[Puzzle, ...]) -> list[Any]:
        paths = [tmp_path / f"{puzzle.name}.json" for puzzle in puzzles]
        for path, puzzle in zip(paths, puzzles, strict=True):
            document = task_document(Task(puzzle, (None,) * len(puzzle.test)))
            path.write_text(json.dumps(document), encoding="utf-8")
        command = ["solve", *map(str, paths), "--checkpoint", str(small_folder), "--json"]
        done = subprocess.run(
            [sys.executable, "-m", "service.cli", *command, "--seed", "7", "--variants", "16"],
            cwd=ROOT,
            capture_output=True,
            check=True,
        )
        return [
            [test["attempts"] for test in document["tests"]] for document in json.loads(done.stdout)
        ]

    return solve
