"""A recorded step: its answers, with a substitute for CUDA graphs."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from hrm_core import Engine, EngineConfig, Halting, Sample, open_checkpoint
from hrm_core.device.measured import Tuned, tuned_path, write_tuned
from hrm_core.engine import carry
from hrm_core.engine.carry import SegmentOutput

pytestmark = pytest.mark.usefixtures("one_thread")

CPU = torch.device("cpu")


@pytest.fixture
def num_recorded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Let recordings compute into the tensors that they first gave; returns the replays of each."""
    replays: list[int] = []

    def record(call: Callable[[], SegmentOutput]) -> tuple[SegmentOutput, Callable[[], None]]:
        outputs = call()
        replays.append(0)

        def replay() -> None:
            replays[-1] += 1
            for kept, value in zip(outputs, call(), strict=True):
                kept.copy_(value)

        return outputs, replay

    monkeypatch.setattr(carry, "record", record)
    return replays


def test_a_captured_step_answers_as_one_that_is_not(
    make_checkpoint: Callable[..., Path], tmp_path: Path, num_recorded: list[int]
) -> None:
    checkpoint = open_checkpoint(make_checkpoint(num_rows=20, halt_max_steps=5))
    config = checkpoint.config
    rng = np.random.default_rng(0)
    samples = [
        Sample(
            index,
            rng.integers(0, config.vocab_size, config.seq_len).astype(np.int32),
            checkpoint.rows.gather([1 + index])[0],
        )
        for index in range(9)
    ]
    answers = []
    for is_captured in (False, True):
        tuned = Tuned("float32", 4, source="bench tune", is_captured=is_captured)
        write_tuned(tuned_path(tmp_path, CPU, config), tuned, {})
        engine = Engine(checkpoint, EngineConfig(CPU, tuned_folder=tmp_path))
        engine.add(samples[:3], job=1)
        engine.step()
        engine.add(samples[3:], job=2, halting=Halting.FIXED)
        answers.append(
            {o.sample_id: (o.tokens.tolist(), o.q_halt_logit, o.steps) for o in engine.drain()}
        )
    assert answers[0] == answers[1]
    assert len(num_recorded) == 1
    assert num_recorded[0] == engine.num_steps
