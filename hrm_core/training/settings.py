"""How to train: the recipe, its budget, and the rates at each step."""

import math
from dataclasses import dataclass

from hrm_core.errors import TrainingError


@dataclass(frozen=True, slots=True)
class TrainSettings:
    """How to train. Rates are per step; both warm up linearly and end at `lr_min_ratio` of theirs.

    The budget is `num_steps`, `max_seconds` or whichever of both ends first; during its first
    `rows_only_share` the rows learn alone. A step takes `batch_size` samples. Of a network with
    crop they are at most as many as have `batch_tokens` positions together, so larger sizes come in
    smaller batches, and only puzzles with a crop of at most `max_crop` are trained. `slice_size`
    samples at a time go through the network, of smaller batches in proportion, None: as many as the
    device's memory holds; when it runs out, slices are halved. `learns_continue`: whether
    q_continue is learned, which only training's own halting rule reads. `ema_decay` 0 keeps no
    average. `snapshot_s` are the seconds between snapshots, `log_every` the steps between log
    lines.

    Source: arXiv 2506.21734, Methods; arXiv 2510.04871 section 4 (average, q_halt alone).
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
        """Tell how much of the budget is used, 0..1."""
        of_steps = step / self.num_steps if self.num_steps else 0.0
        of_time = seconds / self.max_seconds if self.max_seconds else 0.0
        return min(1.0, max(of_steps, of_time))


def check_settings(settings: TrainSettings) -> None:
    """See that the settings can train.

    Raises: TrainingError.
    """
    budgets = (settings.num_steps, settings.max_seconds)
    if all(budget is None for budget in budgets):
        raise TrainingError("neither steps nor seconds end the training: give a budget")
    if any(budget is not None and not 0 < budget < math.inf for budget in budgets):
        raise TrainingError("the budget is nothing, or endless: give steps or seconds above 0")
    if settings.slice_size is not None and settings.batch_size % settings.slice_size:
        raise TrainingError(
            f"batches of {settings.batch_size} cannot be cut into slices of {settings.slice_size}: "
            "give a divisor"
        )


def learning_rate(
    step: int,
    base: float,
    settings: TrainSettings,
    seconds: float = 0.0,
    *,
    learned_steps: int | None = None,
) -> float:
    """Rate of one step, counted from 1: linear warm-up, then half a cosine down.

    `learned_steps`, this one included, are those of what learns later than the rest: it warms up
    when it begins.

    Units: seconds trained so far, for a budget of time.
    """
    warm_steps = step if learned_steps is None else learned_steps
    if warm_steps < settings.warmup_steps:
        return base * warm_steps / settings.warmup_steps
    shares = [0.0]
    if settings.num_steps is not None:
        span = max(1, settings.num_steps - settings.warmup_steps)
        shares.append((step - settings.warmup_steps) / span)
    if settings.max_seconds is not None:
        shares.append(seconds / settings.max_seconds)
    cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, max(shares))))
    return base * (settings.lr_min_ratio + (1 - settings.lr_min_ratio) * cosine)


@dataclass(frozen=True, slots=True)
class TrainProgress:
    """Means since the last report: losses per sample, share of samples wholly right.

    `right_by_size` is that share for each side of what was trained since; `visits` how often each
    puzzle has been gone through so far.
    """

    step: int
    num_steps: int | None
    used_share: float
    seconds: float
    steps_per_s: float
    loss: float
    lm_loss: float
    q_halt_loss: float
    q_continue_loss: float
    right_share: float
    right_by_size: dict[int, float]
    visits: float
    halted_share: float
    lr: float
