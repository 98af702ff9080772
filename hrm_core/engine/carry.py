"""The engine's tensors: state and inputs of every slot, and the step that advances them."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from hrm_core.engine.samples import Halting
from hrm_core.engine.scheduler import Entry
from hrm_core.engine.settling import answer_part, count_wanted
from hrm_core.model.network import Network


class SlotTensors(NamedTuple):
    """The state and inputs of all slots.

    `answer` is the part of the last predictions that counts; `num_unchanged` counts the segments
    for which it has stayed the same.

    Shapes: z_H, z_L [B, P + S, D]; tokens int32 [B, S]; puzzle_rows float32 [B, n]; steps,
    max_steps int32 [B]; is_fresh, is_act bool [B]; answer uint8 [B, S]; num_unchanged int32 [B].
    """

    z_H: Tensor
    z_L: Tensor
    tokens: Tensor
    puzzle_rows: Tensor
    steps: Tensor
    max_steps: Tensor
    is_fresh: Tensor
    is_act: Tensor
    answer: Tensor
    num_unchanged: Tensor


class SegmentOutput(NamedTuple):
    """The results of one segment for every slot.

    Shapes: the first four as in `SlotTensors`; report float32 [B, 4] of (halted, steps, q_halt,
    q_continue); predictions uint8 [B, S].
    """

    z_H: Tensor
    z_L: Tensor
    answer: Tensor
    num_unchanged: Tensor
    report: Tensor
    predictions: Tensor


Run = Callable[[Network, SlotTensors], SegmentOutput]


class Carry:
    """The slots' tensors. The only mutable value of the engine's step; it never leaves the engine.

    Free slots compute on blanks.
    """

    @torch.inference_mode()  # as the steps are: for other tensors they would be compiled again
    def __init__(
        self, network: Network, num_slots: int, device: torch.device, num_cells: int | None = None
    ) -> None:
        """Allocate the tensors of slots of `num_cells` cells (S), None for the whole canvas."""
        num_cells = num_cells or network.config.seq_len
        z_H, z_L = network.fresh_state(num_slots, num_cells)
        self.tensors = SlotTensors(
            z_H,
            z_L,
            tokens=torch.zeros(num_slots, num_cells, dtype=torch.int32, device=device),
            puzzle_rows=torch.zeros(num_slots, network.config.puzzle_emb_ndim, device=device),
            steps=torch.zeros(num_slots, dtype=torch.int32, device=device),
            max_steps=torch.ones(num_slots, dtype=torch.int32, device=device),
            is_fresh=torch.ones(num_slots, dtype=torch.bool, device=device),
            is_act=torch.zeros(num_slots, dtype=torch.bool, device=device),
            answer=torch.zeros(num_slots, num_cells, dtype=torch.uint8, device=device),
            num_unchanged=torch.zeros(num_slots, dtype=torch.int32, device=device),
        )

    def seat(self, slots: Sequence[int], entries: Sequence[Entry]) -> None:
        """Write new samples into the given slots."""
        tensors = self.tensors
        device = tensors.tokens.device
        index = torch.tensor(slots, device=device)
        tokens = np.stack([entry.sample.tokens for entry in entries])
        rows = np.stack([entry.sample.puzzle_row for entry in entries])
        tensors.tokens[index] = torch.from_numpy(tokens).to(device)
        tensors.puzzle_rows[index] = torch.from_numpy(rows).to(device)
        max_steps = [entry.rule.max_segments for entry in entries]
        tensors.max_steps[index] = torch.tensor(max_steps, dtype=torch.int32, device=device)
        is_act = [entry.rule.halting is Halting.ACT for entry in entries]
        tensors.is_act[index] = torch.tensor(is_act, device=device)
        tensors.steps[index] = 0
        tensors.is_fresh[index] = True

    def advance(self, network: Network, run: Run) -> SegmentOutput:
        """Advance every slot by one segment."""
        output = run(network, self.tensors)
        self.tensors = self.tensors._replace(
            z_H=output.z_H,
            z_L=output.z_L,
            answer=output.answer,
            num_unchanged=output.num_unchanged,
        )
        self.tensors.steps.add_(1)
        self.tensors.is_fresh.fill_(False)
        return output


def run_segment(network: Network, slots: SlotTensors) -> SegmentOutput:
    """Compute one segment for every slot, at a static shape."""
    fresh = slots.is_fresh.view(-1, 1, 1)
    z_H = torch.where(fresh, network.H_init, slots.z_H)
    z_L = torch.where(fresh, network.L_init, slots.z_L)
    z_H, z_L = network.segment(z_H, z_L, network.embed(slots.tokens, slots.puzzle_rows))
    q_halt, q_continue = network.read_q(z_H)
    logits = network.read_logits(z_H)
    predictions = logits.argmax(-1).to(torch.uint8)
    steps = slots.steps + 1
    answer = answer_part(predictions, network.config)
    is_unchanged = (answer == slots.answer).all(-1) & ~slots.is_fresh
    num_unchanged = torch.where(is_unchanged, slots.num_unchanged + 1, 0)
    is_settled = num_unchanged >= count_wanted(logits, predictions, answer, network.config)
    halted = (steps >= slots.max_steps) | (slots.is_act & (q_halt > 0) & is_settled)
    report = torch.stack((halted.float(), steps.float(), q_halt, q_continue), dim=-1)
    return SegmentOutput(z_H, z_L, answer, num_unchanged, report, predictions)
