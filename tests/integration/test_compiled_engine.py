"""torch.compile must change the speed of the engine and nothing else."""

from pathlib import Path

import numpy as np
import pytest
import torch

from hrm_core import Engine, EngineConfig, Halting, Sample, can_compile, open_checkpoint

CPU = torch.device("cpu")


@pytest.mark.full
@pytest.mark.skipif(not can_compile(CPU), reason="no C++ compiler")
@pytest.mark.parametrize("name", ["hrm-rope", "trm-mlp"])
def test_a_compiled_engine_gives_the_eager_engines_tokens_and_steps(
    golden_folder: Path, name: str
) -> None:
    checkpoint = open_checkpoint(golden_folder / name)
    rng = np.random.default_rng(0)
    config = checkpoint.config
    samples = [
        Sample(
            place,
            rng.integers(0, config.vocab_size, config.seq_len).astype(np.int32),
            checkpoint.rows.gather([1 + place])[0],
        )
        for place in range(7)
    ]

    def run(compiled: bool) -> dict[int, tuple[bytes, int]]:
        engine = Engine(checkpoint, EngineConfig(CPU, num_slots=4, compile=compiled))
        engine.add(samples, job="all", halting=Halting.FIXED, max_segments=2)
        return {out.sample_id: (out.tokens.tobytes(), out.steps) for out in engine.drain()}

    assert run(compiled=True) == run(compiled=False)
