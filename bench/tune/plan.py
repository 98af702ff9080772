"""What a sitting is to measure, handed from the command to its stages as JSON."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

import torch

from bench.model import full_size_config
from hrm_core import Checkpoint, open_checkpoint, pick_device, synthetic_checkpoint
from hrm_core.device import default_precision


@dataclass(frozen=True, slots=True)
class Plan:
    """The device and the network; `checkpoint` None is the published network with random weights.

    `precision` None: the checkpoint's own. `attention` and `slots` are what earlier stages chose.
    """

    device: str
    checkpoint: str | None = None
    reference: str | None = None
    precision: str | None = None
    attention: str = "auto"
    slots: int | None = None

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Read what `text` has written."""
        return cls(**json.loads(text))

    def text(self) -> str:
        """Write the plan as one argument."""
        return json.dumps(asdict(self))

    def open(self) -> Checkpoint:
        """Open the checkpoint, or make the synthetic one."""
        if self.checkpoint is not None:
            return open_checkpoint(Path(self.checkpoint))
        return synthetic_checkpoint(full_size_config(num_rows=8), seed=0)

    def where(self) -> torch.device:
        """Return the device."""
        return pick_device(self.device)

    def precision_of(self, checkpoint: Checkpoint) -> str:
        """Return the precision that an engine would take."""
        return self.precision or default_precision(checkpoint.config.forward_dtype, self.where())
