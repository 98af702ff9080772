"""Jobs whose checkpoints vote together, in the engine loop."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from augment import Puzzle
from bench.fake_engine import FakeEngine
from service.worker.messages import Change, Changed, Progressed, StartJob, StopJob

# Slow enough that a command arrives between two of the 64 steps of a puzzle's variants.
SlowEngine = partial(FakeEngine, step_s=0.05, num_slots=1)


def two_folders(small_folder: Path) -> dict[str, Path]:
    """Serve the small checkpoint under two names."""
    return {"a": small_folder, "b": small_folder}


@pytest.mark.parametrize("max_resident", [1, 2])
def test_checkpoints_of_an_ensemble_vote_together_also_when_they_take_turns(
    engines_of: Callable[..., Any],
    job_of: Callable[..., Any],
    probes: tuple[Puzzle, ...],
    small_folder: Path,
    max_resident: int,
) -> None:
    engines = engines_of(folders=two_folders(small_folder), max_resident=max_resident)
    options = {"variants": 8, "stop_early": False}
    jobs = [
        job_of(probes[0], "one", checkpoint="b", ensemble=["a"], **options),
        job_of(probes[1], "two", checkpoint="a", ensemble=["b"], **options),
        job_of(probes[2], "three", checkpoint="a", **options),
    ]

    for job in jobs:
        engines.send(StartJob(job))

    ends = engines.ends(3)
    results = {job_id: json.loads(end.result) for job_id, end in ends.items()}
    members = {
        job_id: [member["checkpoint"] for member in result["members"]]
        for job_id, result in results.items()
    }
    assert members == {"one": ["b", "a"], "two": ["a", "b"], "three": ["a"]}
    assert results["one"]["checkpoint"] == "b"
    for job_id in ("one", "two"):
        for test in results[job_id]["tests"]:
            assert test["variants_asked"] == test["votes"] == 16
            assert [share["votes"] for share in test["shares"]] == [8, 8]
            assert [c["by_checkpoint"] for c in test["candidates"]] == [{"a": 8, "b": 8}]
    assert all(engine.is_idle for engine in engines.made)
    num_waits = engines.metrics.registry.get_sample_value("hrm_arc_queue_time_seconds_count")
    assert num_waits == 3


def test_an_ensemble_reports_the_votes_of_all(
    engines_of: Callable[..., Any],
    job_of: Callable[..., Any],
    probes: tuple[Puzzle, ...],
    small_folder: Path,
) -> None:
    engines = engines_of(SlowEngine, folders=two_folders(small_folder))
    job = job_of(probes[0], checkpoint="a", ensemble=["b"], stop_early=False)

    engines.send(StartJob(job))

    reports = []
    while isinstance(message := engines.next(), Progressed):
        reports.append(json.loads(message.data))
    assert {report["asked"] for report in reports} == {128 * len(probes[0].test)}
    assert any(report["outcomes"] > 64 * len(probes[0].test) for report in reports)


def test_an_ensemble_is_refused_for_the_member_that_cannot_vote_which_is_named(
    engines_of: Callable[..., Any],
    job_of: Callable[..., Any],
    probes: tuple[Puzzle, ...],
    small_folder: Path,
    checkpoint_folder_of: Callable[..., Path],
) -> None:
    puzzle = probes[0]
    wide = next(one for one in probes if max(max(grid.size) for grid in one.test) > 3)
    folders = {
        "small": small_folder,
        "ignorant": checkpoint_folder_of("ignorant", probes[1]),
        "narrow": checkpoint_folder_of("narrow", wide),
    }
    engines = engines_of(folders=folders)
    jobs = {
        "unknown_puzzle": job_of(puzzle, "unknown_puzzle", ensemble=["ignorant"]),
        "canvas_exceeded": job_of(wide, "canvas_exceeded", ensemble=["narrow"]),
        "unknown_checkpoint": job_of(puzzle, "unknown_checkpoint", ensemble=["nowhere"]),
        "unsolvable": job_of(puzzle, "unsolvable", ensemble=["small"]),
    }

    for job in jobs.values():
        engines.send(StartJob(job))

    failures = {job_id: end.failure for job_id, end in engines.ends(4).items()}
    assert {job_id: failure.code for job_id, failure in failures.items()} == {
        code: code for code in jobs
    }
    named = {
        "unknown_puzzle": "ignorant",
        "canvas_exceeded": "narrow",
        "unknown_checkpoint": "nowhere",
        "unsolvable": "small",
    }
    for job_id, name in named.items():
        assert name in failures[job_id].detail
    assert all(engine.is_idle for engine in engines.made)


def test_a_cancelled_ensemble_leaves_all_engines(
    engines_of: Callable[..., Any],
    job_of: Callable[..., Any],
    probes: tuple[Puzzle, ...],
    small_folder: Path,
) -> None:
    engines = engines_of(SlowEngine, folders=two_folders(small_folder))
    engines.send(StartJob(job_of(probes[0], checkpoint="a", ensemble=["b"])))
    assert isinstance(engines.next(), Progressed)

    engines.send(StopJob("job"))

    assert engines.ends(1) == {"job": Changed("job", Change.CANCELLED)}
    assert all(engine.is_idle for engine in engines.made)
