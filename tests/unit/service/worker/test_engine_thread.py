"""The thread that owns the engines, on engines without a network."""

import json
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from augment import Grid, Puzzle, Task, task_document
from bench.fake_engine import FakeEngine
from bench.fake_worker import FailingEngine
from hrm_core import DeviceMemoryError, Outcome
from service.jobs import Job
from service.wire.errors import SettingsError
from service.worker.messages import (
    Cancel,
    Cancelled,
    Drop,
    Failed,
    Progressed,
    Start,
    Stop,
    Succeeded,
)

# Slow enough that an order arrives between two of the 64 steps of a puzzle's variants.
SlowEngine = partial(FakeEngine, step_s=0.05, num_slots=1)


def test_a_job_is_answered_with_all_that_repeats_it(
    engines_of: Callable[..., Any], job_of: Callable[..., Any], probes: tuple[Puzzle, ...]
) -> None:
    engines = engines_of()
    puzzle = probes[0]

    engines.thread.order(Start(job_of(puzzle, variants=8, seed=3, stop_early=False)))

    end = engines.ends(1)["job"]
    assert isinstance(end, Succeeded)
    result = json.loads(end.result)
    for test, grid in zip(result["tests"], puzzle.test, strict=True):
        assert test["attempts"] == [grid.to_rows()]  # what went in comes out
        assert test["votes"] == test["variants_asked"] == 8
        assert "expected" not in test
    assert (result["puzzle"], result["seed"], result["checkpoint"]) == (puzzle.name, 3, "demo")
    assert (result["verified"], result["worker"]) == (False, "w")
    assert [warning.partition(": ")[0] for warning in result["warnings"]] == ["demo"]
    assert list(result["timings_s"]) == ["queue", "encode", "vote", "run", "total"]
    assert result["timings_s"]["queue"] == 0.25
    assert result["timings_s"]["total"] >= 0.25


def test_expected_outputs_are_compared_with(
    engines_of: Callable[..., Any], job_of: Callable[..., Any], probes: tuple[Puzzle, ...]
) -> None:
    engines = engines_of()
    puzzle = probes[0]
    for job_id, grid in (("right", puzzle.test[0]), ("wrong", Grid.from_rows([[9]]))):
        document = task_document(Task(puzzle, (grid,) * len(puzzle.test)))
        engines.thread.order(Start(job_of(json.dumps(document).encode(), job_id)))

    for job_id, end in engines.ends(2).items():
        test = json.loads(end.result)["tests"][0]
        assert test["right"] is (job_id == "right")
    assert test["expected"]


def test_more_variants_than_rows_are_all_there_are(
    engines_of: Callable[..., Any], job_of: Callable[..., Any], probes: tuple[Puzzle, ...]
) -> None:
    engines = engines_of()

    engines.thread.order(Start(job_of(probes[0], variants=1000, stop_early=False)))

    test = json.loads(engines.ends(1)["job"].result)["tests"][0]
    assert test["variants_used"] == test["variants_asked"] == 64


def test_what_is_wrong_with_one_job_ends_that_job_alone(
    engines_of: Callable[..., Any], job_of: Callable[..., Any], probes: tuple[Puzzle, ...]
) -> None:
    engines = engines_of(SlowEngine)
    good = probes[0]
    stranger = replace(good, train=good.train[:1])
    large = replace(good, test=(Grid.from_rows([[1] * 7] * 7),))
    unknown_member = json.dumps(task_document(Task(good, (None,) * len(good.test))) | {"x": 1})
    jobs = {
        "good": job_of(good, "good"),
        "unknown_puzzle": job_of(stranger, "unknown_puzzle"),
        "canvas_exceeded": job_of(large, "canvas_exceeded"),
        "unknown_checkpoint": job_of(good, "unknown_checkpoint", checkpoint="nowhere"),
        "no json": job_of(b"{", "no json"),
        "no object": job_of(b"[]", "no object"),
        "bad option": job_of(good, "bad option", variants=0),
        "unknown option": job_of(good, "unknown option", colour=1),
        "unknown member": job_of(unknown_member.encode(), "unknown member"),
    }

    for job in jobs.values():
        engines.thread.order(Start(job))

    ends = engines.ends(len(jobs))
    assert isinstance(ends.pop("good"), Succeeded)
    for name in ("unknown_puzzle", "canvas_exceeded", "unknown_checkpoint"):
        assert ends.pop(name).failure.code == name
    assert {end.failure.code for end in ends.values()} == {"unsolvable"}
    assert "variants" in ends["bad option"].failure.detail


