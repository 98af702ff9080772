"""The losses, number by number."""

import math

import pytest
import torch
from tolerances import assert_near

from hrm_core.training.step import continue_target, segment_losses, stablemax_cross_entropy


def stablemax(x: float) -> float:
    return x + 1 if x >= 0 else 1 / (1 - x)


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def test_stablemax_cross_entropy_matches_its_formula_on_both_sides_of_zero() -> None:
    logits = [2.0, -3.0, 0.0, -0.5]
    weights = [stablemax(x) for x in logits]
    found = stablemax_cross_entropy(torch.tensor([logits] * 4), torch.arange(4))
    assert found.dtype == torch.float32
    assert_near(found, [-math.log(w / sum(weights)) for w in weights], rtol=1e-6)


def test_stablemax_cross_entropy_has_finite_gradients_everywhere() -> None:
    logits = torch.tensor([[1.0, -1.0, 0.0, 1e6, -1e6]], requires_grad=True)
    stablemax_cross_entropy(logits, torch.tensor([1])).sum().backward()
    assert logits.grad is not None
    assert logits.grad.isfinite().all()


@pytest.mark.parametrize("spread", [0.1, 10.0, 1000.0])
def test_stablemax_cross_entropy_in_float32_learns_as_in_float64(spread: float) -> None:
    generator = torch.Generator().manual_seed(0)
    logits = spread * torch.randn(64, 12, generator=generator)
    labels = torch.randint(12, (64,), generator=generator)
    found = []
    for dtype in (torch.float32, torch.float64):
        leaf = logits.to(dtype, copy=True).requires_grad_()
        nll = stablemax_cross_entropy(leaf, labels)
        assert nll.dtype == dtype
        nll.sum().backward()
        found.append((nll, leaf.grad))
    for narrow, wide in zip(*found, strict=True):
        assert_near(narrow, wide, rtol=1e-5, atol=2e-6)


def test_lm_loss_is_a_mean_over_each_sample_s_own_labels_and_over_the_batch() -> None:
    logits = torch.randn(2, 4, 5, generator=torch.Generator().manual_seed(0))
    labels = torch.tensor([[1, 2, 0, 0], [3, 0, 0, 0]])
    q = torch.zeros(2)
    nll = stablemax_cross_entropy(logits, labels)
    expected = ((nll[0, 0] + nll[0, 1]) / 2 + nll[1, 0]) / 2
    found = segment_losses(logits, labels, q, q, None)
    assert_near(found.lm, expected, rtol=1e-6)


def test_a_wrong_padding_cell_does_not_make_a_sample_wrong() -> None:
    logits = torch.full((2, 3, 4), -1.0)
    labels = torch.tensor([[1, 2, 0], [1, 2, 0]])
    logits[:, 0, 1] = logits[:, 1, 2] = logits[:, 2, 3] = 5.0
    logits[1, 1, 3] = 9.0
    q_halt = torch.tensor([2.0, 2.0])
    found = segment_losses(logits, labels, q_halt, torch.zeros(2), None)
    assert found.is_right.tolist() == [True, False]
    by_hand = (-math.log(sigmoid(2.0)) - math.log(1 - sigmoid(2.0))) / 2
    assert_near(found.q_halt, by_hand, rtol=1e-6)
    assert found.q_continue.item() == 0.0
    assert_near(found.total, found.lm + 0.5 * by_hand, rtol=1e-6)


def test_continue_target_is_the_better_of_the_next_two_except_on_the_last_step() -> None:
    halt, go_on = torch.tensor([1.0, -1.0, -1.0]), torch.tensor([0.5, 3.0, 3.0])
    target = continue_target(halt, go_on, torch.tensor([False, False, True]))
    assert_near(target, [sigmoid(1.0), sigmoid(3.0), sigmoid(-1.0)], rtol=1e-6)
