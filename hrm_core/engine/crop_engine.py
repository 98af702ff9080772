"""The engine for samples of several sizes: an engine for each size, on one network."""

from collections.abc import Hashable, Iterable
from math import isqrt
from typing import Any

from hrm_core.checkpoint.folder import Checkpoint
from hrm_core.engine.engine import Engine
from hrm_core.engine.memory import release_memory
from hrm_core.engine.scheduler import Outcome, Sample, SampleFilter, any_sample
from hrm_core.engine.sizing import EngineConfig
from hrm_core.errors import EngineError

# Lanes that are kept; the least recently used idle lane makes room for another.
MAX_LANES = 4
MIN_SIDE = 4


class CropEngine(Engine):
    """Runs samples of a checkpoint with crop, each in the lane of its size.

    Lanes take turns, a step each, so that no size waits until another is done. A sample's answer
    depends only on its lane's shape. Attributes of a single lane, such as `num_slots`, are those of
    the lane that received samples last.
    """

    def __init__(self, checkpoint: Checkpoint, config: EngineConfig) -> None:
        """Load the network, and make the lane of the smallest size.

        Raises: as `Engine`.
        """
        self.checkpoint, self.config, self.device = checkpoint, config, config.device
        # In order of use, the least recent first.
        self._lanes: dict[int, Engine] = {}
        self._lane(min(MIN_SIDE, checkpoint.config.canvas) ** 2)
        self.num_steps = 0

    def __getattr__(self, name: str) -> Any:
        """Return an attribute of the lane that received samples last."""
        if name == "_latest":  # not set yet
            raise AttributeError(name)
        return getattr(self._latest, name)

    @property
    def slots_by_size(self) -> dict[int, int]:
        """The number of slots for samples of each size, in cells, that has a lane."""
        return {num_cells: lane.num_slots for num_cells, lane in self._lanes.items()}

    @property
    def num_waiting(self) -> int:
        """Samples not seated yet."""
        return sum(lane.num_waiting for lane in self._lanes.values())

    @property
    def num_seated(self) -> int:
        """Samples in slots."""
        return sum(lane.num_seated for lane in self._lanes.values())

    @property
    def seated_jobs(self) -> frozenset[Hashable]:
        """The jobs with samples in slots."""
        return frozenset().union(*(lane.seated_jobs for lane in self._lanes.values()))

    def add(self, samples: Iterable[Sample], *, job: Hashable, **options: Any) -> None:
        """Queue samples of a job, each in the lane of its size; options as of `Engine.add`.

        Raises: EngineError for a sample of the wrong shape or tokens outside the vocabulary; for a
        size without a lane as Engine does when it is made.
        """
        by_size: dict[int, list[Sample]] = {}
        for sample in samples:
            by_size.setdefault(len(sample.tokens), []).append(sample)
        for num_cells, group in by_size.items():
            if isqrt(num_cells) ** 2 != num_cells or num_cells > self.checkpoint.config.seq_len:
                raise EngineError(f"{num_cells} tokens are not a square that fits the canvas")
            self._lane(num_cells).add(group, job=job, **options)

    def cancel(self, job: Hashable, wanted: SampleFilter = any_sample) -> int:
        """Drop a job's samples in all lanes, or those with a wanted id; return how many."""
        return sum(lane.cancel(job, wanted) for lane in self._lanes.values())

    def step(self) -> list[Outcome]:
        """Run one segment in the lane that has waited longest for its turn.

        Raises: as `Engine.step`.
        """
        num_cells = next((size for size, lane in self._lanes.items() if not lane.is_idle), None)
        if num_cells is None:
            return []
        lane = self._lanes[num_cells] = self._lanes.pop(num_cells)
        self.num_steps += 1
        return lane.step()

    def warm_up(self) -> None:
        """Allocate the tensors of the lanes that a failed step left without."""
        for lane in self._lanes.values():
            if lane.is_cold:
                lane.warm_up()

    def _lane(self, num_cells: int) -> Engine:
        """Return the lane of a size; make it where there is none."""
        lane = self._lanes.get(num_cells)
        if lane is None:
            idle = [size for size, other in self._lanes.items() if other.is_idle]
            for size in idle[: max(0, len(self._lanes) + 1 - MAX_LANES)]:
                del self._lanes[size]
                release_memory(self.device)
            network = next((other._network for other in self._lanes.values()), None)
            lane = self._lanes[num_cells] = Engine(
                self.checkpoint, self.config, num_cells=num_cells, network=network
            )
        self._latest = lane
        return lane
