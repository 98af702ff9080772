"""One training step: a segment under deep supervision, for a batch that keeps its carry.

Source: arXiv 2506.21734 section 2 (deep supervision, Q-learning of the halt), arXiv 2501.04697
(stablemax).
"""

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from hrm_core.engine.memory import needs_memory
from hrm_core.model.layers import stablemax_weights
from hrm_core.model.network import Network
from hrm_core.training.ranks import ONE_RANK, Ranks

PAD = 0  # the label that the loss ignores
_FIGURES = ("total", "lm", "q_halt", "q_continue")


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
        for name in _FIGURES
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


@dataclass(slots=True)
class TrainCarry:
    """The state of a batch between segments; new samples replace halted ones.

    S is the number of cells of the whole canvas, or of the batch's crop. Among ranks, the states
    are those of this rank's part of the batch, N of B.

    Shapes: z_H, z_L [N, P + S, D]; steps int32 [B]; halted bool [B]; inputs, labels int64 [B, S];
    rows int64 [B].
    """

    z_H: Tensor
    z_L: Tensor
    steps: Tensor
    halted: Tensor
    inputs: Tensor
    labels: Tensor
    rows: Tensor

    @classmethod
    def empty(
        cls,
        network: Network,
        batch: int,
        device: torch.device,
        num_cells: int | None = None,
        num_states: int | None = None,
    ) -> "TrainCarry":
        """Start with every sample halted; `num_cells` is S, None for the whole canvas.

        `num_states` is N, None for the whole batch.
        """
        z_H, z_L = network.fresh_state(batch if num_states is None else num_states, num_cells)
        num_cells = network.config.seq_len if num_cells is None else num_cells
        tokens = torch.zeros(batch, num_cells, dtype=torch.int64, device=device)
        return cls(
            z_H,
            z_L,
            steps=torch.zeros(batch, dtype=torch.int32, device=device),
            halted=torch.ones(batch, dtype=torch.bool, device=device),
            inputs=tokens,
            labels=tokens.clone(),
            rows=torch.zeros(batch, dtype=torch.int64, device=device),
        )

    def refill(self, inputs: Tensor, labels: Tensor, rows: Tensor) -> None:
        """Replace the halted samples.

        Shapes: inputs, labels [halted, S]; rows [halted].
        """
        self.inputs[self.halted] = inputs.to(self.inputs)
        self.labels[self.halted] = labels.to(self.labels)
        self.rows[self.halted] = rows.to(self.rows)
        self.steps.masked_fill_(self.halted, 0)


@dataclass(frozen=True, slots=True)
class SegmentResult:
    """The result of one supervised segment; the states are detached."""

    losses: SegmentLosses
    z_H: Tensor
    z_L: Tensor
    q_halt: Tensor
    q_continue: Tensor


class Batch(NamedTuple):
    """The inputs of one supervised segment: a batch, or a slice of one.

    Shapes: z_H, z_L [B, P + S, D]; is_fresh, is_last bool [B]; inputs, labels [B, S]; row_values
    float32 [B, puzzle_emb_ndim], which require a gradient.
    """

    z_H: Tensor
    z_L: Tensor
    is_fresh: Tensor
    is_last: Tensor
    inputs: Tensor
    labels: Tensor
    row_values: Tensor


Supervise = Callable[[Network, Batch, bool], SegmentResult]


def supervise(network: Network, batch: Batch, learns_continue: bool) -> SegmentResult:
    """Run a segment on the batch and compute its losses; q_continue takes half as long again."""
    fresh = batch.is_fresh.view(-1, 1, 1)
    z_H = torch.where(fresh, network.H_init.to(batch.z_H.dtype), batch.z_H)
    z_L = torch.where(fresh, network.L_init.to(batch.z_L.dtype), batch.z_L)
    e = network.embed(batch.inputs, batch.row_values)
    z_H, z_L = network.segment(z_H, z_L, e)
    q_halt, q_continue = network.read_q(z_H)
    logits = network.read_logits(z_H)
    z_H, z_L = z_H.detach(), z_L.detach()
    target = None
    if learns_continue and network.config.halt_max_steps > 1:
        with torch.no_grad():
            next_z_H, _ = network.segment(z_H, z_L, e)
            target = continue_target(*network.read_q(next_z_H), batch.is_last)
    losses = segment_losses(logits, batch.labels, q_halt, q_continue, target)
    return SegmentResult(losses, z_H, z_L, q_halt.detach(), q_continue.detach())