def test_a_cancelled_job_leaves_the_engine(
    engines_of: Callable[..., Any], job_of: Callable[..., Any], probes: tuple[Puzzle, ...]
) -> None:
    engines = engines_of(SlowEngine)
    engines.thread.order(Start(job_of(probes[0])))
    assert isinstance(engines.next(), Progressed)

    engines.thread.order(Cancel("job"))

    assert engines.ends(1) == {"job": Cancelled("job")}
    assert engines.made[0].is_idle


def test_a_dropped_job_leaves_without_a_word(
    engines_of: Callable[..., Any], job_of: Callable[..., Any], probes: tuple[Puzzle, ...]
) -> None:
    engines = engines_of(SlowEngine)
    engines.thread.order(Start(job_of(probes[0], "dropped")))
    assert isinstance(engines.next(), Progressed)

    engines.thread.order(Drop("dropped"))
    engines.thread.order(Cancel("never heard of"))
    engines.thread.order(Start(job_of(probes[1], "next", variants=1)))

    assert list(engines.ends(1)) == ["next"]
    assert engines.made[0].is_idle
    assert engines.has_told_nothing()


def test_the_deadline_ends_a_running_job(
    engines_of: Callable[..., Any], job_of: Callable[..., Any], probes: tuple[Puzzle, ...]
) -> None:
    engines = engines_of(SlowEngine)

    engines.thread.order(Start(job_of(probes[0]), deadline=time.monotonic() + 0.5))

    end = engines.ends(1)["job"]
    assert isinstance(end, Failed)
    assert end.failure.code == "deadline_exceeded"
    assert engines.made[0].is_idle


def test_an_error_of_the_engine_ends_the_thread_and_is_kept(
    engines_of: Callable[..., Any], job_of: Callable[..., Any], probes: tuple[Puzzle, ...]
) -> None:
    # The self-test takes the first few steps.
    engines = engines_of(partial(FailingEngine, 5, num_slots=64))
    for num in range(8):
        engines.thread.order(Start(job_of(probes[0], str(num))))

    assert engines.thread.join(60)

    assert engines.thread.has_ended
    assert isinstance(engines.thread.error, RuntimeError)
    assert not engines.thread.untouched()


class FullEngine(FakeEngine):
    """A fake engine whose device can run out of memory, even for one slot."""

    is_full = False

    def step(self) -> list[Outcome]:
        if self.is_full:
            raise DeviceMemoryError("cuda:0 has no memory left for even one slot")
        return super().step()


def test_an_engine_without_memory_fails_its_jobs_and_the_worker_works_on(
    engines_of: Callable[..., Any], job_of: Callable[..., Job], probes: tuple[Puzzle, ...]
) -> None:
    kinds = iter((FullEngine, FakeEngine))
    engines = engines_of(lambda checkpoint: next(kinds)(checkpoint))
    engines.made[0].is_full = True  # after the self-test

    engines.thread.order(Start(job_of(probes[0], "fails")))

    end = engines.ends(1)["fails"]
    assert isinstance(end, Failed)
    assert end.failure.code == "engine_failed"
    assert "no memory left" in end.failure.detail

    engines.thread.order(Start(job_of(probes[0], "later")))

    assert isinstance(engines.ends(1)["later"], Succeeded)
    assert len(engines.made) == 2
    assert engines.thread.error is None


class ColdEngine(FakeEngine):
    """A fake engine that has lost slots, and notes whether a step is awaited while it warms up."""

    awaited: bool | None = None
    thread: Any = None

    def warm_up(self) -> None:
        self.is_cold = False
        self.awaited = self.thread.pulse._awaited_since is not None

    def step(self) -> list[Outcome]:
        assert not self.is_cold
        return super().step()


def test_no_step_is_awaited_while_an_engine_compiles_for_fewer_slots(
    engines_of: Callable[..., Any], job_of: Callable[..., Job], probes: tuple[Puzzle, ...]
) -> None:
    engines = engines_of(ColdEngine)
    engine = engines.made[0]
    engine.thread, engine.is_cold = engines.thread, True

    engines.thread.order(Start(job_of(probes[0])))

    assert isinstance(engines.ends(1)["job"], Succeeded)
    assert engine.awaited is False


def test_orders_nobody_touched_are_told_after_the_end(
    engines_of: Callable[..., Any], job_of: Callable[..., Any], probes: tuple[Puzzle, ...]
) -> None:
    engines = engines_of(SlowEngine)
    engines.thread.order(Start(job_of(probes[0], "running")))
    engines.thread.order(Start(job_of(probes[0], "alone"), is_alone=True))
    assert isinstance(engines.next(), Progressed)

    engines.thread.order(Stop())
    assert engines.thread.join(60)
    engines.thread.order(Start(job_of(probes[0], "late")))

    assert engines.thread.error is None
    assert engines.thread.untouched() == {"alone", "late"}


