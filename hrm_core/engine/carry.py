"""The engine's tensors: state and inputs of every slot, and the step that advances them."""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from hrm_core.engine.scheduler import Entry, Halting
from hrm_core.model.config import ARC_VOCAB_SIZE, ModelConfig
from hrm_core.model.layers import stablemax_weights
from hrm_core.model.network import Network

# An answer counts as settled when it has stayed the same for so many segments.
SETTLED_SEGMENTS = 4
# One segment less for each of these odds that every cell of the answer has against its runner-up.
# Chosen on 53 test inputs of small puzzles, where lower odds move second attempts (bench/results).
SPARING_ODDS = (10.0, 50.0, 100.0)
FIRST_COLOUR = 2
# Calls before a recording.
NUM_WARM_UPS = 3


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
Replay = Callable[[], None]


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


def answer_part(predictions: Tensor, config: ModelConfig) -> Tensor:
    """Blank the cells that decoding ignores, since the network never learned what to put there.

    What counts is the area of colours that is connected down and right to the top-left corner.
    Vocabularies other than ARC's are kept whole.

    Shapes: uint8 [B, S], both.
    """
    if config.vocab_size != ARC_VOCAB_SIZE:
        return predictions
    is_colour = (predictions >= FIRST_COLOUR).to(torch.int32)
    side = math.isqrt(predictions.shape[-1])
    is_colour = is_colour.view(-1, side, side)
    part = is_colour.cumprod(2, dtype=torch.int32).cumprod(1, dtype=torch.int32)
    return predictions * part.view_as(predictions).to(torch.uint8)


def count_wanted(
    logits: Tensor, predictions: Tensor, answer: Tensor, config: ModelConfig
) -> Tensor:
    """Return the number of segments for which each answer must stay the same to be settled.

    The odds are stablemax's, which the networks are trained with: logits have no scale.

    Shapes: logits [B, S, vocab]; predictions, answer uint8 [B, S]; result int64 [B].
    """
    tokens = torch.arange(logits.shape[-1], device=logits.device)
    others = logits.masked_fill(tokens == predictions.unsqueeze(-1), -torch.inf)
    first, second = (stablemax_weights(x.amax(-1).float()) for x in (logits, others))
    counts = answer > 0 if config.vocab_size == ARC_VOCAB_SIZE else torch.ones_like(answer).bool()
    min_odds = torch.where(counts, first / second, torch.inf).amin(-1)
    min_odds = torch.where(counts.any(-1), min_odds, 0.0)  # an empty answer has no clear cell
    return SETTLED_SEGMENTS - torch.stack([min_odds >= odds for odds in SPARING_ODDS]).sum(0)


class CapturedRun:
    """A run for one network and one number of slots, recorded as a CUDA graph at its first call.

    Most of a small network's step is launching kernels; a large network gains nothing.

    Inputs are copied to the addresses that the recording reads; the next call overwrites outputs.
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        self._recorded: tuple[SlotTensors, SegmentOutput, Replay] | None = None

    def __call__(self, network: Network, slots: SlotTensors) -> SegmentOutput:
        """Run one segment, by replay after the first call."""
        if self._recorded is None:
            static = SlotTensors(*(tensor.clone() for tensor in slots))
            self._recorded = (static, *record(partial(self._run, network, static)))
        static, output, replay = self._recorded
        for tensor, given in zip(static, slots, strict=True):
            tensor.copy_(given)
        replay()
        return output


def record(call: Callable[[], SegmentOutput]) -> tuple[SegmentOutput, Replay]:
    """Record what a call launches on CUDA; return its output and what computes it again."""
    stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):  # libraries choose kernels and allocate workspaces here
        for _ in range(NUM_WARM_UPS):
            call()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        output = call()
    return output, graph.replay
