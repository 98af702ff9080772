"""Calibration: the fit finds what made the samples, and its probabilities are those of outcomes."""

import numpy as np
import pytest

from voting import (
    CalibrationError,
    brier_score,
    calibration_error,
    cross_validate,
    fit_logistic,
    reliability,
)

INTERCEPT, COEFFICIENTS = -0.5, np.array([2.0, -1.0, 0.0])
FREE = (0, 0, 0)


def draw(num: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw features, outcomes and the probabilities that made them."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(num, 3))
    probabilities = 1 / (1 + np.exp(-(INTERCEPT + features @ COEFFICIENTS)))
    return features, rng.random(num) < probabilities, probabilities


def test_the_fit_finds_the_coefficients_that_made_the_samples() -> None:
    features, outcomes, _ = draw(20_000, seed=0)
    model = fit_logistic(features * [1.0, 5.0, 1.0] + [0.0, 3.0, 0.0], outcomes, FREE)
    found = np.array(model.coefficients) / model.scales
    assert found * [1.0, 5.0, 1.0] == pytest.approx(COEFFICIENTS, abs=0.08)
    assert model.intercept - found @ np.array(model.means) == pytest.approx(
        INTERCEPT - found[1] * 3.0, abs=0.08
    )


def test_fresh_samples_are_right_as_often_as_predicted() -> None:
    features, outcomes, _ = draw(3_000, seed=1)
    model = fit_logistic(features, outcomes, FREE)
    fresh, truth, made_by = draw(20_000, seed=2)
    predicted = model.predict(fresh)
    assert calibration_error(reliability(predicted.tolist(), truth.tolist())) < 0.02
    best = brier_score(made_by.tolist(), truth.tolist())
    assert brier_score(predicted.tolist(), truth.tolist()) < best + 0.002


def test_the_fit_is_the_minimum_of_its_loss() -> None:
    features, outcomes, _ = draw(500, seed=3)
    model = fit_logistic(features, outcomes, FREE, l2=5.0)
    standardised = (features - model.means) / model.scales
    apart = model.predict(features) - outcomes
    assert apart.sum() == pytest.approx(0.0, abs=1e-5)
    slopes = standardised.T @ apart + 5.0 * np.array(model.coefficients)
    assert slopes == pytest.approx(np.zeros(3), abs=1e-5)


def test_the_same_samples_give_the_same_fit() -> None:
    features, outcomes, _ = draw(400, seed=4)
    assert fit_logistic(features, outcomes, FREE) == fit_logistic(features, outcomes, FREE)


def test_a_coefficient_keeps_its_sign() -> None:
    features, outcomes, _ = draw(5_000, seed=5)
    model = fit_logistic(features, outcomes, (-1, 1, 1))
    assert model.coefficients[:2] == (0.0, 0.0)
    assert model.coefficients[2] >= 0.0
    kept = fit_logistic(features, outcomes, (1, -1, 0))
    assert kept == fit_logistic(features, outcomes, FREE)


def test_perfectly_separated_samples_and_constant_features_are_fitted() -> None:
    features = np.column_stack([np.linspace(0, 1, 40), np.ones(40)])
    model = fit_logistic(features, features[:, 0] > 0.5, (1, 0))
    predicted = model.predict(features)
    assert model.coefficients[1] == 0.0
    assert np.all(np.diff(predicted) > 0)
    assert np.all((predicted > 0) & (predicted < 1))


def test_nothing_is_extrapolated() -> None:
    features, outcomes, _ = draw(400, seed=6)
    model = fit_logistic(features, outcomes, FREE)
    extremes = np.array([model.lows, model.highs])
    far = np.array([[-1e9] * 3, [1e9] * 3])
    assert model.predict(far).tolist() == model.predict(extremes).tolist()


def test_each_sample_is_predicted_by_a_fit_on_other_groups() -> None:
    features, outcomes, _ = draw(500, seed=7)
    groups = [f"puzzle {index % 25:02}" for index in range(500)]
    predicted = cross_validate(features, outcomes, groups, FREE)
    fold = np.array([index % 25 % 5 for index in range(500)])
    for number in range(5):
        model = fit_logistic(features[fold != number], outcomes[fold != number], FREE)
        mine = fold == number
        assert predicted[mine].tolist() == model.predict(features[mine]).tolist()


def test_a_part_without_one_of_the_outcomes_is_predicted_by_its_share() -> None:
    features = np.arange(10.0)[:, None]
    outcomes = np.array([True] + [False] * 9)
    groups = [f"{index}" for index in range(10)]
    predicted = cross_validate(features, outcomes, groups, (0,))
    assert predicted[0] == predicted[5] == pytest.approx(1 / 10)  # none of the other 8 is right


def test_what_cannot_be_fitted_is_refused() -> None:
    with pytest.raises(CalibrationError, match="the same"):
        fit_logistic(np.zeros((3, 1)), np.ones(3, dtype=bool), (0,))
    with pytest.raises(CalibrationError, match="belong together"):
        fit_logistic(np.zeros((3, 1)), np.array([True, False]), (0,))


def test_bins_and_their_error() -> None:
    bins = reliability([0.05, 0.95, 1.0, 0.91], [False, True, True, False])
    assert [(one.low, one.high, one.num_samples) for one in bins] == [(0.0, 0.1, 1), (0.9, 1.0, 3)]
    assert bins[1].right_share == pytest.approx(2 / 3)
    expected = 0.25 * 0.05 + 0.75 * abs((0.95 + 1.0 + 0.91) / 3 - 2 / 3)
    assert calibration_error(bins) == pytest.approx(expected)
    assert calibration_error(()) == 0.0
    assert brier_score([0.5, 1.0], [True, False]) == pytest.approx(0.625)
