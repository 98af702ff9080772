"""Losses of one segment.

Source: arXiv 2506.21734 section 2 (deep supervision, Q-learning of the halt), arXiv 2501.04697
(stablemax).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from hrm_core.model.layers import stablemax_weights

PAD = 0  # the label that the loss ignores


@dataclass(frozen=True, slots=True)
class SegmentLosses:
    """Losses of one segment, each divided by the batch size; `total` is what is minimised.

    `is_right` [B]: every label of the sample is right.
    """

    total: Tensor
    lm: Tensor
    q_halt: Tensor
    q_continue: Tensor
    is_right: Tensor


def segment_losses(
    logits: Tensor,
    labels: Tensor,
    q_halt_logits: Tensor,
    q_continue_logits: Tensor,
    q_continue_target: Tensor | None,
) -> SegmentLosses:
    """Compute lm + 0.5 * (q_halt + q_continue) and its parts.

    Shapes: logits [B, S, vocab]; labels int [B, S], PAD ignored; q [B]; the target is a
    probability [B], or None where the continue head is not trained.
    """
    batch = labels.shape[0]
    is_label = labels != PAD
    num_labels = is_label.sum(-1)
    is_right = (is_label & (logits.argmax(-1) == labels)).sum(-1) == num_labels
    nll = stablemax_cross_entropy(logits, labels)
    lm = (nll.masked_fill(~is_label, 0.0) / num_labels.clamp_min(1).unsqueeze(-1)).sum() / batch
    bce = partial(F.binary_cross_entropy_with_logits, reduction="sum")
    q_halt = bce(q_halt_logits, is_right.to(q_halt_logits.dtype)) / batch
    q_continue = torch.zeros_like(q_halt)
    if q_continue_target is not None:
        q_continue = bce(q_continue_logits, q_continue_target) / batch
    return SegmentLosses(lm + 0.5 * (q_halt + q_continue), lm, q_halt, q_continue, is_right)


def mean_losses(parts: Sequence[SegmentLosses]) -> SegmentLosses:
    """Combine the losses of equally large slices of a batch."""
    means = {
        name: torch.stack([getattr(part, name).detach() for part in parts]).mean()
        for name in ("total", "lm", "q_halt", "q_continue")
    }
    return SegmentLosses(**means, is_right=torch.cat([part.is_right for part in parts]))


def stablemax_cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the negative log probability of each label under stablemax, in float32 or wider.

    Shapes: logits [..., vocab]; labels int [...]; result float32 [...].
    """
    wide = logits if logits.dtype == torch.float64 else logits.float()
    weights = stablemax_weights(wide)
    log_sum = weights.sum(-1).log()
    chosen = weights.gather(-1, labels.long().unsqueeze(-1)).squeeze(-1)
    return log_sum - chosen.log()


def continue_target(next_q_halt: Tensor, next_q_continue: Tensor, is_last_step: Tensor) -> Tensor:
    """Return the continue head's target, bootstrapped from the next segment's q.

    Shapes: logits [B], bool [B]; the result is a probability [B].
    """
    best = torch.where(is_last_step, next_q_halt, torch.maximum(next_q_halt, next_q_continue))
    return best.sigmoid()
