"""What one segment is punished for.

Source: arXiv 2506.21734 section 2 (deep supervision, Q-learning of the halt), arXiv 2501.04697
(stablemax).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from hrm_core.model.layers import stablemax_weights

PAD = 0  # the label that is left out of the loss


@dataclass(frozen=True, slots=True)
class SegmentLosses:
    """Losses of one segment, each divided by the batch size; `total` is what is minimised.

    `is_right` [B] tells the samples with every label right.
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
    """Add up lm + 0.5 * (q_halt + q_continue).

    Shapes: logits [B, S, vocab]; labels int [B, S] with PAD left out; q [B]; the target is a
    probability [B], or None where the continue head is not trained.
    """
    batch = labels.shape[0]
    is_label = labels != PAD
    num_labels = is_label.sum(-1)
    is_right = (is_label & (logits.argmax(-1) == labels)).sum(-1) == num_labels
    nll = stablemax_cross_entropy(logits, labels)
    lm = (nll.masked_fill(~is_label, 0.0) / num_labels.clamp_min(1).unsqueeze(-1)).sum() / batch
    q_halt = (
        F.binary_cross_entropy_with_logits(
            q_halt_logits, is_right.to(q_halt_logits.dtype), reduction="sum"
        )
        / batch
    )
    q_continue = torch.zeros_like(q_halt)
    if q_continue_target is not None:
        q_continue = (
            F.binary_cross_entropy_with_logits(
                q_continue_logits, q_continue_target, reduction="sum"
            )
            / batch
        )
    return SegmentLosses(lm + 0.5 * (q_halt + q_continue), lm, q_halt, q_continue, is_right)


def mean_losses(parts: Sequence[SegmentLosses]) -> SegmentLosses:
    """Join the losses of equally large slices of a batch."""
    return SegmentLosses(
        total=torch.stack([part.total.detach() for part in parts]).mean(),
        lm=torch.stack([part.lm.detach() for part in parts]).mean(),
        q_halt=torch.stack([part.q_halt.detach() for part in parts]).mean(),
        q_continue=torch.stack([part.q_continue.detach() for part in parts]).mean(),
        is_right=torch.cat([part.is_right for part in parts]),
    )


def stablemax_cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Negative log probability of each label under stablemax, in float32 or wider.

    Shapes: logits [..., vocab]; labels int [...]; result float32 [...].
    """
    wide = logits if logits.dtype == torch.float64 else logits.float()
    weights = stablemax_weights(wide)
    log_sum = weights.sum(-1).log()
    chosen = weights.gather(-1, labels.long().unsqueeze(-1)).squeeze(-1)
    return log_sum - chosen.log()


def continue_target(next_q_halt: Tensor, next_q_continue: Tensor, is_last_step: Tensor) -> Tensor:
    """Bootstrap the continue head from the next segment's q.

    Shapes: logits [B], bool [B]; the result is a probability [B].
    """
    best = torch.where(is_last_step, next_q_halt, torch.maximum(next_q_halt, next_q_continue))
    return best.sigmoid()
