"""The training loop: batches in, a checkpoint folder out, resumable at any snapshot."""

import json
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from hrm_core.attention import load_backend
from hrm_core.build import build_network, widen_products
from hrm_core.config import ModelConfig
from hrm_core.device import lacks_half_precision
from hrm_core.errors import TrainingError
from hrm_core.initialisation import initialise
from hrm_core.training.arrays import ExampleStream, TrainingArrays
from hrm_core.training.optimisers import AdamAtan2, MovingAverage, sign_sgd_rows_
from hrm_core.training.snapshot import read_snapshot, write_snapshot
from hrm_core.training.step import TrainCarry, supervise, train_segment
from hrm_core.writer import write_checkpoint

LOG_NAME = "training_log.jsonl"


@dataclass(frozen=True, slots=True)
class TrainSettings:
    """How to train. Rates are per step; both warm up linearly and end at `lr_min_ratio` of theirs.

    `ema_decay` 0 keeps no average. `snapshot_s` are the seconds between snapshots, `log_every` the
    steps between log lines.

    Source: arXiv 2506.21734, Methods; arXiv 2510.04871 section 4 (average).
    """

    num_steps: int
    batch_size: int = 768
    lr: float = 1e-4
    row_lr: float = 1e-2
    lr_min_ratio: float = 1.0
    warmup_steps: int = 2000
    weight_decay: float = 0.1
    row_weight_decay: float = 0.1
    beta1: float = 0.9
    beta2: float = 0.95
    ema_decay: float = 0.0
    translate: bool = True
    seed: int = 0
    snapshot_s: float = 300.0
    log_every: int = 50


@dataclass(frozen=True, slots=True)
class TrainProgress:
    """Means since the last report: losses per sample, share of samples wholly right."""

    step: int
    num_steps: int
    seconds: float
    steps_per_s: float
    loss: float
    lm_loss: float
    q_halt_loss: float
    q_continue_loss: float
    right_share: float
    halted_share: float
    lr: float


@dataclass(slots=True)
class _Means:
    num: int = 0
    sums: list[float] = field(default_factory=lambda: [0.0] * 6)

    def add(self, values: list[float]) -> None:
        self.num += 1
        self.sums = [total + value for total, value in zip(self.sums, values, strict=True)]

    def take(self) -> list[float]:
        means = [total / max(self.num, 1) for total in self.sums]
        self.num, self.sums = 0, [0.0] * len(self.sums)
        return means


def learning_rate(step: int, base: float, settings: TrainSettings) -> float:
    """Rate of one step, counted from 1: linear warm-up, then half a cosine down."""
    if step < settings.warmup_steps:
        return base * step / settings.warmup_steps
    span = max(1, settings.num_steps - settings.warmup_steps)
    cosine = 0.5 * (1 + math.cos(math.pi * (step - settings.warmup_steps) / span))
    return base * (settings.lr_min_ratio + (1 - settings.lr_min_ratio) * cosine)


