"""Training settings: the recipe, its budget, and the rates at each step."""

import math
from dataclasses import dataclass

from hrm_core.errors import TrainingError


@dataclass(frozen=True, slots=True)
class TrainSettings:
    """The recipe and the budget of a training run.

    Rates are per step; both warm up linearly, within `warmup_share` of the budget where that is
    given, and end at `lr_min_ratio` of their full value. The budget is `num_steps`, `max_seconds`
    or whichever ends first; during its first `rows_only_share` only the rows learn. A step takes
    `batch_size` samples. With crop, it takes at most as many as have `batch_tokens` positions
    together, so larger sizes come in smaller batches, and only puzzles with a crop of at most
    `max_crop` are trained. `slice_size` samples at a time go through the network, of smaller
    batches in proportion; None: as many as the device's memory holds, and slices are halved when it
    runs out. `learns_continue`: whether q_continue is learned, which only the halting rule of
    training uses. `ema_decay` 0 keeps no average.

    Units: `snapshot_s` in seconds between snapshots, `log_every` in steps between log lines.

    Source: arXiv 2506.21734, Methods; arXiv 2510.04871 section 4 (average, only q_halt).
    """

    num_steps: int | None
    max_seconds: float | None = None
    rows_only_share: float = 0.0
    batch_size: int = 768
    batch_tokens: int = 1 << 14
    max_crop: int | None = None
    slice_size: int | None = None
    lr: float = 1e-4
    row_lr: float = 1e-2
    lr_min_ratio: float = 1.0
    warmup_steps: int = 2000
    warmup_share: float | None = None
    weight_decay: float = 0.1
    row_weight_decay: float = 0.1
    beta1: float = 0.9
    beta2: float = 0.95
    ema_decay: float = 0.0
    translate: bool = True
    learns_continue: bool = True
    seed: int = 0
    snapshot_s: float = 300.0
    log_every: int = 50

    def used_share(self, step: int, seconds: float) -> float:
        """Return the share of the budget that is used, 0..1."""
        share_of_steps = step / self.num_steps if self.num_steps else 0.0
        share_of_time = seconds / self.max_seconds if self.max_seconds else 0.0
        return min(1.0, max(share_of_steps, share_of_time))


def check_settings(settings: TrainSettings, num_ranks: int = 1) -> None:
    """Check the budget and the sizes.

    Raises: TrainingError.
    """
    budgets = (settings.num_steps, settings.max_seconds)
    if all(budget is None for budget in budgets):
        raise TrainingError("neither steps nor seconds limit the training: give a budget")
    if any(budget is not None and not 0 < budget < math.inf for budget in budgets):
        raise TrainingError("the budget is zero or infinite: give steps or seconds above 0")
    if settings.slice_size is not None and settings.batch_size % settings.slice_size:
        raise TrainingError(
            f"batches of {settings.batch_size} cannot be cut into slices of {settings.slice_size}: "
            "give a divisor"
        )
    if settings.batch_size % num_ranks:
        raise TrainingError(
            f"batches of {settings.batch_size} cannot be divided among {num_ranks} devices: give a "
            "batch size that is a multiple"
        )


def expected_seconds(
    num_steps: float | None,
    max_seconds: float | None,
    step_s: float | None,
    step: int = 0,
    seconds: float = 0.0,
) -> float | None:
    """Return how long a budget takes, of which so much is used; None where that is not known.

    Units: seconds of training; step_s for one step, None where nothing was measured.
    """
    if num_steps is None:
        return max_seconds
    if step_s is None:
        return None
    by_steps = seconds + max(0.0, num_steps - step) * step_s
    return by_steps if max_seconds is None else min(by_steps, max_seconds)


def learning_rate(
    step: int,
    base: float,
    settings: TrainSettings,
    seconds: float = 0.0,
    *,
    learned_steps: int | None = None,
) -> float:
    """Return the rate of one step, counted from 1: linear warm-up, then half a cosine down.

    `learned_steps`, including this one, are those of parameters that learn later than the rest:
    they warm up when they begin.

    Units: seconds trained so far, for a budget of time.
    """
    warm_steps = step if learned_steps is None else learned_steps
    if warm_steps < settings.warmup_steps:
        warmed = base * warm_steps / settings.warmup_steps
        if settings.warmup_share is None:
            return warmed
        began = 0.0 if learned_steps is None else settings.rows_only_share
        used_share = settings.used_share(step, seconds) - began
        if used_share < settings.warmup_share:
            return max(warmed, base * used_share / settings.warmup_share)
    shares = [0.0]
    if settings.num_steps is not None:
        span = max(1, settings.num_steps - settings.warmup_steps)
        shares.append((step - settings.warmup_steps) / span)
    if settings.max_seconds is not None:
        shares.append(seconds / settings.max_seconds)
    cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, max(shares))))
    return base * (settings.lr_min_ratio + (1 - settings.lr_min_ratio) * cosine)
