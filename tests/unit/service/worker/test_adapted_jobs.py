"""Jobs that a checkpoint is adapted for, in the engine loop."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from augment import Grid, Pair, Puzzle
from bench.fake_engine import FakeEngine
from service.worker.messages import (
    Change,
    Changed,
    Control,
    Failed,
    Progressed,
    StartJob,
    StopJob,
    Succeeded,
)

pytestmark = pytest.mark.usefixtures("one_thread")

ENDLESS = 100_000


@pytest.fixture
def engines(engines_of: Callable[..., Any], tiny_folder: Path) -> Any:
    """Return an engine loop that adapts the tiny checkpoint."""
    return engines_of(FakeEngine, folders={"tiny": tiny_folder}, adapts=True)


@pytest.fixture
def start(engines: Any, job_of: Callable[..., Any]) -> Callable[..., None]:
    """Return what starts a job for a puzzle that the tiny checkpoint does not know."""

    def start(job_id: str, steps: int, **changes: Any) -> None:
        pair = Pair(Grid.from_rows([[7, 0]]), Grid.from_rows([[0, 7]]))
        puzzle = Puzzle("new", (pair,), (Grid.from_rows([[7, 7]]),))
        job = job_of(puzzle, job_id, checkpoint="tiny", adapt="auto", adapt_steps=steps)
        engines.send(StartJob(job, **changes))

    return start


def next_change(engines: Any) -> Any:
    """Return the next event that is not progress."""
    while isinstance(event := engines.next(), Progressed):
        assert json.loads(event.data)["adaptation"]["checkpoint"] == "tiny"
    return event


def test_a_job_is_solved_once_its_checkpoint_is_adapted(
    engines: Any, start: Callable[..., None]
) -> None:
    start("job", 3)

    assert next_change(engines) == Changed("job", Change.ADAPTING)
    changes = []
    while isinstance(event := next_change(engines), Changed):
        changes.append(event.change)
    assert isinstance(event, Succeeded)
    assert changes[-1] is Change.RUNNING
    assert set(changes) <= {Change.ADVANCED, Change.RUNNING}
    result = json.loads(event.result)
    assert result["enrolment"] == "adapted"
    assert (result["adaptation"]["steps"], result["adaptation"]["reused"]) == (3, False)
    trained_s = engines.metrics.registry.get_sample_value("hrm_arc_adaptation_seconds_total")
    assert trained_s > 0


def test_a_job_that_waits_for_an_adaptation_can_be_stopped_and_misses_its_deadline(
    engines: Any, start: Callable[..., None]
) -> None:
    start("unwanted", ENDLESS)
    assert next_change(engines) == Changed("unwanted", Change.ADAPTING)
    engines.send(StopJob("unwanted"))
    assert next_change(engines) == Changed("unwanted", Change.CANCELLED)

    start("late", ENDLESS, deadline=time.monotonic() + 3.0)
    assert next_change(engines) == Changed("late", Change.ADAPTING)
    end = next_change(engines)
    assert isinstance(end, Failed)
    assert end.failure.code == "deadline_exceeded"
    assert engines.adaptations.num_waiting == 0


def test_jobs_that_need_an_adaptation_are_released_when_adaptations_are_suspended(
    engines: Any, start: Callable[..., None]
) -> None:
    start("before", ENDLESS)
    assert next_change(engines) == Changed("before", Change.ADAPTING)

    engines.send(Control.SUSPEND)
    start("after", ENDLESS)

    released = [next_change(engines) for _ in range(2)]
    assert released == [Changed(job_id, Change.RELEASED) for job_id in ("before", "after")]


def test_an_adapted_checkpoint_cannot_be_named_by_a_job(
    engines_of: Callable[..., Any],
    job_of: Callable[..., Any],
    probes: tuple[Puzzle, ...],
    small_folder: Path,
) -> None:
    engines = engines_of(adapts=True)
    engines.pool.add_adapted("small-0123", small_folder)

    engines.send(StartJob(job_of(probes[0], checkpoint="small-0123")))

    assert engines.ends(1)["job"].failure.code == "unknown_checkpoint"
    assert engines.loop.error is None
