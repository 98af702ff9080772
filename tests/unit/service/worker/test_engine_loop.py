"""The engine loop, on engines without a network."""

import json
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from augment import Grid, Puzzle, Task, task_document
from bench.fake_engine import FailingEngine, FakeEngine
from hrm_core import DeviceMemoryError, Outcome
from service.jobs import Job
from service.worker.messages import (
    Change,
    Changed,
    Failed,
    Progressed,
    StartJob,
    StopJob,
    Succeeded,
)

# Slow enough that a command arrives between two of the 64 steps of a puzzle's variants.
SlowEngine = partial(FakeEngine, step_s=0.05, num_slots=1)


def test_an_answer_has_all_that_is_needed_to_repeat_it(
    engines_of: Callable[..., Any], job_of: Callable[..., Any], probes: tuple[Puzzle, ...]
) -> None:
    engines = engines_of()
    puzzle = probes[0]

    engines.send(StartJob(job_of(puzzle, variants=8, seed=3, stop_early=False)))

    end = engines.ends(1)["job"]
    assert isinstance(end, Succeeded)
    result = json.loads(end.result)
    for test, grid in zip(result["tests"], puzzle.test, strict=True):
        assert test["attempts"] == [grid.to_rows()]  # what went in comes out
        assert test["votes"] == test["variants_asked"] == 8
        assert "expected" not in test
    assert (result["puzzle"], result["seed"], result["checkpoint"]) == (puzzle.name, 3, "small")
    assert (result["verified"], result["worker"]) == (True, "w")
    *copies, of_checkpoint = result["warnings"]
    assert copies == [
        f"The first attempt at test input {number} equals its input."
        for number in range(1, len(puzzle.test) + 1)
    ]
    assert of_checkpoint.startswith("small: ")
    assert list(result["timings_s"]) == ["queue", "encode", "vote", "run", "total"]
    assert result["timings_s"]["queue"] == 0.25
    assert result["timings_s"]["run"] <= result["timings_s"]["total"] - 0.25 < 600


def test_expected_outputs_are_compared_with(
    engines_of: Callable[..., Any], job_of: Callable[..., Any], probes: tuple[Puzzle, ...]
) -> None:
    engines = engines_of()
    puzzle = probes[0]
    for job_id, grid in (("right", puzzle.test[0]), ("wrong", Grid.from_rows([[9]]))):
        document = task_document(Task(puzzle, (grid,) * len(puzzle.test)))
        engines.send(StartJob(job_of(json.dumps(document).encode(), job_id)))

    for job_id, end in engines.ends(2).items():
        test = json.loads(end.result)["tests"][0]
        assert test["right"] is (job_id == "right")
    assert test["expected"]


def test_more_variants_than_rows_are_all_there_are(
    engines_of: Callable[..., Any], job_of: Callable[..., Any], probes: tuple[Puzzle, ...]
) -> None:
    engines = engines_of()

    engines.send(StartJob(job_of(probes[0], variants=1000, stop_early=False)))

    test = json.loads(engines.ends(1)["job"].result)["tests"][0]
    assert test["variants_used"] == test["variants_asked"] == 64


def test_an_error_of_one_job_ends_only_that_job(
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
        engines.send(StartJob(job))

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
    engines.send(StartJob(job_of(probes[0])))
    assert isinstance(engines.next(), Progressed)

    engines.send(StopJob("job"))

    assert engines.ends(1) == {"job": Changed("job", Change.CANCELLED)}
    assert engines.made[0].is_idle


def test_a_lost_job_leaves_without_an_event(
    engines_of: Callable[..., Any], job_of: Callable[..., Any], probes: tuple[Puzzle, ...]
) -> None:
    engines = engines_of(SlowEngine)
    engines.send(StartJob(job_of(probes[0], "lost")))
    assert isinstance(engines.next(), Progressed)

    engines.send(StopJob("lost", is_lost=True))
    engines.send(StopJob("never heard of"))
    engines.send(StartJob(job_of(probes[1], "next", variants=1)))

    assert list(engines.ends(1)) == ["next"]
    assert engines.made[0].is_idle
    assert engines.events.empty()


def test_the_deadline_ends_a_running_job(
    engines_of: Callable[..., Any], job_of: Callable[..., Any], probes: tuple[Puzzle, ...]
) -> None:
    engines = engines_of(SlowEngine)

    engines.send(StartJob(job_of(probes[0]), deadline=time.monotonic() + 0.5))

    end = engines.ends(1)["job"]
    assert isinstance(end, Failed)
    assert end.failure.code == "deadline_exceeded"
    assert engines.made[0].is_idle


def test_an_error_of_the_engine_ends_the_loop_and_is_kept(
    engines_of: Callable[..., Any], job_of: Callable[..., Any], probes: tuple[Puzzle, ...]
) -> None:
    # The self-test takes the first few steps.
    engines = engines_of(partial(FailingEngine, 5, num_slots=64))
    for num in range(8):
        engines.send(StartJob(job_of(probes[0], str(num))))

    engines.wait_until_ended()

    assert isinstance(engines.loop.error, RuntimeError)
    assert not engines.loop.untouched()


class FullEngine(FakeEngine):
    """A fake engine whose device runs out of memory, even for one slot, at a given moment.

    It has fewer slots than a job has variants, so that votes are settled with samples left over.
    """

    full_at = ""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options | {"num_slots": 40})

    def step(self) -> list[Outcome]:
        self._check_memory("step")
        return super().step()

    def cancel(self, *arguments: Any) -> int:
        self._check_memory("cancel")
        return super().cancel(*arguments)

    def _check_memory(self, moment: str) -> None:
        if self.full_at == moment:
            self.full_at = ""
            raise DeviceMemoryError("cuda:0 has no memory left for even one slot")


