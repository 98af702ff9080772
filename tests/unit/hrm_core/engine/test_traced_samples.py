"""Traced samples: their predictions after every segment, at no cost for others."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from hrm_core import (
    Checkpoint,
    CropEngine,
    Engine,
    EngineConfig,
    Halting,
    Outcome,
    Sample,
    open_checkpoint,
)
from hrm_core.device.measured import Tuned, tuned_path, write_tuned
from hrm_core.engine import carry
from hrm_core.engine.carry import SegmentOutput, SlotTensors
from hrm_core.model.network import Network

pytestmark = pytest.mark.usefixtures("one_thread")

CPU = torch.device("cpu")
NUM_SEGMENTS = 5
NAMES = [
    "hrm.hrm_act_v1@HierarchicalReasoningModel_ACTV1",
    "recursive_reasoning.trm@TinyRecursiveReasoningModel_ACTV1",
]


@pytest.fixture(params=NAMES, ids=["hrm", "trm"])
def checkpoint(request: pytest.FixtureRequest, make_checkpoint: Callable[..., Path]) -> Checkpoint:
    return open_checkpoint(
        make_checkpoint(name=request.param, halt_max_steps=NUM_SEGMENTS, num_rows=20)
    )


def samples(
    checkpoint: Checkpoint, num: int, *, side: int = 4, traced: Sequence[int] = ()
) -> list[Sample]:
    rng = np.random.default_rng(side)
    rows = checkpoint.rows.gather([1 + i for i in range(num)])
    tokens = rng.integers(0, checkpoint.config.vocab_size, (num, side**2)).astype(np.int32)
    return [Sample((side, i), tokens[i], rows[i], i in traced) for i in range(num)]


def run(engine: Engine, group: Sequence[Sample], **options: object) -> dict[object, Outcome]:
    engine.add(group, job="job", **options)
    return {outcome.sample_id: outcome for outcome in engine.drain()}


def tokens_of(outcomes: dict[object, Outcome]) -> dict[object, list[int]]:
    return {sample_id: outcome.tokens.tolist() for sample_id, outcome in outcomes.items()}


def predictions_of(outcomes: dict[object, Outcome]) -> dict[object, list[list[int]] | None]:
    return {
        sample_id: None if one.predictions is None else one.predictions.tolist()
        for sample_id, one in outcomes.items()
    }


def by_shorter_runs(engine: Engine, group: Sequence[Sample], sample_id: object) -> list[list[int]]:
    return [
        run(engine, group, halting=Halting.FIXED, max_segments=1 + i)[sample_id].tokens.tolist()
        for i in range(NUM_SEGMENTS)
    ]


def test_predictions_are_what_runs_of_fewer_segments_answer(checkpoint: Checkpoint) -> None:
    engine = Engine(checkpoint, EngineConfig(CPU, num_slots=3))
    outcomes = run(engine, samples(checkpoint, 7, traced=(1, 4, 6)), halting=Halting.FIXED)

    untraced = samples(checkpoint, 7)
    assert predictions_of(outcomes) == {
        (4, i): by_shorter_runs(engine, untraced, (4, i)) if i in (1, 4, 6) else None
        for i in range(7)
    }
    found = outcomes[4, 1].predictions
    assert found is not None
    assert len({tuple(tokens) for tokens in found.tolist()}) > 1, "the network must still change"


def test_a_trace_ends_where_the_sample_halts_and_moves_no_answer(checkpoint: Checkpoint) -> None:
    trunk = dict(checkpoint.trunk)
    trunk["lm_head.weight"] = torch.zeros_like(trunk["lm_head.weight"])
    trunk["q_head.weight"] = torch.zeros_like(trunk["q_head.weight"])
    trunk["q_head.bias"] = torch.tensor([1.0, 0.0])  # settled and called right after five
    engine = Engine(replace(checkpoint, trunk=trunk), EngineConfig(CPU, num_slots=2))

    outcomes = run(engine, samples(checkpoint, 5, traced=range(5)), max_segments=9)
    plain = run(engine, samples(checkpoint, 5), max_segments=9)

    assert tokens_of(outcomes) == tokens_of(plain)
    for outcome in outcomes.values():
        assert outcome.predictions is not None
        assert outcome.predictions.shape == (outcome.steps, 16) == (5, 16)
        assert outcome.predictions.dtype == np.uint8
        assert (outcome.predictions[-1] == outcome.tokens).all()


def test_slots_of_cancelled_samples_keep_no_predictions(checkpoint: Checkpoint) -> None:
    engine = Engine(checkpoint, EngineConfig(CPU, num_slots=2))
    engine.add(samples(checkpoint, 4, traced=range(4)), job="gone", halting=Halting.FIXED)
    engine.step()
    engine.cancel("gone", lambda sample_id: sample_id[1] == 0)
    engine.step()
    engine.cancel("gone")
    assert engine.is_idle

    group = samples(checkpoint, 4, traced=(1, 3))
    outcomes = run(engine, group, halting=Halting.FIXED)

    lengths = [found and len(found) for found in predictions_of(outcomes).values()]
    assert lengths == [None, NUM_SEGMENTS, None, NUM_SEGMENTS]


def test_samples_that_start_over_are_traced_from_their_start(checkpoint: Checkpoint) -> None:
    group = samples(checkpoint, 4, traced=range(4))
    expected = run(Engine(checkpoint, EngineConfig(CPU, num_slots=2)), group, halting=Halting.FIXED)
    engine = Engine(checkpoint, EngineConfig(CPU, num_slots=4))
    segment, calls = engine._run, iter(range(100))

    def limited(network: Network, slots: SlotTensors) -> SegmentOutput:
        if len(slots.z_H) > 2 and next(calls) >= 2:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return segment(network, slots)

    engine._run = limited
    outcomes = run(engine, group, halting=Halting.FIXED)

    assert engine.num_slots == 2
    assert predictions_of(outcomes) == predictions_of(expected)


def test_samples_of_several_sizes_are_traced_in_their_lanes(
    make_checkpoint: Callable[..., Path],
) -> None:
    checkpoint = open_checkpoint(
        make_checkpoint(canvas=8, num_rows=5, crop=True, halt_max_steps=NUM_SEGMENTS)
    )
    engine = CropEngine(checkpoint, EngineConfig(CPU, num_slots=2))
    groups = [samples(checkpoint, 3, side=side, traced=(1,)) for side in (4, 6)]
    outcomes = run(engine, [*groups[0], *groups[1]], halting=Halting.FIXED)

    for side, group in zip((4, 6), groups, strict=True):
        found = outcomes[side, 1].predictions
        assert found is not None
        assert found.tolist() == by_shorter_runs(engine, group, (side, 1))
        assert outcomes[side, 0].predictions is None


def test_a_captured_step_leaves_its_predictions_to_the_next(
    checkpoint: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a CUDA graph does, the recording computes into the tensors that it first gave."""

    def record(call: Callable[[], SegmentOutput]) -> tuple[SegmentOutput, Callable[[], None]]:
        outputs = call()

        def replay() -> None:
            for kept, value in zip(outputs, call(), strict=True):
                kept.copy_(value)

        return outputs, replay

    monkeypatch.setattr(carry, "record", record)
    group = samples(checkpoint, 5, traced=range(5))
    found = []
    for is_captured in (False, True):
        tuned = Tuned("float32", 4, source="bench tune", is_captured=is_captured)
        write_tuned(tuned_path(tmp_path, CPU, checkpoint.config), tuned, {})
        engine = Engine(checkpoint, EngineConfig(CPU, tuned_folder=tmp_path))
        found.append(predictions_of(run(engine, group, halting=Halting.FIXED)))
    assert found[0] == found[1]


def test_a_step_of_untraced_samples_reads_nothing_more_back(
    checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    shapes: list[tuple[int, ...]] = []
    to_host = torch.Tensor.cpu

    def counted(tensor: torch.Tensor) -> torch.Tensor:
        shapes.append(tuple(tensor.shape))
        return to_host(tensor)

    monkeypatch.setattr(torch.Tensor, "cpu", counted)
    engine = Engine(checkpoint, EngineConfig(CPU, num_slots=2))
    for traced, read in (
        ((), [(2, 4)] * 2 + [(2, 16)]),
        ((1,), [(2, 4), (1, 16), (2, 4), (2, 16)]),
    ):
        shapes.clear()
        run(
            engine,
            samples(checkpoint, 2, traced=traced),
            halting=Halting.FIXED,
            max_segments=2,
        )
        assert shapes == read