def test_a_job_that_must_run_alone_waits_for_the_others(
    engines_of: Callable[..., Any], job_of: Callable[..., Any], probes: tuple[Puzzle, ...]
) -> None:
    engines = engines_of(SlowEngine)
    engines.thread.order(Start(job_of(probes[0], "one")))
    engines.thread.order(Start(job_of(probes[1], "alone", variants=1), is_alone=True))
    engines.thread.order(Start(job_of(probes[2], "two")))

    assert list(engines.ends(3)) == ["one", "two", "alone"]


def test_nothing_starts_beside_a_job_that_must_run_alone(
    engines_of: Callable[..., Any], job_of: Callable[..., Any], probes: tuple[Puzzle, ...]
) -> None:
    engines = engines_of(SlowEngine)
    engines.thread.order(Start(job_of(probes[0], "alone"), is_alone=True))
    assert isinstance(engines.next(), Progressed)

    # It would fail at once, were it looked at.
    engines.thread.order(Start(job_of(probes[1], "next", checkpoint="nowhere")))

    assert list(engines.ends(2)) == ["alone", "next"]


def test_a_waiting_lone_job_can_be_cancelled_and_misses_its_deadline(
    engines_of: Callable[..., Any], job_of: Callable[..., Any], probes: tuple[Puzzle, ...]
) -> None:
    engines = engines_of(SlowEngine)
    engines.thread.order(Start(job_of(probes[0], "running")))
    engines.thread.order(Start(job_of(probes[1], "unwanted"), is_alone=True))
    late = Start(job_of(probes[1], "late"), deadline=time.monotonic() + 0.1, is_alone=True)
    engines.thread.order(late)
    engines.thread.order(Cancel("unwanted"))

    ends = engines.ends(3)

    assert ends["unwanted"] == Cancelled("unwanted")
    assert ends["late"].failure.code == "deadline_exceeded"
    assert isinstance(ends["running"], Succeeded)


def test_progress_tells_the_votes_so_far_about_once_a_second(
    engines_of: Callable[..., Any], job_of: Callable[..., Any], probes: tuple[Puzzle, ...]
) -> None:
    engines = engines_of(SlowEngine)
    started = time.monotonic()
    engines.thread.order(Start(job_of(probes[0], stop_early=False)))

    reports = []
    while isinstance(message := engines.next(), Progressed):
        reports.append(json.loads(message.data))
    seconds = time.monotonic() - started

    assert 2 <= len(reports) <= seconds + 1
    assert [report["outcomes"] for report in reports] == sorted(r["outcomes"] for r in reports)
    last = reports[-1]
    assert last["asked"] == 64 * last["test_inputs"]
    (candidate,) = last["tests"][0]["candidates"]
    assert candidate["grid"] == probes[0].test[0].to_rows()
    assert candidate["count"] == last["tests"][0]["votes"]


def test_a_checkpoint_that_fails_the_self_test_is_not_served(
    engines_of: Callable[..., Any],
) -> None:
    engines = engines_of(is_awaited=False, allow_unverified=False)

    assert engines.thread.join(60)

    assert isinstance(engines.thread.error, SettingsError)
    assert not engines.thread.is_ready


def test_an_unverified_checkpoint_says_so(engines_of: Callable[..., Any]) -> None:
    (record,) = engines_of().thread.records

    assert (record.name, record.canvas, record.puzzles) == ("demo", 6, 46)
    assert record.finding == "misaligned"
    assert not record.finding.is_verified
    assert "misaligned" in record.verdict


def test_the_known_puzzles_are_those_of_the_index(engines_of: Callable[..., Any]) -> None:
    thread = engines_of().thread

    (puzzles,) = thread.puzzles.values()

    assert len(puzzles) == 46
    assert {puzzle.variants for puzzle in puzzles} == {64}


def test_a_damaged_checkpoint_leaves_the_others_served(
    engines_of: Callable[..., Any], demo_folder: Path, tmp_path: Path
) -> None:
    engines = engines_of(folders={"broken": tmp_path, "demo": demo_folder})

    assert [record.name for record in engines.thread.records] == ["demo"]


def test_checkpoints_beyond_the_residents_take_turns(
    engines_of: Callable[..., Any],
    job_of: Callable[..., Any],
    probes: tuple[Puzzle, ...],
    demo_folder: Path,
) -> None:
    names = ("a", "b", "c")
    engines = engines_of(SlowEngine, folders=dict.fromkeys(names, demo_folder), max_resident=2)
    num_made = len(engines.made)
    for turn in range(2):
        for name in names:
            job = job_of(probes[0], f"{name}{turn}", checkpoint=name, variants=4)
            engines.thread.order(Start(job))

    ends = engines.ends(6)

    assert all(isinstance(end, Succeeded) for end in ends.values())
    assert len(engines.made) > num_made
    assert all(engine.is_idle for engine in engines.made)


