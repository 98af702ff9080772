"""Calibration: probabilities by logistic regression, and how well probabilities match outcomes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from voting.tally import VotingError, sigmoid

Floats: TypeAlias = npt.NDArray[np.float64]
Flags: TypeAlias = npt.NDArray[np.bool_]

NUM_BINS = 10
NUM_FOLDS = 5
MAX_ITERATIONS = 100
MAX_HALVINGS = 30
TOLERANCE = 1e-9


class CalibrationError(VotingError):
    """Outcomes cannot be fitted: arrays do not belong together, or all outcomes are the same."""


@dataclass(frozen=True, slots=True)
class Logistic:
    """A logistic regression on standardised features.

    Features are limited to the range that was fitted, from `lows` to `highs`, so that a probability
    is never extrapolated.

    Shapes: all tuples [F].
    """

    intercept: float
    coefficients: tuple[float, ...]
    means: tuple[float, ...]
    scales: tuple[float, ...]
    lows: tuple[float, ...]
    highs: tuple[float, ...]

    def predict(self, features: Floats) -> Floats:
        """Return the probability of each sample.

        Shapes: features [N, F], result [N].
        """
        limited = np.clip(features, self.lows, self.highs)
        standardised = (limited - np.array(self.means)) / np.array(self.scales)
        return sigmoid(self.intercept + standardised @ np.array(self.coefficients))


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """The samples with a probability from `low` to `high`: their mean, and the share of right ones.

    Units: shares, 0..1.
    """

    low: float
    high: float
    num_samples: int
    mean_probability: float
    right_share: float


def fit_logistic(
    features: Floats, outcomes: Flags, signs: Sequence[int], l2: float = 1.0
) -> Logistic:
    """Fit a logistic regression by Newton's method, with a penalty of `l2` / 2 on coefficients.

    A coefficient with a sign of 1 or -1 is kept from having the other sign: of those that do, the
    largest is set to 0 and the rest is fitted again, until none is left. Sign 0 leaves it free.
    The same samples give the same fit, to the bit on one machine.

    Shapes: features [N, F], outcomes [N], signs [F].

    Raises: CalibrationError.
    """
    if features.ndim != 2 or len(features) != len(outcomes) or features.shape[1] != len(signs):
        raise CalibrationError(
            f"features {list(features.shape)}, {len(outcomes)} outcomes and {len(signs)} signs "
            "do not belong together"
        )
    if outcomes.all() or not outcomes.any():
        raise CalibrationError("all outcomes are the same, so there is nothing to fit")
    means, spread = features.mean(axis=0), features.std(axis=0)
    scales = np.where(spread > 0.0, spread, 1.0)
    standardised = (features - means) / scales
    wanted = np.array(signs)
    is_free = np.ones(len(signs), dtype=bool)
    while True:
        intercept, coefficients = _newton(standardised, outcomes, is_free, l2)
        wrong = np.maximum(-wanted * coefficients, 0.0)
        if not wrong.any():
            break
        is_free[int(wrong.argmax())] = False
    return Logistic(
        intercept=intercept,
        coefficients=tuple(coefficients.tolist()),
        means=tuple(means.tolist()),
        scales=tuple(scales.tolist()),
        lows=tuple(features.min(axis=0).tolist()),
        highs=tuple(features.max(axis=0).tolist()),
    )


def cross_validate(
    features: Floats, outcomes: Flags, groups: Sequence[str], signs: Sequence[int], l2: float = 1.0
) -> Floats:
    """Return the probability of each sample by a fit on the other groups' samples.

    Samples of one group are always together in one of the NUM_FOLDS parts.

    Shapes: features [N, F], outcomes, groups and result [N].
    """
    numbers = {name: number for number, name in enumerate(sorted(set(groups)))}
    folds = np.array([numbers[name] % NUM_FOLDS for name in groups])
    probabilities = np.zeros(len(outcomes))
    for fold in range(NUM_FOLDS):
        mine, others = folds == fold, folds != fold
        num_right = int(outcomes[others].sum())
        if 0 < num_right < int(others.sum()):
            fit = fit_logistic(features[others], outcomes[others], signs, l2)
            probabilities[mine] = fit.predict(features[mine])
        else:  # the rule of succession
            probabilities[mine] = (num_right + 1) / (int(others.sum()) + 2)
    return probabilities


def reliability(
    probabilities: Sequence[float], outcomes: Sequence[bool]
) -> tuple[ReliabilityBin, ...]:
    """Return the bins, of NUM_BINS equal ones, that have samples."""
    pairs = list(zip(probabilities, outcomes, strict=True))
    bins = []
    for index in range(NUM_BINS):
        mine = [pair for pair in pairs if min(int(pair[0] * NUM_BINS), NUM_BINS - 1) == index]
        if mine:
            bins.append(
                ReliabilityBin(
                    low=index / NUM_BINS,
                    high=(index + 1) / NUM_BINS,
                    num_samples=len(mine),
                    mean_probability=sum(probability for probability, _ in mine) / len(mine),
                    right_share=sum(is_right for _, is_right in mine) / len(mine),
                )
            )
    return tuple(bins)


def calibration_error(bins: Sequence[ReliabilityBin]) -> float:
    """Return the expected calibration error; 0 for no samples.

    It is the mean over samples of how far their bin's mean probability is from the share of right
    samples in it.

    Units: 0..1.
    """
    total = sum(one.num_samples for one in bins)
    apart = sum(one.num_samples * abs(one.mean_probability - one.right_share) for one in bins)
    return apart / total if total else 0.0


def brier_score(probabilities: Sequence[float], outcomes: Sequence[bool]) -> float:
    """Return the mean squared difference of probabilities and outcomes; 0 for no samples."""
    squares = [(p - is_right) ** 2 for p, is_right in zip(probabilities, outcomes, strict=True)]
    return sum(squares) / len(squares) if squares else 0.0


def _newton(
    standardised: Floats, outcomes: Flags, is_free: Flags, l2: float
) -> tuple[float, Floats]:
    """Minimise the penalised loss; coefficients that are not free are 0."""
    num_samples = len(outcomes)
    design = np.column_stack([np.ones(num_samples), standardised[:, is_free]])
    targets = outcomes.astype(np.float64)
    penalty = np.full(design.shape[1], l2)
    penalty[0] = 0.0  # the intercept
    weights = np.zeros(design.shape[1])
    right_share = targets.mean()
    weights[0] = np.log(right_share / (1.0 - right_share))
    for _ in range(MAX_ITERATIONS):
        probabilities = sigmoid(design @ weights)
        gradient = design.T @ (probabilities - targets) + penalty * weights
        curvature = probabilities * (1.0 - probabilities)
        hessian = (design * curvature[:, None]).T @ design + np.diag(penalty)
        # A constant column has no curvature but its penalty, and without one none at all.
        step = np.linalg.lstsq(hessian, gradient, rcond=None)[0]
        before, factor = _loss(design, targets, penalty, weights), 1.0
        for _ in range(MAX_HALVINGS):
            if _loss(design, targets, penalty, weights - factor * step) <= before:
                break
            factor /= 2.0
        weights = weights - factor * step
        if np.abs(gradient).max() <= TOLERANCE * num_samples:
            break
    coefficients = np.zeros(len(is_free))
    coefficients[is_free] = weights[1:]
    return float(weights[0]), coefficients


def _loss(design: Floats, targets: Floats, penalty: Floats, weights: Floats) -> float:
    logits = design @ weights
    # log(1 + exp(x)) without overflow.
    fit = np.logaddexp(0.0, logits) - targets * logits
    return float(fit.sum() + 0.5 * (penalty * weights**2).sum())
