"""A compiled engine compiles once for each number of slots, and never in the midst of its work."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, fx

from hrm_core import Checkpoint, Engine, EngineConfig, Halting, Sample, open_checkpoint
from hrm_core.device.device import RECOMPILE_LIMIT, compiled
from hrm_core.engine.memory import MAX_SLOTS, SLOT_COUNTS, slots_for

pytestmark = pytest.mark.usefixtures("one_thread")

CPU = torch.device("cpu")


class Compiler:
    """Takes the place of Inductor: counts what it is given, and runs it as it is."""

    num_graphs = 0

    def __call__(self, graph: fx.GraphModule, inputs: list[Tensor]) -> Callable[..., object]:
        self.num_graphs += 1
        return graph.forward


@pytest.fixture
def compiler(monkeypatch: pytest.MonkeyPatch) -> Compiler:
    compiler = Compiler()
    torch.compiler.reset()
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend=compiler))
    return compiler


def engine_of(checkpoint: Checkpoint, num_slots: int) -> Engine:
    return Engine(checkpoint, EngineConfig(CPU, num_slots=num_slots, compile=True))


def run_jobs(engine: Engine, jobs: range) -> None:
    """Run jobs of one to five samples, with both rules of halting, some of them cancelled."""
    config = engine.checkpoint.config
    rng = np.random.default_rng(jobs.start)
    for job in jobs:
        engine.add(
            [
                Sample(
                    (job, index),
                    rng.integers(0, config.vocab_size, config.seq_len).astype(np.int32),
                    engine.checkpoint.rows.gather([1 + index])[0],
                )
                for index in range(1 + job % 5)
            ],
            job=job,
            halting=Halting.FIXED if job % 2 else Halting.ACT,
        )
        engine.step()
        if job % 7 == 0:
            engine.cancel(job)
    for _ in engine.drain():
        pass


def test_one_compilation_serves_a_life_of_fifty_jobs(
    make_checkpoint: Callable[..., Path], compiler: Compiler
) -> None:
    checkpoint = open_checkpoint(make_checkpoint(num_rows=20))
    engine = engine_of(checkpoint, 4)
    run_jobs(engine, range(25))
    again = engine_of(checkpoint, 4)  # the first one had to leave for another checkpoint
    run_jobs(again, range(25, 50))
    assert compiler.num_graphs == 1


def test_each_number_of_slots_and_each_architecture_compiles_once(
    make_checkpoint: Callable[..., Path], compiler: Compiler
) -> None:
    first = open_checkpoint(make_checkpoint("first", num_rows=20))
    second = open_checkpoint(make_checkpoint("second", num_rows=20, hidden_size=32))
    for checkpoint in (first, second, first):
        for num_slots in (2, 4):
            run_jobs(engine_of(checkpoint, num_slots), range(5))
    assert compiler.num_graphs == 4


def test_more_shapes_than_torch_s_own_limit_of_eight_are_all_compiled(
    compiler: Compiler,
) -> None:
    double = compiled(lambda x: 2 * x)
    for size in range(2, 12):
        double(torch.ones(size))
    assert compiler.num_graphs == 10
    assert RECOMPILE_LIMIT >= 64


def test_what_cannot_be_compiled_whole_is_an_error(compiler: Compiler) -> None:
    def broken(x: Tensor) -> Tensor:
        torch._dynamo.graph_break()
        return x + 1

    with pytest.raises(torch._dynamo.exc.Unsupported):
        compiled(broken)(torch.ones(2))


def test_a_compiled_engine_s_slots_are_of_a_short_list(
    make_checkpoint: Callable[..., Path], compiler: Compiler
) -> None:
    checkpoint = open_checkpoint(make_checkpoint(num_rows=20))
    found = {
        num_samples: Engine(
            checkpoint, EngineConfig(CPU, compile=True, max_slots=num_samples)
        ).num_slots
        for num_samples in (1, 3, 5, 7, 8)
    }
    assert found == {1: 1, 3: 4, 5: 8, 7: 8, 8: 8}
    assert compiler.num_graphs == 3


def test_the_short_list_ends_where_indices_still_fit_32_bits() -> None:
    gate_and_up, positions = 2 * 1536, 916
    assert MAX_SLOTS * positions * gate_and_up < 2**31
    assert slots_for(10_000) == MAX_SLOTS == SLOT_COUNTS[-1]


def test_more_slots_than_the_list_has_are_not_made(make_checkpoint: Callable[..., Path]) -> None:
    checkpoint = open_checkpoint(make_checkpoint(num_rows=20))
    assert Engine(checkpoint, EngineConfig(CPU, num_slots=5000)).num_slots == MAX_SLOTS
