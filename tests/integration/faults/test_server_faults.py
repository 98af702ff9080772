"""The server killed, and the way to it cut: work goes on, and results are written afterwards."""

import os
import signal
import time
from collections.abc import Callable

import pytest
from fault_support import Queue, Wire, WorkerProcess, check_all_succeeded_once

from augment import Puzzle
from service.jobs import JobState
from service.runtime.embedded import EmbeddedServer

Start = Callable[..., WorkerProcess]
LOAD = ("--step-s", "0.05", "--slots", "16")


@pytest.mark.parametrize("num_kills", [1, pytest.param(5, marks=pytest.mark.full)])
def test_a_killed_server_comes_back_with_every_job(
    server: EmbeddedServer,
    queue: Queue,
    worker: Start,
    probes: tuple[Puzzle, ...],
    num_kills: int,
) -> None:
    worker("steady", *LOAD, max_jobs=8)
    queue.wait_until_ready("steady")
    job_ids = queue.submit(probes[n % len(probes)] for n in range(40 * num_kills))

    for _ in range(num_kills):
        queue.wait_until(job_ids[:1], lambda job: job.state != JobState.QUEUED)
        time.sleep(0.7)
        assert server.pid is not None
        os.kill(server.pid, signal.SIGKILL)
        time.sleep(2.0)
        server.start()
        queue.wait_until_ready("steady")

    check_all_succeeded_once(queue, job_ids)


def test_work_done_while_the_server_is_gone_is_reported_when_it_is_back(
    server: EmbeddedServer, queue: Queue, worker: Start, probes: tuple[Puzzle, ...]
) -> None:
    process = worker("steady", "--step-s", "0.1", "--slots", "2", lease_s=60)
    queue.wait_until_ready("steady")
    job_ids = queue.submit(probes[:1])  # some two or three seconds of work
    queue.wait_until(job_ids, lambda job: job.state == JobState.RUNNING)

    assert server.pid is not None
    os.kill(server.pid, signal.SIGKILL)
    deadline = time.monotonic() + 60
    while "job leaves the engine" not in process.log and time.monotonic() < deadline:
        time.sleep(0.1)
    server.start()

    (job,) = check_all_succeeded_once(queue, job_ids)
    assert job.attempts == 1


def test_a_way_to_redis_cut_for_ten_seconds_costs_no_job(
    queue: Queue, wire: Wire, worker: Start, probes: tuple[Puzzle, ...]
) -> None:
    worker("behind", *LOAD, url=wire.url, max_jobs=8)
    worker("direct", *LOAD, max_jobs=8)
    queue.wait_until_ready("behind", "direct")
    job_ids = queue.submit(probes[n % len(probes)] for n in range(120))
    time.sleep(1.0)

    wire.cut()
    time.sleep(10.0)
    wire.repair()

    check_all_succeeded_once(queue, job_ids)
    queue.wait_until_ready("behind", "direct", timeout_s=30)


def test_a_single_worker_outlives_the_cut(
    queue: Queue, wire: Wire, worker: Start, probes: tuple[Puzzle, ...]
) -> None:
    worker("behind", *LOAD, url=wire.url, max_jobs=8)
    queue.wait_until_ready("behind")
    job_ids = queue.submit(probes[n % len(probes)] for n in range(60))
    time.sleep(1.0)

    wire.cut()
    time.sleep(10.0)
    wire.repair()

    check_all_succeeded_once(queue, job_ids)
