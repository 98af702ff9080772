"""Jobs that must run isolated, in the engine loop, and jobs that wait."""

import time
from collections.abc import Callable
from functools import partial
from typing import Any

from augment import Puzzle
from bench.fake_engine import FakeEngine
from service.worker.messages import (
    Change,
    Changed,
    Control,
    Progressed,
    StartJob,
    StopJob,
    Succeeded,
)

# Slow enough that a command arrives between two of the 64 steps of a puzzle's variants.
SlowEngine = partial(FakeEngine, step_s=0.05, num_slots=1)


def test_jobs_that_nothing_was_done_about_are_known_after_the_end(
    engines_of: Callable[..., Any], job_of: Callable[..., Any], probes: tuple[Puzzle, ...]
) -> None:
    engines = engines_of(SlowEngine)
    engines.send(StartJob(job_of(probes[0], "running")))
    engines.send(StartJob(job_of(probes[0], "isolated"), is_isolated=True))
    assert isinstance(engines.next(), Progressed)

    engines.send(Control.STOP)
    engines.wait_until_ended()
    engines.send(StartJob(job_of(probes[0], "late")))

    assert engines.loop.error is None
    assert engines.loop.untouched() == {"isolated", "late"}


def test_an_isolated_job_waits_for_the_others(
    engines_of: Callable[..., Any], job_of: Callable[..., Any], probes: tuple[Puzzle, ...]
) -> None:
    engines = engines_of(SlowEngine)
    engines.send(StartJob(job_of(probes[0], "one")))
    engines.send(StartJob(job_of(probes[1], "isolated", variants=1), is_isolated=True))
    engines.send(StartJob(job_of(probes[2], "two")))

    assert list(engines.ends(3)) == ["one", "two", "isolated"]


def test_no_job_starts_beside_an_isolated_one(
    engines_of: Callable[..., Any], job_of: Callable[..., Any], probes: tuple[Puzzle, ...]
) -> None:
    engines = engines_of(SlowEngine)
    engines.send(StartJob(job_of(probes[0], "isolated"), is_isolated=True))
    assert isinstance(engines.next(), Progressed)

    # It would fail at once if it were started.
    engines.send(StartJob(job_of(probes[1], "next", checkpoint="nowhere")))

    assert list(engines.ends(2)) == ["isolated", "next"]


def test_a_waiting_isolated_job_can_be_cancelled_and_misses_its_deadline(
    engines_of: Callable[..., Any], job_of: Callable[..., Any], probes: tuple[Puzzle, ...]
) -> None:
    engines = engines_of(SlowEngine)
    engines.send(StartJob(job_of(probes[0], "running")))
    engines.send(StartJob(job_of(probes[1], "unwanted"), is_isolated=True))
    late = StartJob(job_of(probes[1], "late"), deadline=time.monotonic() + 0.1, is_isolated=True)
    engines.send(late)
    engines.send(StopJob("unwanted"))

    ends = engines.ends(3)

    assert ends["unwanted"] == Changed("unwanted", Change.CANCELLED)
    assert ends["late"].failure.code == "deadline_exceeded"
    assert isinstance(ends["running"], Succeeded)