class Pretraining:
    """A training run in a folder: made new, or picked up from its last snapshot."""

    def __init__(
        self,
        folder: Path,
        config: ModelConfig,
        arrays: TrainingArrays,
        settings: TrainSettings,
        documents: Mapping[str, object],
        *,
        device: torch.device,
        compile_step: bool,
    ) -> None:
        """Prepare the run; `documents` are JSON files that belong beside the weights.

        Raises: TrainingError when the arrays do not fit the configuration, or the folder holds a
        run with other settings.
        """
        if arrays.canvas != config.canvas:
            raise TrainingError(f"arrays of canvas {arrays.canvas}, model of {config.canvas}")
        if arrays.rows.min() < 0 or arrays.rows.max() >= config.num_rows:
            raise TrainingError(f"row {arrays.rows.max()} is outside a table of {config.num_rows}")
        if max(arrays.inputs.max(), arrays.labels.max()) >= config.vocab_size:
            raise TrainingError(f"tokens outside a vocabulary of {config.vocab_size}")
        self.folder, self.config, self.settings = folder, config, settings
        self.documents, self.device = documents, device
        self.data_sha256 = arrays.digest()
        self.step = 0
        self.seconds = 0.0
        self.stream = ExampleStream(arrays, settings.seed, settings.translate)
        self.generator = torch.Generator().manual_seed(settings.seed)
        short = device.type == "cpu" and config.num_positions <= 256
        attend = load_backend("matmul" if short else "sdpa")
        self.network = build_network(config, attend, getattr(torch, config.forward_dtype))
        initialise(self.network, self.generator)
        if self.network.dtype != torch.float32 and lacks_half_precision(device):
            widen_products(self.network)
        self.network.to(device)
        self.table = torch.zeros(config.num_rows, config.puzzle_emb_ndim, device=device)
        self.optimiser = AdamAtan2(
            self.network.parameters(),
            lr=settings.lr,
            betas=(settings.beta1, settings.beta2),
            weight_decay=settings.weight_decay,
        )
        self.average = (
            MovingAverage(self.network.named_parameters(), settings.ema_decay)
            if settings.ema_decay
            else None
        )
        self.carry = TrainCarry.empty(self.network, settings.batch_size, device)
        self._run = torch.compile(supervise, dynamic=False) if compile_step else supervise
        self._resume()

    @property
    def num_parameters(self) -> int:
        """Parameters of the trunk, the table not counted."""
        return sum(param.numel() for param in self.network.parameters())

    def train(
        self,
        on_progress: Callable[[TrainProgress], None],
        should_stop: Callable[[], bool] = lambda: False,
    ) -> bool:
        """Train to the last step, or until told to stop; True when the last step is done.

        A checkpoint folder and a snapshot are written from time to time, and at the end.
        """
        means = _Means()
        started = last_snapshot = time.monotonic()
        seconds_before, step_before = self.seconds, self.step
        while self.step < self.settings.num_steps and not should_stop():
            means.add(self._train_step())
            now = time.monotonic()
            self.seconds = seconds_before + now - started
            if self.step % self.settings.log_every == 0 or self.step == self.settings.num_steps:
                loss, lm, q_halt, q_continue, right, halted = means.take()
                progress = TrainProgress(
                    step=self.step,
                    num_steps=self.settings.num_steps,
                    seconds=round(self.seconds, 1),
                    steps_per_s=round((self.step - step_before) / (now - started), 3),
                    loss=round(loss, 5),
                    lm_loss=round(lm, 5),
                    q_halt_loss=round(q_halt, 5),
                    q_continue_loss=round(q_continue, 5),
                    right_share=round(right, 5),
                    halted_share=round(halted, 5),
                    lr=learning_rate(self.step, self.settings.lr, self.settings),
                )
                self._log(progress)
                on_progress(progress)
            if now - last_snapshot >= self.settings.snapshot_s:
                self.save()
                last_snapshot = time.monotonic()
        self.save()
        return self.step >= self.settings.num_steps

    def save(self) -> None:
        """Write the checkpoint folder as it stands and a snapshot to go on from."""
        trunk = {name: value.detach() for name, value in self.network.state_dict().items()}
        if self.average is not None:
            trunk |= self.average.shadow
        training = asdict(self.settings) | {"steps_done": self.step}
        write_checkpoint(
            self.folder, self.config, trunk, self.table, self.step, training, self.documents
        )
        carry = {name: getattr(self.carry, name) for name in TrainCarry.__slots__}
        write_snapshot(
            self.folder,
            {
                "settings": json.dumps(self._identity()),
                "data": self.data_sha256,
                "step": self.step,
                "seconds": self.seconds,
                "network": self.network.state_dict(),
                "optimiser": self.optimiser.state_dict(),
                "average": self.average.shadow if self.average is not None else {},
                "table": self.table,
                "carry": carry,
                "generator": self.generator.get_state(),
                "stream": json.dumps(self.stream.state()),
            },
        )

    def _train_step(self) -> list[float]:
        self.step += 1
        settings, carry = self.settings, self.carry
        for group in self.optimiser.param_groups:
            group["lr"] = learning_rate(self.step, settings.lr, settings)
        num_free = int(carry.halted.sum())
        inputs, labels, rows = self.stream.take(num_free)
        carry.seat(torch.from_numpy(inputs), torch.from_numpy(labels), torch.from_numpy(rows))
        row_values = self.table[carry.rows].requires_grad_()
        losses = train_segment(self.network, carry, row_values, self.generator, self._run)
        self.optimiser.step()
        self.optimiser.zero_grad()
        if row_values.grad is not None:
            row_lr = learning_rate(self.step, settings.row_lr, settings)
            sign_sgd_rows_(
                self.table, carry.rows, row_values.grad, row_lr, settings.row_weight_decay
            )
        if self.average is not None:
            self.average.update(self.network.named_parameters())
        figures = [losses.total, losses.lm, losses.q_halt, losses.q_continue]
        shares = [losses.is_right.double().mean(), carry.halted.double().mean()]
        return torch.stack([value.detach().double() for value in figures + shares]).tolist()

    def _identity(self) -> dict[str, Any]:
        """What must be equal for a snapshot to be this run's.

        Its length may change, and translation be turned off: late in a short run, practice where
        inference lays its grids is worth more.
        """
        free = {"num_steps", "translate", "snapshot_s", "log_every"}
        settings = {k: v for k, v in asdict(self.settings).items() if k not in free}
        return {"config": asdict(self.config), "settings": settings}

    def _resume(self) -> None:
        state = read_snapshot(self.folder, self.device)
        if state is None:
            return
        if json.loads(state["settings"]) != self._identity():
            raise TrainingError(
                f"{self.folder} holds a training run with other settings: give another folder, or "
                "the settings it was started with"
            )
        if state.get("data", self.data_sha256) != self.data_sha256:
            raise TrainingError(
                f"{self.folder} holds a training run on other puzzles: give another folder, or the "
                "puzzles it was started with"
            )
        self.step, self.seconds = state["step"], state["seconds"]
        self.network.load_state_dict(state["network"])
        self.optimiser.load_state_dict(state["optimiser"])
        if self.average is not None:
            self.average.shadow = state["average"]
        self.table = state["table"]
        self.carry = TrainCarry(**state["carry"])
        self.generator.set_state(state["generator"].cpu())
        self.stream.restore(json.loads(state["stream"]))

    def _log(self, progress: TrainProgress) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / LOG_NAME).open("a", encoding="utf-8") as log:
            log.write(json.dumps(asdict(progress)) + "\n")
