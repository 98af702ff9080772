"""Training on several sizes: each batch has one size, and puzzles are trained equally often."""

import json
from collections.abc import Generator, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from hrm_core.engine.memory import is_out_of_memory, largest_divisor, release_memory
from hrm_core.errors import TrainingError
from hrm_core.model.config import ModelConfig
from hrm_core.model.network import Network
from hrm_core.training.arrays import ExampleStream, TrainingArrays
from hrm_core.training.ranks import Ranks
from hrm_core.training.settings import TrainSettings
from hrm_core.training.step import SegmentLosses, Supervise, TrainCarry, train_segment

# Batches of larger sizes are multiples of this, which is enough for a gradient and easy to slice.
BATCH_MULTIPLE = 8


def batch_size_of(num_positions: int, config: ModelConfig, settings: TrainSettings) -> int:
    """Return how many samples of a length a step takes."""
    if not config.crop:
        return settings.batch_size
    fitting = settings.batch_tokens // num_positions
    return min(settings.batch_size, max(1, fitting // BATCH_MULTIPLE) * BATCH_MULTIPLE)


class TrainLane:
    """The examples of one size, and the batch that is trained on them.

    `visits` is how often each of its puzzles has been trained: all demonstrations in some variant,
    each until it halted.
    """

    def __init__(
        self,
        arrays: TrainingArrays,
        network: Network,
        settings: TrainSettings,
        device: torch.device,
        left_out: npt.NDArray[np.bool_],
        ranks: Ranks,
    ) -> None:
        num_cells = arrays.canvas**2
        self.num_positions = network.config.puzzle_emb_len + num_cells
        self.stream = ExampleStream(arrays, settings.seed, settings.translate, left_out)
        self.batch_size = batch_size_of(self.num_positions, network.config, settings)
        self._ranks, self._part = ranks, ranks.part_of(self.batch_size)
        self.slice_size = self.num_mine
        if settings.slice_size is not None:
            share = self.batch_size * settings.slice_size // settings.batch_size
            self.slice_size = largest_divisor(self.num_mine, share)
        self.carry = TrainCarry.empty(network, self.batch_size, device, num_cells, self.num_mine)
        self.visits = 0.0
        self._max_steps = network.config.halt_max_steps

    @property
    def side(self) -> int:
        """Side of the squares that its examples lie on."""
        return self.stream.arrays.canvas

    @property
    def num_mine(self) -> int:
        """Number of samples of a batch that this rank computes."""
        return int(self._part.stop - self._part.start)

    def train(
        self,
        network: Network,
        table: Tensor,
        generator: torch.Generator,
        run: Supervise,
        *,
        learns_continue: bool,
    ) -> Generator[None, None, tuple[SegmentLosses, Tensor]]:
        """Replace halted samples and train one segment, in smaller slices when memory runs out.

        Yields between slices; returns the losses, and the row values with their gradients.

        Shapes: row values float32 [B, puzzle_emb_ndim].
        """
        carry = self.carry
        inputs, labels, rows = self.stream.take(int(carry.halted.sum()))
        carry.refill(torch.from_numpy(inputs), torch.from_numpy(labels), torch.from_numpy(rows))
        row_values = table[carry.rows].requires_grad_()
        while True:
            try:
                losses = yield from train_segment(
                    network,
                    carry,
                    row_values,
                    generator,
                    run,
                    learns_continue=learns_continue,
                    slice_size=self.slice_size,
                    ranks=self._ranks,
                )
                break
            except RuntimeError as error:
                if not is_out_of_memory(error) or self.slice_size == 1:
                    raise
            # The carry advances at the very end of a segment, so the segment can start over.
            network.zero_grad()
            row_values.grad = None
            self.slice_size = largest_divisor(self.num_mine, self.slice_size // 2)
            release_memory(table.device)
        # A segment of each sample counts, and the segments that halted samples save.
        saved = (self._max_steps - carry.steps).masked_fill(~carry.halted, 0)
        num_samples = (self.batch_size + int(saved.sum())) / self._max_steps
        self.visits += num_samples / self.stream.round_size
        return losses, row_values

    def state(self) -> dict[str, Any]:
        """Return everything needed to continue from here, with any number of ranks."""
        carry = {name: getattr(self.carry, name) for name in TrainCarry.__slots__}
        states = [carry["z_H"], carry["z_L"]]
        carry["z_H"], carry["z_L"] = self._ranks.join(states, self.batch_size)
        return {
            "carry": carry,
            "stream": json.dumps(self.stream.state()),
            "visits": self.visits,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from what `state` returned."""
        dtype = self.carry.z_H.dtype
        self.carry = TrainCarry(**state["carry"])
        # The run may continue in another precision, on another processor.
        self.carry.z_H = self.carry.z_H[self._part].to(dtype)
        self.carry.z_L = self.carry.z_L[self._part].to(dtype)
        self.stream.restore(json.loads(state["stream"]))
        self.visits = state["visits"]


class TrainLanes:
    """A lane for each size up to the largest that is trained."""

    def __init__(
        self,
        arrays: Sequence[TrainingArrays],
        network: Network,
        settings: TrainSettings,
        device: torch.device,
        left_out: Sequence[npt.NDArray[np.bool_]],
        ranks: Ranks,
    ) -> None:
        """Prepare the lanes; `left_out` marks examples as `ExampleStream` takes them.

        Shapes: left_out bool [E] for each of the arrays.

        Raises: TrainingError when no arrays are as small as asked.
        """
        self._lanes = {
            part.canvas: TrainLane(part, network, settings, device, marked, ranks)
            for part, marked in zip(arrays, left_out, strict=True)
            if settings.max_crop is None or part.canvas <= settings.max_crop
        }
        if not self._lanes:
            smallest = min(part.canvas for part in arrays)
            raise TrainingError(
                f"no puzzle has a crop of at most {settings.max_crop}: give at least {smallest}"
            )

    def __iter__(self) -> Iterator[TrainLane]:
        return iter(self._lanes.values())

    def next(self) -> TrainLane:
        """Return the lane with the fewest visits to each of its puzzles, the smallest of equals."""
        return min(self, key=lambda lane: (lane.visits, lane.side))

    @property
    def visits(self) -> float:
        """The smallest number of times that any puzzle has been trained."""
        return self.next().visits

    @property
    def num_examples(self) -> int:
        """Number of examples of all sizes."""
        return sum(len(lane.stream.arrays.inputs) for lane in self)

    def include_left_out(self) -> None:
        """Include the examples that were left out."""
        for lane in self:
            lane.stream.leaves_out = False

    def state(self) -> dict[str, dict[str, Any]]:
        """Return everything needed to continue from here, by size."""
        return {str(side): lane.state() for side, lane in self._lanes.items()}

    def restore(self, state: dict[str, dict[str, Any]]) -> None:
        """Continue from what `state` returned.

        A size that was not trained before begins with the visits of the others: catching up would
        train only that size, and the others would be forgotten meanwhile.
        """
        visits = min(lane["visits"] for lane in state.values())
        for side, lane in self._lanes.items():
            if str(side) in state:
                lane.restore(state[str(side)])
            lane.visits = max(lane.visits, visits)