# While votes are counted, samples of settled inputs are cancelled, and larger crops are queued.
@pytest.mark.parametrize("full_at", ["step", "cancel"])
def test_an_engine_without_memory_fails_its_jobs_and_the_loop_goes_on(
    engines_of: Callable[..., Any],
    job_of: Callable[..., Job],
    probes: tuple[Puzzle, ...],
    full_at: str,
) -> None:
    kinds = iter((FullEngine, FakeEngine))
    engines = engines_of(lambda checkpoint: next(kinds)(checkpoint))
    engines.made[0].full_at = full_at  # after the self-test

    # With a single attempt the vote is decided before all samples are out.
    engines.send(StartJob(job_of(probes[0], "fails", attempts=1)))

    end = engines.ends(1)["fails"]
    assert isinstance(end, Failed)
    assert end.failure.code == "engine_failed"
    assert "no memory left" in end.failure.detail

    engines.send(StartJob(job_of(probes[0], "later")))

    assert isinstance(engines.ends(1)["later"], Succeeded)
    assert len(engines.made) == 2
    assert engines.loop.error is None


class ColdEngine(FakeEngine):
    """A fake engine that has lost slots, and notes whether a step is expected as it warms up."""

    was_paused: bool | None = None
    loop: Any = None

    def warm_up(self) -> None:
        self.is_cold = False
        self.was_paused = self.loop.watchdog._expected_since is None

    def step(self) -> list[Outcome]:
        assert not self.is_cold
        return super().step()


def test_no_step_is_expected_while_an_engine_compiles_for_fewer_slots(
    engines_of: Callable[..., Any], job_of: Callable[..., Job], probes: tuple[Puzzle, ...]
) -> None:
    engines = engines_of(ColdEngine)
    engine = engines.made[0]
    engine.loop, engine.is_cold = engines.loop, True

    engines.send(StartJob(job_of(probes[0])))

    assert isinstance(engines.ends(1)["job"], Succeeded)
    assert engine.was_paused is True


def test_progress_reports_the_votes_so_far_about_once_a_second(
    engines_of: Callable[..., Any], job_of: Callable[..., Any], probes: tuple[Puzzle, ...]
) -> None:
    engines = engines_of(SlowEngine)
    started = time.monotonic()
    engines.send(StartJob(job_of(probes[0], stop_early=False)))

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


def test_more_checkpoints_than_engines_take_turns(
    engines_of: Callable[..., Any],
    job_of: Callable[..., Any],
    probes: tuple[Puzzle, ...],
    small_folder: Path,
) -> None:
    names = ("a", "b", "c")
    engines = engines_of(SlowEngine, folders=dict.fromkeys(names, small_folder), max_resident=2)
    num_made = len(engines.made)
    for turn in range(2):
        for name in names:
            job = job_of(probes[0], f"{name}{turn}", checkpoint=name, variants=4)
            engines.send(StartJob(job))

    ends = engines.ends(6)

    assert all(isinstance(end, Succeeded) for end in ends.values())
    assert len(engines.made) > num_made
    assert all(engine.is_idle for engine in engines.made)


def test_metrics_count_steps_and_votes(
    engines_of: Callable[..., Any], job_of: Callable[..., Any], probes: tuple[Puzzle, ...]
) -> None:
    engines = engines_of()
    engines.send(StartJob(job_of(probes[0], stop_early=False)))
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
    assert value("hrm_arc_checkpoints_verified") == 1
