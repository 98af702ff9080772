"""Lanes: samples of several sizes at once, each answered as in an engine of its size."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from hrm_core import Checkpoint, CropEngine, Engine, EngineConfig, Sample, open_checkpoint
from hrm_core.engine.crop_engine import MAX_LANES
from hrm_core.errors import EngineError

pytestmark = pytest.mark.usefixtures("one_thread")

CPU = torch.device("cpu")
CANVAS = 12
Answers = dict[object, tuple[list[int], int]]


@pytest.fixture(params=["rope", "learned"])
def checkpoint(request: pytest.FixtureRequest, make_checkpoint: Callable[..., Path]) -> Checkpoint:
    folder = make_checkpoint(canvas=CANVAS, num_rows=5, pos_encodings=request.param, crop=True)
    return open_checkpoint(folder)


def samples(checkpoint: Checkpoint, side: int, num: int) -> list[Sample]:
    rng = np.random.default_rng(side)
    rows = checkpoint.rows.gather([1 + i % 4 for i in range(num)])
    tokens = rng.integers(0, 12, (num, side**2)).astype(np.int32)
    return [Sample((side, i), tokens[i], rows[i]) for i in range(num)]


def answers(engine: Engine, groups: Sequence[list[Sample]]) -> Answers:
    for group in groups:
        engine.add(group, job="job")
    return {one.sample_id: (one.tokens.tolist(), one.steps) for one in engine.drain()}


def test_every_size_is_answered_as_if_isolated(checkpoint: Checkpoint) -> None:
    groups = [samples(checkpoint, side, 7) for side in (4, 6, CANVAS)]
    config = EngineConfig(CPU, num_slots=3)

    together = answers(CropEngine(checkpoint, config), groups)

    assert len(together) == 21
    for group in groups:
        isolated = answers(CropEngine(checkpoint, config), [group])
        assert isolated == {one.sample_id: together[one.sample_id] for one in group}


def test_a_crop_to_the_whole_canvas_is_the_whole_canvas(checkpoint: Checkpoint) -> None:
    config = EngineConfig(CPU, num_slots=3)
    group = samples(checkpoint, CANVAS, 5)

    assert answers(CropEngine(checkpoint, config), [group]) == answers(
        Engine(checkpoint, config), [group]
    )


def test_smaller_lanes_have_more_slots(checkpoint: Checkpoint) -> None:
    engine = CropEngine(checkpoint, EngineConfig(CPU))
    counts = []
    for side in (4, 8, CANVAS):
        engine.add(samples(checkpoint, side, 1), job="job")
        counts.append(engine.num_slots)
    assert counts == sorted(counts, reverse=True)
    assert counts[0] > counts[-1]


def test_lanes_take_turns(checkpoint: Checkpoint) -> None:
    engine = CropEngine(checkpoint, EngineConfig(CPU, num_slots=1))
    for side in (4, 6):
        engine.add(samples(checkpoint, side, 4), job="job", max_segments=1)
    order = [one.sample_id[0] for one in engine.drain()]
    assert order == [4, 6] * 4


def test_cancelled_samples_leave_all_lanes(checkpoint: Checkpoint) -> None:
    engine = CropEngine(checkpoint, EngineConfig(CPU, num_slots=2))
    for job, side in (("one", 4), ("one", 6), ("two", 6)):
        engine.add(samples(checkpoint, side, 3), job=job)
    engine.step()
    assert engine.seated_jobs == {"one"}
    engine.step()
    assert engine.seated_jobs == {"one", "two"}
    assert engine.cancel("one") == 6
    assert engine.num_waiting + engine.num_seated == 3
    assert engine.cancel("two") == 3
    assert engine.is_idle


def test_idle_lanes_make_room_and_busy_ones_stay(checkpoint: Checkpoint) -> None:
    engine = CropEngine(checkpoint, EngineConfig(CPU, num_slots=1))
    engine.add(samples(checkpoint, 5, 1), job="busy")
    for side in range(6, 12):
        engine.add(samples(checkpoint, side, 1), job="other")
        engine.cancel("other")
    assert len(engine._lanes) == MAX_LANES
    assert [one.sample_id for one in engine.drain()] == [(5, 0)]


@pytest.mark.parametrize("num_cells", [15, 169])
def test_tokens_that_are_no_square_of_the_canvas_are_refused(
    checkpoint: Checkpoint, num_cells: int
) -> None:
    engine = CropEngine(checkpoint, EngineConfig(CPU, num_slots=1))
    sample = Sample("odd", np.zeros(num_cells, dtype=np.int32), checkpoint.rows.gather([1])[0])
    with pytest.raises(EngineError, match="not a square that fits the canvas"):
        engine.add([sample], job="job")
