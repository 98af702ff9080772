"""The plan of a tuning, passed from the command to its stages as JSON."""

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

import torch

from bench.model import full_size_config, synthetic_checkpoint
from hrm_core import (
    Checkpoint,
    Engine,
    EngineConfig,
    can_compile,
    open_checkpoint,
    pick_device,
)
from hrm_core.device.arithmetic import choose_arithmetic
from hrm_core.device.measured import MeasuredChoices, Tuned, tuned_path, write_tuned


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
    is_captured: bool = False
    kernels: tuple[str, ...] = ()

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Read what `text` returned."""
        values = json.loads(text)
        return cls(**values | {"kernels": tuple(values["kernels"])})

    def text(self) -> str:
        """Return the plan as one command-line argument."""
        return json.dumps(asdict(self))

    def open(self) -> Checkpoint:
        """Open the checkpoint, or make a synthetic one."""
        if self.checkpoint is not None:
            return open_checkpoint(Path(self.checkpoint))
        return synthetic_checkpoint(full_size_config(num_rows=8), seed=0)

    @contextmanager
    def engine(self, checkpoint: Checkpoint, num_slots: int) -> Iterator[Engine]:
        """Yield an engine with the choices of the stages so far."""
        device, precision = self.where(), self.precision_of(checkpoint)
        chosen = Tuned(precision, num_slots, "bench tune", self.is_captured, self.kernels)
        with tempfile.TemporaryDirectory() as folder:
            write_tuned(tuned_path(Path(folder), device, checkpoint.config), chosen, {})
            yield Engine(
                checkpoint,
                EngineConfig(
                    device,
                    num_slots=num_slots,
                    precision=precision,
                    attention=self.attention,
                    compile=device.type == "cuda" and can_compile(device),
                    tuned_folder=Path(folder),
                ),
            )

    def where(self) -> torch.device:
        """Return the device."""
        return pick_device(self.device)

    def precision_of(self, checkpoint: Checkpoint) -> str:
        """Return the precision that an engine would use."""
        measured = MeasuredChoices(None)
        asked = self.precision or "auto"
        return choose_arithmetic(asked, checkpoint.config, self.where(), measured).precision
