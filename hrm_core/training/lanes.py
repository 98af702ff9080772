"""Training on several sizes: a batch is of one size, and samples fall evenly on puzzles."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from hrm_core.engine.memory import largest_divisor
from hrm_core.errors import TrainingError
from hrm_core.model.config import ModelConfig
from hrm_core.model.network import Network
from hrm_core.training.arrays import ExampleStream, TrainingArrays
from hrm_core.training.settings import TrainSettings
from hrm_core.training.step import TrainCarry

# What batches of larger sizes are multiples of: enough for a gradient, and easy to cut into slices.
BATCH_MULTIPLE = 8


def batch_size_of(num_positions: int, config: ModelConfig, settings: TrainSettings) -> int:
    """Return how many samples of a length a step takes."""
    if not config.crop:
        return settings.batch_size
    fitting = settings.batch_tokens // num_positions
    return min(settings.batch_size, max(1, fitting // BATCH_MULTIPLE) * BATCH_MULTIPLE)


class TrainLane:
    """The examples of one size, and the batch that learns them.

    `visits` is how often each of its puzzles has been gone through: all demonstrations in some
    variant, each until it halted.
    """

    def __init__(
        self,
        arrays: TrainingArrays,
        network: Network,
        settings: TrainSettings,
        device: torch.device,
        left_out: npt.NDArray[np.bool_],
    ) -> None:
        num_cells = arrays.canvas**2
        self.num_positions = network.config.puzzle_emb_len + num_cells
        self.stream = ExampleStream(arrays, settings.seed, settings.translate, left_out)
        self.batch_size = batch_size_of(self.num_positions, network.config, settings)
        self.slice_size = self.batch_size
        if settings.slice_size is not None:
            share = self.batch_size * settings.slice_size // settings.batch_size
            self.slice_size = largest_divisor(self.batch_size, share)
        self.carry = TrainCarry.empty(network, self.batch_size, device, num_cells)
        self.visits = 0.0
        self._max_steps = network.config.halt_max_steps

    @property
    def side(self) -> int:
        """Side of the squares that its examples lie on."""
        return self.stream.arrays.canvas

    def count_step(self) -> None:
        """Count a segment of each sample, and for those that halted the segments they save."""
        carry = self.carry
        saved = (self._max_steps - carry.steps).masked_fill(~carry.halted, 0)
        num_samples = (self.batch_size + int(saved.sum())) / self._max_steps
        self.visits += num_samples / self.stream.round_size

    def state(self) -> dict[str, Any]:
        """Everything needed to go on where the lane stands."""
        return {
            "carry": {name: getattr(self.carry, name) for name in TrainCarry.__slots__},
            "stream": json.dumps(self.stream.state()),
            "visits": self.visits,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from what `state` gave."""
        dtype = self.carry.z_H.dtype
        self.carry = TrainCarry(**state["carry"])
        # The run may go on in another precision, on another processor.
        self.carry.z_H, self.carry.z_L = self.carry.z_H.to(dtype), self.carry.z_L.to(dtype)
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
    ) -> None:
        """Prepare the lanes; `left_out` marks examples as `ExampleStream` takes them.

        Shapes: left_out bool [E] for each of the arrays.

        Raises: TrainingError when no arrays are as small as asked.
        """
        self._lanes = {
            part.canvas: TrainLane(part, network, settings, device, marked)
            for part, marked in zip(arrays, left_out, strict=True)
            if settings.max_crop is None or part.canvas <= settings.max_crop
        }
        if not self._lanes:
            least = min(part.canvas for part in arrays)
            raise TrainingError(
                f"no puzzle has a crop of at most {settings.max_crop}: give at least {least}"
            )

    def __iter__(self) -> Iterator[TrainLane]:
        return iter(self._lanes.values())

    def next(self) -> TrainLane:
        """Return the lane with the fewest visits to each of its puzzles, the smallest of equals."""
        return min(self, key=lambda lane: (lane.visits, lane.side))

    @property
    def visits(self) -> float:
        """How often each puzzle has been gone through, at the least."""
        return self.next().visits

    @property
    def num_examples(self) -> int:
        """Examples of all sizes that are trained."""
        return sum(len(lane.stream.arrays.inputs) for lane in self)

    def let_in(self) -> None:
        """Let the examples in that were left out."""
        for lane in self:
            lane.stream.leaves_out = False

    def state(self) -> dict[str, dict[str, Any]]:
        """Everything needed to go on where the lanes stand, by size."""
        return {str(side): lane.state() for side, lane in self._lanes.items()}

    def restore(self, state: dict[str, dict[str, Any]]) -> None:
        """Go on from what `state` gave.

        A size that was not trained before begins with the visits of the others: making up for them
        first would train it alone, and the others would be forgotten meanwhile.
        """
        visits = min(lane["visits"] for lane in state.values())
        for side, lane in self._lanes.items():
            if str(side) in state:
                lane.restore(state[str(side)])
            lane.visits = max(lane.visits, visits)
