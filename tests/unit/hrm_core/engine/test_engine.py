"""The engine: what it takes in, when samples stop, how they are taken back."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from tolerances import assert_near

from hrm_core import (
    AttentionError,
    Checkpoint,
    Engine,
    EngineConfig,
    EngineError,
    Halting,
    Sample,
    open_checkpoint,
    pick_device,
)

pytestmark = pytest.mark.usefixtures("one_thread")

CPU = torch.device("cpu")
HRM_NAME = "hrm.hrm_act_v1@HierarchicalReasoningModel_ACTV1"
TRM_NAME = "recursive_reasoning.trm@TinyRecursiveReasoningModel_ACTV1"


@pytest.fixture
def checkpoint(make_checkpoint: Callable[..., Path]) -> Checkpoint:
    return open_checkpoint(make_checkpoint(halt_max_steps=5, num_rows=20))


def with_q_bias(checkpoint: Checkpoint, q_halt: float, q_continue: float) -> Checkpoint:
    """Give every sample these two q logits, and an answer that never changes."""
    trunk = dict(checkpoint.trunk)
    trunk["lm_head.weight"] = torch.zeros_like(trunk["lm_head.weight"])
    trunk["q_head.weight"] = torch.zeros_like(trunk["q_head.weight"])
    trunk["q_head.bias"] = torch.tensor([q_halt, q_continue])
    return replace(checkpoint, trunk=trunk)


def samples(checkpoint: Checkpoint, num: int, first: int = 0) -> list[Sample]:
    config = checkpoint.config
    rng = np.random.default_rng(first)
    return [
        Sample(
            first + i,
            rng.integers(0, config.vocab_size, config.seq_len).astype(np.int32),
            checkpoint.rows.gather([1 + i])[0],
        )
        for i in range(num)
    ]


def engine_of(checkpoint: Checkpoint, num_slots: int = 3) -> Engine:
    return Engine(checkpoint, EngineConfig(CPU, num_slots=num_slots))


def test_fixed_halting_runs_all_segments_whatever_q_says(checkpoint: Checkpoint) -> None:
    engine = engine_of(with_q_bias(checkpoint, 9.0, -9.0))
    engine.add(samples(checkpoint, 4), job=1, halting=Halting.FIXED)
    engine.add(samples(checkpoint, 1, first=9), job=1, halting=Halting.FIXED, max_segments=2)
    outcomes = {outcome.sample_id: outcome for outcome in engine.drain()}
    assert {i: outcome.steps for i, outcome in outcomes.items()} == {0: 5, 1: 5, 2: 5, 3: 5, 9: 2}


@pytest.mark.parametrize(
    ("q_halt", "q_continue", "steps"),
    [(0.5, 0.4, 5), (0.5, 0.6, 5), (0.0, -1.0, 7), (-0.5, -0.6, 7)],
)
@pytest.mark.parametrize("name", [HRM_NAME, TRM_NAME])
def test_act_halting_stops_a_settled_answer_that_q_calls_right(
    make_checkpoint: Callable[..., Path],
    name: str,
    q_halt: float,
    q_continue: float,
    steps: int,
) -> None:
    folder = make_checkpoint(name=name, halt_max_steps=7, num_rows=20)
    engine = engine_of(with_q_bias(open_checkpoint(folder), q_halt, q_continue))
    engine.add(samples(engine.checkpoint, 1), job=1)
    (outcome,) = engine.drain()
    assert outcome.steps == steps
    found = (outcome.q_halt_logit, outcome.q_continue_logit)
    assert_near(found, (q_halt, q_continue), rtol=1e-6)


def test_a_step_without_samples_costs_nothing_and_gives_nothing(checkpoint: Checkpoint) -> None:
    engine = engine_of(checkpoint)
    assert engine.is_idle
    assert engine.step() == []
    assert engine.num_steps == 0
    engine.add([], job=1)
    assert engine.is_idle


def test_waiting_and_seated_samples_are_counted(checkpoint: Checkpoint) -> None:
    engine = engine_of(checkpoint, num_slots=2)
    engine.add(samples(checkpoint, 5), job=1, halting=Halting.FIXED)
    engine.add(samples(checkpoint, 1, first=5), job=2)
    assert (engine.num_waiting, engine.num_seated, engine.seated_jobs) == (6, 0, frozenset())
    engine.step()
    assert (engine.num_waiting, engine.num_seated, engine.seated_jobs) == (4, 2, {1, 2})
    assert not engine.is_idle
    assert sorted(outcome.sample_id for outcome in engine.drain()) == [0, 1, 2, 3, 4, 5]
    assert (engine.num_waiting, engine.num_seated, engine.seated_jobs) == (0, 0, frozenset())


def test_cancelling_frees_seats_at_once_and_returns_how_many_samples_went(
    checkpoint: Checkpoint,
) -> None:
    engine = engine_of(checkpoint, num_slots=2)
    engine.add(samples(checkpoint, 3), job="a", halting=Halting.FIXED)
    engine.step()
    engine.add(samples(checkpoint, 2, first=10), job="b", halting=Halting.FIXED)
    assert engine.cancel("a") == 3
    assert (engine.num_waiting, engine.num_seated) == (2, 0)
    assert engine.cancel("a") == 0
    assert engine.cancel("nobody") == 0
    assert {outcome.sample_id for outcome in engine.drain()} == {10, 11}


def test_cancelling_some_of_a_job_leaves_the_others(checkpoint: Checkpoint) -> None:
    engine = engine_of(checkpoint, num_slots=2)
    engine.add(samples(checkpoint, 5), job="a", halting=Halting.FIXED)
    engine.step()
    assert engine.cancel("a", lambda sample_id: sample_id in (0, 4)) == 2
    assert (engine.num_waiting, engine.num_seated) == (2, 1)
    assert {outcome.sample_id for outcome in engine.drain()} == {1, 2, 3}


def test_outcome_tokens_are_read_only_bytes_of_the_canvas(checkpoint: Checkpoint) -> None:
    engine = engine_of(checkpoint)
    engine.add(samples(checkpoint, 2), job=1)
    for outcome in engine.drain():
        assert outcome.tokens.shape == (16,)
        assert outcome.tokens.dtype == np.uint8
        assert not outcome.tokens.flags.writeable


def changed(
    checkpoint: Checkpoint, tokens: npt.NDArray[np.generic] | None, row: int | None
) -> Sample:
    (sample,) = samples(checkpoint, 1)
    width = checkpoint.config.puzzle_emb_ndim if row is None else row
    return Sample(
        "odd", sample.tokens if tokens is None else tokens, np.zeros(width, dtype=np.float32)
    )


@pytest.mark.parametrize(
    ("tokens", "row", "problem"),
    [
        (np.zeros(15, dtype=np.int32), None, r"has shapes \(\(15,\), \(16,\)\)"),
        (np.zeros((4, 4), dtype=np.int32), None, "has shapes"),
        (None, 15, "has shapes"),
        (np.full(16, 12, dtype=np.int32), None, r"tokens outside 0\.\.11"),
        (np.full(16, -1, dtype=np.int32), None, r"tokens outside 0\.\.11"),
        (np.zeros(16, dtype=np.float32), None, "tokens of float32, not integers"),
    ],
)
def test_a_sample_of_another_shape_or_vocabulary_is_refused_with_its_whole_batch(
    checkpoint: Checkpoint, tokens: npt.NDArray[np.generic] | None, row: int | None, problem: str
) -> None:
    engine = engine_of(checkpoint)
    with pytest.raises(EngineError, match=problem):
        engine.add([*samples(checkpoint, 2), changed(checkpoint, tokens, row)], job=1)
    assert engine.is_idle


@pytest.mark.parametrize("max_segments", [0, -1])
def test_no_segments_at_all_are_refused(checkpoint: Checkpoint, max_segments: int) -> None:
    with pytest.raises(EngineError, match="at least one is needed"):
        engine_of(checkpoint).add(samples(checkpoint, 1), job=1, max_segments=max_segments)


@pytest.mark.parametrize("num_slots", [0, -3])
def test_no_slots_at_all_are_refused(checkpoint: Checkpoint, num_slots: int) -> None:
    with pytest.raises(EngineError, match="at least one is needed"):
        engine_of(checkpoint, num_slots)


@pytest.mark.parametrize("precision", ["float64", "half", "bf16"])
def test_an_unknown_precision_is_refused(checkpoint: Checkpoint, precision: str) -> None:
    with pytest.raises(EngineError, match="unknown precision"):
        Engine(checkpoint, EngineConfig(CPU, num_slots=1, precision=precision))


def test_an_unknown_or_unfit_attention_is_refused(checkpoint: Checkpoint) -> None:
    for name in ("flash2", "fast"):
        with pytest.raises(AttentionError):
            Engine(checkpoint, EngineConfig(CPU, num_slots=1, attention=name))


def test_both_dense_attentions_give_the_same_answers(checkpoint: Checkpoint) -> None:
    found = []
    for attention in ("sdpa", "matmul"):
        engine = Engine(checkpoint, EngineConfig(CPU, num_slots=3, attention=attention))
        assert engine.attention.name == attention
        engine.add(samples(checkpoint, 3), job=1, halting=Halting.FIXED, max_segments=1)
        found.append({o.sample_id: (o.tokens.tolist(), o.q_halt_logit) for o in engine.drain()})
    assert found[0].keys() == found[1].keys()
    for sample_id, (tokens, q) in found[0].items():
        assert found[1][sample_id][0] == tokens
        assert_near(found[1][sample_id][1], q, atol=1e-4)


def test_another_precision_than_the_checkpoint_s_can_be_asked_for(checkpoint: Checkpoint) -> None:
    engine = Engine(checkpoint, EngineConfig(CPU, num_slots=1, precision="bfloat16"))
    assert engine.precision == "bfloat16"
    engine.add(samples(checkpoint, 1), job=1)
    assert len(list(engine.drain())) == 1


def test_slots_are_guessed_but_no_more_than_allowed(checkpoint: Checkpoint) -> None:
    guessed = Engine(checkpoint, EngineConfig(CPU)).num_slots
    assert 1 < guessed <= 512
    assert Engine(checkpoint, EngineConfig(CPU, max_slots=3)).num_slots == 3


@pytest.mark.parametrize("name", ["gpu", "cuda:99", "mps", "", "cpu:x"])
def test_a_device_that_is_not_there_is_refused(name: str) -> None:
    with pytest.raises(EngineError, match="device"):
        pick_device(name)


def test_the_cpu_is_always_there() -> None:
    assert pick_device("cpu") == CPU
    assert pick_device("auto").type in ("cpu", "cuda")
