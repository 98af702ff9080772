"""The engine's tensors: state and inputs of every slot, and the step that moves them on."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from hrm_core.engine.halting import Halting
from hrm_core.engine.scheduler import Entry
from hrm_core.engine.settling import answer_part, count_wanted
from hrm_core.model.network import Network


@dataclass(slots=True)
class Carry:
    """What slots carry from segment to segment. The only mutable value; never leaves the engine.

    Shapes: z_H, z_L [B, P + S, D]; tokens int32 [B, S]; puzzle_rows float32 [B, n]; steps,
    max_steps int32 [B]; is_fresh, is_act bool [B]; answer uint8 [B, S], the last one's part that
    counts; num_unchanged int32 [B], segments it has stayed so.
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

    @classmethod
    @torch.inference_mode()  # as the steps are: for other tensors they would be compiled again
    def empty(
        cls, network: Network, num_slots: int, device: torch.device, num_cells: int | None = None
    ) -> "Carry":
        """Make the tensors for a number of slots of S cells; free slots compute on blanks."""
        config = network.config
        num_cells = num_cells or config.seq_len
        z_H, z_L = network.fresh_state(num_slots, num_cells)
        return cls(
            z_H,
            z_L,
            tokens=torch.zeros(num_slots, num_cells, dtype=torch.int32, device=device),
            puzzle_rows=torch.zeros(num_slots, config.puzzle_emb_ndim, device=device),
            steps=torch.zeros(num_slots, dtype=torch.int32, device=device),
            max_steps=torch.ones(num_slots, dtype=torch.int32, device=device),
            is_fresh=torch.ones(num_slots, dtype=torch.bool, device=device),
            is_act=torch.zeros(num_slots, dtype=torch.bool, device=device),
            answer=torch.zeros(num_slots, num_cells, dtype=torch.uint8, device=device),
            num_unchanged=torch.zeros(num_slots, dtype=torch.int32, device=device),
        )

    def seat(self, slots: Sequence[int], entries: Sequence[Entry]) -> None:
        """Write new samples over the given slots."""
        device = self.tokens.device
        index = torch.tensor(slots, device=device)
        tokens = np.stack([entry.sample.tokens for entry in entries])
        rows = np.stack([entry.sample.puzzle_row for entry in entries])
        self.tokens[index] = torch.from_numpy(tokens).to(device)
        self.puzzle_rows[index] = torch.from_numpy(rows).to(device)
        max_steps = [entry.rule.max_segments for entry in entries]
        self.max_steps[index] = torch.tensor(max_steps, dtype=torch.int32, device=device)
        is_act = [entry.rule.halting is Halting.ACT for entry in entries]
        self.is_act[index] = torch.tensor(is_act, device=device)
        self.steps[index] = 0
        self.is_fresh[index] = True

    def advance(self, network: Network, run: "Run") -> tuple[Tensor, Tensor]:
        """Move every slot on by one segment; gives the report and the predictions.

        Shapes: float32 [B, 4], uint8 [B, S], both on the device.
        """
        moved = run(
            network,
            self.z_H,
            self.z_L,
            self.tokens,
            self.puzzle_rows,
            self.steps,
            self.max_steps,
            self.is_fresh,
            self.is_act,
            self.answer,
            self.num_unchanged,
        )
        self.z_H, self.z_L, self.answer, self.num_unchanged = moved[:4]
        self.steps += 1
        self.is_fresh.fill_(False)
        return moved[4], moved[5]


Moved = tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]
Run = Callable[..., Moved]


def run_segment(
    network: Network,
    z_H: Tensor,
    z_L: Tensor,
    tokens: Tensor,
    puzzle_rows: Tensor,
    steps: Tensor,
    max_steps: Tensor,
    is_fresh: Tensor,
    is_act: Tensor,
    answer: Tensor,
    num_unchanged: Tensor,
) -> Moved:
    """Compute one segment for every slot, at a static shape.

    Shapes: as `Carry`; gives z_H, z_L, answer, num_unchanged, a report float32 [B, 4] of
    (halted, steps, q_halt, q_continue), and predictions uint8 [B, S].
    """
    fresh = is_fresh.view(-1, 1, 1)
    z_H = torch.where(fresh, network.H_init, z_H)
    z_L = torch.where(fresh, network.L_init, z_L)
    z_H, z_L = network.segment(z_H, z_L, network.embed(tokens, puzzle_rows))
    q_halt, q_continue = network.read_q(z_H)
    logits = network.read_logits(z_H)
    predictions = logits.argmax(-1).to(torch.uint8)
    steps = steps + 1
    answer_now = answer_part(predictions, network.config)
    is_unchanged = (answer_now == answer).all(-1) & ~is_fresh
    num_unchanged = torch.where(is_unchanged, num_unchanged + 1, 0)
    wanted = count_wanted(logits, predictions, answer_now, network.config)
    is_settled = num_unchanged >= wanted
    halted = (steps >= max_steps) | (is_act & (q_halt > 0) & is_settled)
    report = torch.stack((halted.float(), steps.float(), q_halt, q_continue), dim=-1)
    return z_H, z_L, answer_now, num_unchanged, report, predictions
