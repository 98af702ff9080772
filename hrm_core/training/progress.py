"""Progress of a training run: means over steps, and the log that keeps them."""

import json
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

LOG_NAME = "training_log.jsonl"

Progress = TypeVar("Progress")


@dataclass(frozen=True, slots=True)
class TrainProgress:
    """Means since the last report: losses per sample, share of samples that are entirely right.

    `right_by_size` is that share for each side trained since; `visits` is how often each puzzle has
    been trained so far.
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


@dataclass(frozen=True)
class Turn(Generic[Progress]):
    """A slice of work is done; only between two steps may the run be saved or stopped."""

    is_between_steps: bool
    progress: Progress | None = None


@dataclass(slots=True)
class Means:
    """Means over the samples of steps, and the share of right samples for each side."""

    num_samples: int = 0
    sums: list[float] = field(default_factory=lambda: [0.0] * 6)
    num_by_side: Counter[int] = field(default_factory=Counter)
    num_right_by_side: Counter[int] = field(default_factory=Counter)

    def add(self, side: int, num_samples: int, values: list[float], num_right: int) -> None:
        """Add a step: its mean losses, right and halted shares, and its number of right samples."""
        self.num_samples += num_samples
        self.sums = [
            total + num_samples * value for total, value in zip(self.sums, values, strict=True)
        ]
        self.num_by_side[side] += num_samples
        self.num_right_by_side[side] += num_right

    def fields(self) -> dict[str, Any]:
        """Return the means as fields of a `TrainProgress`."""
        names = ("loss", "lm_loss", "q_halt_loss", "q_continue_loss", "right_share", "halted_share")
        means = (round(total / self.num_samples, 5) for total in self.sums)
        right_by_size = {
            side: round(self.num_right_by_side[side] / num, 5)
            for side, num in sorted(self.num_by_side.items())
        }
        return {**dict(zip(names, means, strict=True)), "right_by_size": right_by_size}


def append_log(folder: Path, progress: TrainProgress) -> None:
    """Append a line to the folder's log."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOG_NAME).open("a", encoding="utf-8") as log:
        log.write(json.dumps(asdict(progress)) + "\n")
