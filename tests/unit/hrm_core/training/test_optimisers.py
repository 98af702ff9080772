"""Optimisers against the same arithmetic spelled out number by number."""

import math

import pytest
import torch
from tolerances import assert_near

from hrm_core import TrainSettings
from hrm_core.training.optimisers import AdamAtan2, MovingAverage, sign_sgd_rows_
from hrm_core.training.settings import learning_rate


def test_adam_atan2_matches_three_steps_computed_by_hand() -> None:
    lr, beta1, beta2, decay = 0.02, 0.9, 0.95, 0.1
    gradients = [[0.5, -2.0, 0.0], [-1.5, -2.0, 0.25], [3.0, 1e-6, -0.125]]
    param = torch.nn.Parameter(torch.tensor([1.0, -0.5, 2.0], dtype=torch.float64))
    optimiser = AdamAtan2([param], lr=lr, betas=(beta1, beta2), weight_decay=decay)
    values, means, squares = [1.0, -0.5, 2.0], [0.0] * 3, [0.0] * 3
    for step, gradient in enumerate(gradients, start=1):
        param.grad = torch.tensor(gradient, dtype=torch.float64)
        optimiser.step()
        for i, g in enumerate(gradient):
            means[i] = beta1 * means[i] + (1 - beta1) * g
            squares[i] = beta2 * squares[i] + (1 - beta2) * g * g
            values[i] *= 1 - lr * decay
            angle = math.atan2(means[i], math.sqrt(squares[i] / (1 - beta2**step)))
            values[i] -= lr / (1 - beta1**step) * angle
        assert_near(param, values, rtol=1e-12)


def test_adam_atan2_step_does_not_depend_on_the_gradient_s_scale() -> None:
    moved = []
    for scale in (1.0, 1e-6, 1e6):
        param = torch.nn.Parameter(torch.ones(4, dtype=torch.float64))
        optimiser = AdamAtan2([param], lr=0.1)
        param.grad = scale * torch.tensor([1.0, -2.0, 3.0, -4.0], dtype=torch.float64)
        optimiser.step()
        moved.append(param.detach())
    assert_near(moved[1], moved[0], rtol=1e-12)
    assert_near(moved[2], moved[0], rtol=1e-12)


def test_adam_atan2_leaves_parameters_without_a_gradient_unchanged() -> None:
    idle, busy = (torch.nn.Parameter(torch.ones(2)) for _ in range(2))
    optimiser = AdamAtan2([idle, busy], lr=0.1, weight_decay=0.5)
    busy.grad = torch.ones(2)
    optimiser.step()
    assert idle.tolist() == [1.0, 1.0]
    assert busy.tolist() != [1.0, 1.0]


def test_sign_sgd_sums_the_gradients_of_a_repeated_row_before_taking_the_sign() -> None:
    table = torch.tensor([[0.0, 0.0], [1.0, 1.0], [2.0, -2.0], [3.0, 3.0]])
    rows = torch.tensor([2, 1, 2, 2])
    # Row 2: the sum of the signs would be the other way round.
    gradients = torch.tensor([[-1.0, 5.0], [0.0, -3.0], [-1.0, -1.0], [9.0, -1.0]])
    sign_sgd_rows_(table, rows, gradients, lr=0.1, weight_decay=0.5)
    keep = 1 - 0.1 * 0.5
    expected = [
        [0.0, 0.0],
        [1.0 * keep, 1.0 * keep + 0.1],
        [2.0 * keep - 0.1, -2.0 * keep - 0.1],
        [3.0, 3.0],
    ]
    assert_near(table, expected, rtol=1e-6, atol=1e-6)


def test_moving_average_follows_its_recurrence() -> None:
    param = torch.nn.Parameter(torch.tensor([1.0, 2.0]))
    average = MovingAverage([("w", param)], decay=0.75)
    expected = param.detach().clone()
    for step, value in enumerate(([5.0, 2.0], [-3.0, 0.0], [1.0, 8.0]), start=1000):
        with torch.no_grad():
            param.copy_(torch.tensor(value))
        average.update([("w", param)], step)
        expected = 0.75 * expected + 0.25 * torch.tensor(value)
    assert_near(average.shadow["w"], expected, rtol=1e-6)


def test_moving_average_reaches_back_only_over_the_steps_there_were() -> None:
    param = torch.nn.Parameter(torch.zeros(1, dtype=torch.float64))
    average = MovingAverage([("w", param)], decay=0.999)
    param.data.fill_(1.0)
    # Of the zero it began with, so much is left after each step.
    left = 1.0
    for step, decay in ((1, 2 / 11), (2, 3 / 12), (90, 91 / 100), (10**6, 0.999)):
        average.update([("w", param)], step)
        left *= decay
        assert_near(average.shadow["w"].item(), 1 - left, atol=1e-12)


def test_learning_rate_warms_up_linearly_then_stays() -> None:
    settings = TrainSettings(num_steps=1000, warmup_steps=100)
    rates = [learning_rate(step, 2e-4, settings) for step in (1, 50, 99, 100, 500, 1000)]
    assert rates == pytest.approx([2e-6, 1e-4, 1.98e-4, 2e-4, 2e-4, 2e-4])


def test_learning_rate_falls_along_half_a_cosine_to_its_share() -> None:
    settings = TrainSettings(num_steps=1100, warmup_steps=100, lr_min_ratio=0.1)
    rates = [learning_rate(step, 1.0, settings) for step in (100, 350, 600, 1100)]
    quarter = 0.1 + 0.9 * (1 + math.cos(math.pi / 4)) / 2
    assert rates == pytest.approx([1.0, quarter, 0.55, 0.1])


def test_learning_rate_falls_with_the_time_where_that_is_the_budget() -> None:
    settings = TrainSettings(num_steps=None, max_seconds=40.0, warmup_steps=10, lr_min_ratio=0.2)
    quarter = 0.2 + 0.8 * (1 + math.cos(math.pi / 4)) / 2
    rates = [learning_rate(100, 1.0, settings, seconds) for seconds in (0.0, 10.0, 40.0, 50.0)]
    assert rates == pytest.approx([1.0, quarter, 0.2, 0.2])
    assert learning_rate(5, 1.0, settings, 39.0) == pytest.approx(0.5)  # it warms up by steps


def test_learning_rate_follows_the_budget_that_is_used_more() -> None:
    settings = TrainSettings(num_steps=110, max_seconds=40.0, warmup_steps=10, lr_min_ratio=0.0)
    assert learning_rate(60, 1.0, settings, seconds=1.0) == pytest.approx(0.5)
    assert learning_rate(11, 1.0, settings, seconds=20.0) == pytest.approx(0.5)


def test_a_warm_up_takes_no_more_than_its_share_of_the_budget() -> None:
    settings = TrainSettings(
        num_steps=None, max_seconds=100.0, warmup_steps=1000, warmup_share=0.2, rows_only_share=0.5
    )
    rates = [learning_rate(10, 1.0, settings, seconds) for seconds in (0.0, 10.0, 20.0, 90.0)]
    assert rates == pytest.approx([0.01, 0.5, 1.0, 1.0])
    # What learns later warms up when it begins.
    late = [
        learning_rate(90, 1.0, settings, seconds, learned_steps=3) for seconds in (50.0, 60.0, 70.0)
    ]
    assert late == pytest.approx([0.003, 0.5, 1.0])
    assert learning_rate(1000, 1.0, settings, 1.0) == 1.0
