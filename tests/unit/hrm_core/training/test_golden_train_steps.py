"""The reference's training: three steps from the golden weights, and where they lead."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from generators import finish
from tolerances import assert_near

from hrm_core import open_checkpoint
from hrm_core.model.attention_choice import load_backend
from hrm_core.model.network import Network
from hrm_core.training.optimisers import sign_sgd_rows_
from hrm_core.training.step import TrainCarry, train_segment

CPU = torch.device("cpu")
NAMES = ("hrm-rope", "trm")


@dataclass(frozen=True)
class Run:
    """What three steps gave, beside what they gave in the reference."""

    golden: dict[str, np.ndarray[Any, Any]]
    losses: np.ndarray[Any, Any]
    halted: np.ndarray[Any, Any]
    steps: np.ndarray[Any, Any]
    grad_norms: dict[str, float]
    table: torch.Tensor
    network: Network


@pytest.fixture(scope="module", params=NAMES)
def run(request: pytest.FixtureRequest, golden_folder: Path, one_thread: None) -> Run:
    folder = golden_folder / request.param
    with np.load(folder / "train_steps.npz") as stored:
        golden = dict(stored)
    checkpoint = open_checkpoint(folder)
    network = checkpoint.load_network(load_backend("sdpa"), CPU, torch.float32)
    for param in network.parameters():  # the loaded ones are mapped from the file
        param.data = param.data.clone()
    network.requires_grad_(True)
    network.q_head.get_parameter("bias").data.copy_(
        torch.from_numpy(golden["q_head_bias_at_start"])
    )
    table = torch.from_numpy(checkpoint.rows.gather(range(checkpoint.rows.num_rows)))
    num_samples = len(golden["inputs"])
    carry = TrainCarry.empty(network, num_samples, CPU)
    losses, halted, steps = [], [], []
    grad_norms: dict[str, float] = {}
    batch = [
        torch.from_numpy(golden[name].astype(np.int64))
        for name in ("inputs", "labels", "puzzle_identifiers")
    ]
    for step in range(3):
        carry.refill(*(array[carry.halted] for array in batch))
        row_values = table[carry.rows].requires_grad_()
        network.zero_grad()
        found = finish(train_segment(network, carry, row_values, torch.Generator()))
        losses.append([x.item() for x in (found.total, found.lm, found.q_halt, found.q_continue)])
        halted.append(carry.halted.numpy().copy())
        steps.append(carry.steps.numpy().copy())
        grads = {name: p.grad for name, p in network.named_parameters() if p.grad is not None}
        if step == 0:
            grad_norms = {name: grad.norm().item() for name, grad in grads.items()}
        with torch.no_grad():
            for name, param in network.named_parameters():
                if name in grads:
                    param -= 0.05 * grads[name]
        assert row_values.grad is not None
        sign_sgd_rows_(table, carry.rows, row_values.grad, 1e-2, 0.1)
    return Run(
        golden, np.array(losses), np.array(halted), np.array(steps), grad_norms, table, network
    )


def test_golden_losses_of_three_steps_match(run: Run) -> None:
    assert_near(run.losses, run.golden["losses"], rtol=1e-4)


def test_golden_halting_during_training_matches(run: Run) -> None:
    np.testing.assert_array_equal(run.halted, run.golden["halted"])
    np.testing.assert_array_equal(run.steps, run.golden["steps"])


def test_golden_batch_repeats_rows_so_that_their_gradients_must_be_summed(run: Run) -> None:
    assert len(set(run.golden["puzzle_identifiers"].tolist())) < len(run.golden["inputs"])


def test_golden_gradient_norms_of_the_first_step_match(run: Run) -> None:
    expected = dict(
        zip(run.golden["grad_norm_names"].tolist(), run.golden["grad_norms"], strict=True)
    )
    assert run.grad_norms.keys() == expected.keys()
    for name, norm in expected.items():
        assert_near(run.grad_norms[name], norm, rtol=3e-4)


def test_golden_rows_after_three_steps_match(run: Run) -> None:
    assert_near(run.table, run.golden["rows_after"], atol=1e-6)


def test_golden_weights_after_three_steps_match(run: Run) -> None:
    weights = run.network.state_dict()
    names = [name for name in run.golden if name.startswith("after/")]
    assert len(names) == 2
    for name in names:
        assert_near(weights[name.removeprefix("after/")], run.golden[name], atol=1e-6)