def test_metrics_count_steps_and_votes(
    engines_of: Callable[..., Any], job_of: Callable[..., Any], probes: tuple[Puzzle, ...]
) -> None:
    engines = engines_of()
    engines.thread.order(Start(job_of(probes[0], stop_early=False)))
    engines.ends(1)

    def value(name: str) -> float | None:
        return engines.metrics.registry.get_sample_value(name)

    num_variants = 64.0 * len(probes[0].test)
    assert value("hrm_arc_variants_total") == num_variants
    assert value("hrm_arc_variant_segments_total") == num_variants
    assert value("hrm_arc_halting_steps_sum") == num_variants
    assert value("hrm_arc_vote_share_sum") == len(probes[0].test)
    assert value("hrm_arc_engine_steps_total") == len(probes[0].test)
    assert value("hrm_arc_queue_time_seconds_sum") == 0.25
    assert value("hrm_arc_checkpoints_verified") == 0


def two_folders(demo_folder: Path) -> dict[str, Path]:
    """Serve the demo checkpoint under two names."""
    return {"a": demo_folder, "b": demo_folder}


@pytest.mark.parametrize("max_resident", [1, 2])
def test_checkpoints_of_an_ensemble_vote_together_also_when_they_take_turns(
    engines_of: Callable[..., Any],
    job_of: Callable[..., Any],
    probes: tuple[Puzzle, ...],
    demo_folder: Path,
    max_resident: int,
) -> None:
    engines = engines_of(folders=two_folders(demo_folder), max_resident=max_resident)
    options = {"variants": 8, "stop_early": False}
    jobs = [
        job_of(probes[0], "one", checkpoint="b", ensemble=["a"], **options),
        job_of(probes[1], "two", checkpoint="a", ensemble=["b"], **options),
        job_of(probes[2], "three", checkpoint="a", **options),
    ]

    for job in jobs:
        engines.thread.order(Start(job))

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
    demo_folder: Path,
) -> None:
    engines = engines_of(SlowEngine, folders=two_folders(demo_folder))
    job = job_of(probes[0], checkpoint="a", ensemble=["b"], stop_early=False)

    engines.thread.order(Start(job))

    reports = []
    while isinstance(message := engines.next(), Progressed):
        reports.append(json.loads(message.data))
    assert {report["asked"] for report in reports} == {128 * len(probes[0].test)}
    assert any(report["outcomes"] > 64 * len(probes[0].test) for report in reports)


def test_an_ensemble_is_refused_for_the_member_that_cannot_vote_which_is_named(
    engines_of: Callable[..., Any],
    job_of: Callable[..., Any],
    probes: tuple[Puzzle, ...],
    demo_folder: Path,
    checkpoint_folder_of: Callable[..., Path],
) -> None:
    puzzle = probes[0]
    wide = next(one for one in probes if max(max(grid.size) for grid in one.test) > 3)
    folders = {
        "demo": demo_folder,
        "ignorant": checkpoint_folder_of("ignorant", probes[1]),
        "narrow": checkpoint_folder_of("narrow", wide),
    }
    engines = engines_of(folders=folders)
    jobs = {
        "unknown_puzzle": job_of(puzzle, "unknown_puzzle", ensemble=["ignorant"]),
        "canvas_exceeded": job_of(wide, "canvas_exceeded", ensemble=["narrow"]),
        "unknown_checkpoint": job_of(puzzle, "unknown_checkpoint", ensemble=["nowhere"]),
        "unsolvable": job_of(puzzle, "unsolvable", ensemble=["demo"]),
    }

    for job in jobs.values():
        engines.thread.order(Start(job))

    failures = {job_id: end.failure for job_id, end in engines.ends(4).items()}
    assert {job_id: failure.code for job_id, failure in failures.items()} == {
        code: code for code in jobs
    }
    named = {
        "unknown_puzzle": "ignorant",
        "canvas_exceeded": "narrow",
        "unknown_checkpoint": "nowhere",
        "unsolvable": "demo",
    }
    for job_id, name in named.items():
        assert name in failures[job_id].detail
    assert all(engine.is_idle for engine in engines.made)


def test_a_cancelled_ensemble_leaves_all_engines(
    engines_of: Callable[..., Any],
    job_of: Callable[..., Any],
    probes: tuple[Puzzle, ...],
    demo_folder: Path,
) -> None:
    engines = engines_of(SlowEngine, folders=two_folders(demo_folder))
    engines.thread.order(Start(job_of(probes[0], checkpoint="a", ensemble=["b"])))
    assert isinstance(engines.next(), Progressed)

    engines.thread.order(Cancel("job"))

    assert engines.ends(1) == {"job": Cancelled("job")}
    assert all(engine.is_idle for engine in engines.made)