def train_segment(
    network: Network,
    carry: TrainCarry,
    row_values: Tensor,
    generator: torch.Generator,
    run: Supervise = supervise,
    *,
    learns_continue: bool = True,
    slice_size: int | None = None,
    ranks: Ranks = ONE_RANK,
) -> Generator[None, None, SegmentLosses]:
    """Run one segment, leave gradients on parameters and `row_values`, and advance the carry.

    Yields between slices of this rank's part of the batch; the gradients of all slices and ranks
    add up to those of the whole batch. A sample halts at its last step, or when q says so; with
    probability `halt_exploration_prob` not before a random number of steps. Where q_continue is not
    learned, q_halt decides.

    Shapes: row_values float32 [B, puzzle_emb_ndim], a leaf.
    """
    config = network.config
    learns_continue = learns_continue and not config.no_ACT_continue
    steps = torch.where(carry.halted, 0, carry.steps) + 1
    is_last = steps >= config.halt_max_steps
    batch_size = len(steps)
    mine = ranks.part_of(batch_size)
    of_batch = (carry.halted, is_last, carry.inputs, carry.labels, row_values)
    batch = Batch(carry.z_H, carry.z_L, *(tensor[mine] for tensor in of_batch))
    num_mine = len(batch.is_last)
    slice_size = slice_size or num_mine
    results: list[SegmentResult] = []
    with ranks.sharing_memory_errors():
        for start in range(0, num_mine, slice_size):
            if start:
                yield
            part = slice(start, start + slice_size)
            result = run(network, Batch._make(tensor[part] for tensor in batch), learns_continue)
            share = len(result.q_halt) / batch_size
            (result.losses.total * share).backward()  # type: ignore[no-untyped-call]
            results.append(result)
        z_H, z_L, q_halt, q_continue = (
            torch.cat([getattr(result, name) for result in results])
            for name in ("z_H", "z_L", "q_halt", "q_continue")
        )
    losses = mean_losses([result.losses for result in results])
    if ranks.size > 1:
        with needs_memory(z_H.device, "the gradients of all ranks"):
            q_halt, q_continue, losses = _join(ranks, q_halt, q_continue, losses, row_values)
            ranks.sum_gradients_(network.parameters(), batch_size)
    threshold = q_continue if learns_continue else torch.zeros_like(q_continue)
    halted = is_last
    if config.halt_max_steps > 1:
        # Drawn on the CPU, so that a seed means the same on every device.
        explores = torch.rand(batch_size, generator=generator) < config.halt_exploration_prob
        min_steps = torch.randint(2, config.halt_max_steps + 1, (batch_size,), generator=generator)
        halted = is_last | (q_halt > threshold)
        halted &= steps >= (explores * min_steps).to(steps)
    carry.z_H, carry.z_L = z_H, z_L
    carry.steps, carry.halted = steps, halted
    return losses


def _join(
    ranks: Ranks, q_halt: Tensor, q_continue: Tensor, losses: SegmentLosses, row_values: Tensor
) -> tuple[Tensor, Tensor, SegmentLosses]:
    """Return q and the losses of the whole batch, and complete the gradients of `row_values`."""
    batch_size = len(row_values)
    means = torch.stack([getattr(losses, name) for name in _FIGURES]).unsqueeze(0)
    parts = [q_halt, q_continue, losses.is_right, means]
    if row_values.grad is not None:
        parts.append(row_values.grad[ranks.part_of(batch_size)])
    q_halt, q_continue, is_right, means, *grad = ranks.join(parts, batch_size)
    if grad:
        row_values.grad = grad[0]
    of_parts = [
        SegmentLosses(**dict(zip(_FIGURES, figures, strict=True)), is_right=right)
        for figures, right in zip(means, is_right.chunk(len(means)), strict=True)
    ]
    return q_halt, q_continue, mean_losses(of_parts)
