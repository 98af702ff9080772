"""Training in slices that fit the memory: estimated, and halved when memory runs out."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bench.model import full_size_config
from hrm_core import (
    DeviceMemoryError,
    ModelConfig,
    Pretraining,
    TrainingArrays,
    TrainSettings,
)
from hrm_core.engine import memory
from hrm_core.engine.memory import guess_slice, largest_divisor, training_bytes
from hrm_core.model.network import Network
from hrm_core.training.step import Batch, SegmentResult

pytestmark = pytest.mark.usefixtures("one_thread")

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
MakeConfig = Callable[..., ModelConfig]
SETTINGS = TrainSettings(num_steps=4, batch_size=8, lr=1e-3, warmup_steps=2, snapshot_s=1e9)


@pytest.fixture
def start(tmp_path: Path, tiny_config: MakeConfig) -> Callable[..., Pretraining]:
    """Return a maker of runs on one puzzle, in folders of these names."""
    grids = np.random.default_rng(0).integers(2, 12, (3, 16)).astype(np.uint8)
    arrays = TrainingArrays(
        canvas=4,
        inputs=grids,
        labels=grids,
        room=np.zeros((3, 2), dtype=np.uint8),
        rows=np.array([1]),
        variant_starts=np.array([0, 3]),
        group_starts=np.array([0, 1]),
    )

    def make(name: str, slice_size: int | None = None) -> Pretraining:
        settings = replace(SETTINGS, slice_size=slice_size)
        config = tiny_config(num_rows=2)
        return Pretraining(
            tmp_path / name, config, [arrays], settings, {}, device=CPU, compile_step=False
        )

    return make


def limit_samples(run: Pretraining, most: int, from_call: int = 0) -> list[int]:
    """Let memory hold the training of so many samples, from some slice on; gives the slices."""
    supervise, seen = run._run, list[int]()

    def limited(network: Network, batch: Batch, learns_continue: bool) -> SegmentResult:
        seen.append(len(batch.z_H))
        if seen[-1] > most and len(seen) > from_call:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return supervise(network, batch, learns_continue)

    run._run = limited
    return seen


def test_slices_are_halved_when_memory_runs_out_and_the_step_begins_again(
    start: Callable[..., Pretraining],
) -> None:
    expected = start("expected", slice_size=2)
    expected.train(lambda _: None)
    run = start("halved")
    seen = limit_samples(run, most=2)
    assert run.train(lambda _: None)
    assert seen[:4] == [8, 4, 2, 2]
    assert set(seen[2:]) == {2}
    assert run.lanes.next().slice_size == 2
    for name, value in expected.network.state_dict().items():
        assert torch.equal(run.network.state_dict()[name], value), name
    assert torch.equal(run.table, expected.table)


def test_memory_that_runs_out_between_the_slices_of_a_step_spoils_no_gradient(
    start: Callable[..., Pretraining],
) -> None:
    expected = start("expected", slice_size=2)
    expected.train(lambda _: None)
    run = start("halved", slice_size=4)
    seen = limit_samples(run, most=2, from_call=1)  # the first half of the first step still fits
    assert run.train(lambda _: None)
    assert seen[:4] == [4, 4, 2, 2]
    for name, value in expected.network.state_dict().items():
        assert torch.equal(run.network.state_dict()[name], value), name


def test_memory_too_small_for_one_sample_ends_the_run_in_a_sentence(
    start: Callable[..., Pretraining],
) -> None:
    run = start("refused")
    limit_samples(run, most=0)
    with pytest.raises(DeviceMemoryError, match="no memory left for a training step"):
        run.train(lambda _: None)


def test_memory_too_small_for_the_table_is_refused_in_a_sentence(
    start: Callable[..., Pretraining], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    monkeypatch.setattr(Pretraining, "_allocate", fail)
    with pytest.raises(DeviceMemoryError, match="no memory left for training"):
        start("refused")


def test_the_slices_of_a_batch_divide_it() -> None:
    assert [largest_divisor(96, most) for most in (1000, 95, 47, 5, 1, 0)] == [96, 48, 32, 4, 1, 1]
    assert largest_divisor(7, 6) == 1


@pytest.mark.parametrize(("free_gb", "expected"), [(300, 768), (80, 256), (24, 64), (8, 24)])
def test_the_default_batch_is_cut_to_the_free_memory(
    free_gb: int, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "free_memory", lambda device: free_gb * 10**9)
    config = full_size_config()
    assert guess_slice(config, config.num_positions, 768, CUDA, torch.bfloat16) == expected


@pytest.mark.parametrize(
    ("changes", "measured_mb"),
    [
        ({}, 179),
        ({"architecture": "trm", "L_layers": 2, "L_cycles": 4}, 227),
        ({"architecture": "trm", "L_layers": 2, "L_cycles": 6}, 317),
    ],
)
def test_the_estimate_is_that_of_the_full_size_networks(
    changes: dict[str, Any], measured_mb: int
) -> None:
    config = replace(full_size_config(), **changes)
    estimate = training_bytes(config, config.num_positions, CUDA, torch.bfloat16)
    assert estimate == pytest.approx(measured_mb * 1e6, rel=0.05)


def test_the_estimate_is_near_what_autograd_keeps(start: Callable[..., Pretraining]) -> None:
    run = start("kept")
    kept: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    own = {param.untyped_storage().data_ptr() for param in run.network.parameters()}
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        next(run.turns())
    activations = sum(size for index, size in kept.items() if index not in own)
    estimate = SETTINGS.batch_size * training_bytes(
        run.config, run.config.num_positions, CPU, torch.float32
    )
    assert 0.7 * activations < estimate < 1.5 * activations
