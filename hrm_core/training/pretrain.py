"""The training loop: batches in, a checkpoint folder out, resumable at any snapshot."""

import json
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from hrm_core.checkpoint.writer import write_checkpoint
from hrm_core.device.arithmetic import choose_arithmetic
from hrm_core.device.device import compiled
from hrm_core.device.measured import MeasuredChoices
from hrm_core.device.threads import (
    TRAINING_PASSES,
    count_cores,
    pick_threads,
    use_threads,
    wanted_threads,
)
from hrm_core.engine.memory import (
    guess_slice,
    is_out_of_memory,
    largest_divisor,
    may_keep_scores,
    needs_memory,
    release_memory,
)
from hrm_core.errors import DeviceMemoryError, TrainingError
from hrm_core.model.attention import by_length, choose, load_backend
from hrm_core.model.build import build_network, use_onednn, widen_products
from hrm_core.model.config import ModelConfig
from hrm_core.model.initialisation import initialise
from hrm_core.model.layers import Attend
from hrm_core.training.arrays import TrainingArrays, check_arrays, digest_arrays
from hrm_core.training.lanes import TrainLane, TrainLanes, batch_size_of
from hrm_core.training.optimisers import AdamAtan2, MovingAverage, sign_sgd_rows_
from hrm_core.training.settings import (
    TrainProgress,
    TrainSettings,
    check_settings,
    learning_rate,
)
from hrm_core.training.snapshot import read_snapshot, write_snapshot
from hrm_core.training.step import supervise, train_segment_in_slices

LOG_NAME = "training_log.jsonl"


@dataclass(slots=True)
class _Means:
    """Means over the samples of steps, and the share of right ones by size."""

    num: int = 0
    sums: list[float] = field(default_factory=lambda: [0.0] * 6)
    num_by_size: Counter[int] = field(default_factory=Counter)
    right_by_size: Counter[int] = field(default_factory=Counter)

    def add(self, lane: TrainLane, values: list[float], num_right: int) -> None:
        num = lane.batch_size
        self.num += num
        self.sums = [total + num * value for total, value in zip(self.sums, values, strict=True)]
        self.num_by_size[lane.side] += num
        self.right_by_size[lane.side] += num_right


@dataclass(frozen=True, slots=True)
class Start:
    """Where a run starts from instead of random weights: a trunk, and one value for every row.

    Shapes: row float32 [puzzle_emb_ndim].
    """

    trunk: Mapping[str, Tensor]
    row: Tensor


@dataclass(frozen=True, slots=True)
class Turn:
    """A piece of training is done; between two steps it may be saved, and left."""

    is_between_steps: bool
    progress: TrainProgress | None = None


class Pretraining:
    """A training run in a folder: made new, or picked up from its last snapshot."""

    def __init__(
        self,
        folder: Path,
        config: ModelConfig,
        arrays: Sequence[TrainingArrays],
        settings: TrainSettings,
        documents: Mapping[str, object],
        *,
        device: torch.device,
        compile_step: bool,
        num_threads: int | None = None,
        start: Start | None = None,
        left_out: Sequence[npt.NDArray[np.bool_]] | None = None,
        precision: str | None = None,
        tuned_folder: Path | None = None,
    ) -> None:
        """Prepare the run; `documents` are JSON files that belong beside the weights.

        `arrays` hold the examples of each size: of the canvas, or with crop of any up to that.
        `left_out` marks those of each that never come. `precision` and `tuned_folder` as an
        engine's; the weights are learned in float32. `num_threads` None: as `pick_threads` does. A
        run that goes on keeps its number, which sums of gradients depend on in their last bits.

        Shapes: left_out bool [E] for each of the arrays.

        Raises: TrainingError for a budget without an end; when the arrays do not fit the
        configuration, or the folder holds a run with other settings.
        """
        check_settings(settings)
        check_arrays(arrays, config)
        self.folder, self.config, self.settings = folder, config, settings
        self.documents, self.device = documents, device
        left_out = left_out or [np.zeros(len(part.inputs), bool) for part in arrays]
        self.data_sha256 = digest_arrays(arrays, left_out)
        self.step = 0
        self.seconds = 0.0
        # A further factor on both rates, for whoever drives the run.
        self.rate_factor = 1.0
        # What whoever drives the run wants kept with it; JSON values.
        self.notes: dict[str, Any] = {}
        self.generator = torch.Generator().manual_seed(settings.seed)
        measured = MeasuredChoices(tuned_folder)
        self.arithmetic = choose_arithmetic(precision, config, device, measured, trains=True)
        attend = by_length(
            {
                length: self._choose_attention(length, measured)
                for length in (config.puzzle_emb_len + part.canvas**2 for part in arrays)
            }
        )
        self.network = build_network(config, attend, getattr(torch, config.forward_dtype))
        self.network.dtype = self.arithmetic.dtype
        initialise(self.network, self.generator)
        if start is not None:
            self.network.load_state_dict(dict(start.trunk), strict=True)
        if self.arithmetic.is_wide:
            widen_products(self.network)
        if self.arithmetic.is_onednn:
            use_onednn(self.network, packs=False)
        self._run = compiled(supervise) if compile_step else supervise
        with needs_memory(device, "training: the network, its rows and a batch"):
            self._place(start, arrays, left_out)
            self.num_threads = wanted_threads(num_threads)
            self._resume()
        if settings.slice_size is None:
            for lane in self.lanes:
                lane.slice_size = guess_slice(
                    config, lane.batch_size, device, self.network.dtype, lane.num_positions
                )
        if self.num_threads is None:
            most = max(lane.slice_size * lane.num_positions for lane in self.lanes)
            work = most * self.num_parameters
            self.num_threads = pick_threads(device, TRAINING_PASSES * work)

    def _place(
        self,
        start: Start | None,
        arrays: Sequence[TrainingArrays],
        left_out: Sequence[npt.NDArray[np.bool_]],
    ) -> None:
        """Put network, table, optimiser and carries on the device."""
        config, settings, device = self.config, self.settings, self.device
        self.network.to(device)
        self.table = torch.zeros(config.num_rows, config.puzzle_emb_ndim, device=device)
        if start is not None:
            self.table[1:] = start.row.to(self.table)
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
        self.lanes = TrainLanes(arrays, self.network, settings, device, left_out)

    def _choose_attention(self, length: int, measured: MeasuredChoices) -> Attend:
        config, dtype = self.config, self.arithmetic.attention_dtype
        if not may_keep_scores(length, self.device, dtype):
            return load_backend("sdpa")
        batch = self.settings.slice_size or batch_size_of(length, config, self.settings)
        shape = (batch, length, config.num_heads, config.head_dim)
        return choose("auto", shape, self.device, dtype, trains=True, measured=measured).attend

    @property
    def num_parameters(self) -> int:
        """Parameters of the trunk, the table not counted."""
        return sum(param.numel() for param in self.network.parameters())

    @property
    def used_share(self) -> float:
        """How much of the budget is used, 0..1."""
        return self.settings.used_share(self.step, self.seconds)

    @property
    def learned_trunk(self) -> dict[str, Tensor]:
        """The trunk as it is handed out: the average where one is kept."""
        trunk = {name: value.detach() for name, value in self.network.state_dict().items()}
        return trunk if self.average is None else trunk | self.average.shadow

    def train(
        self,
        on_progress: Callable[[TrainProgress], None],
        should_stop: Callable[[], bool] = lambda: False,
    ) -> bool:
        """Train to the end of the budget, or until told to stop; True when the budget is used.

        A checkpoint folder and a snapshot are written from time to time, and at the end.
        """
        saved_at = self.seconds
        if not should_stop():
            for turn in self.turns():
                if turn.progress is not None:
                    on_progress(turn.progress)
                if turn.is_between_steps and should_stop():
                    break
                if turn.is_between_steps and self.seconds - saved_at >= self.settings.snapshot_s:
                    self.save()
                    saved_at = self.seconds
        self.save()
        return self.used_share == 1.0

    def turns(self) -> Iterator[Turn]:
        """Train to the end of the budget, a slice of a batch at a time.

        Time counts only while this runs. To stop, leave between two steps: in the midst of one the
        state is not to be saved.
        """
        means = _Means()
        seconds_before, step_before = self.seconds, self.step
        while self.used_share < 1.0:
            step = self._step_in_slices()
            while True:
                started = time.monotonic()
                use_threads(self.num_threads)
                try:
                    next(step)
                except StopIteration as end:
                    self.seconds += time.monotonic() - started
                    means.add(*end.value)
                    break
                except RuntimeError as error:
                    if is_out_of_memory(error):
                        raise self._no_memory() from error
                    raise
                self.seconds += time.monotonic() - started
                yield Turn(is_between_steps=False)
            progress = None
            if self.step % self.settings.log_every == 0 or self.used_share == 1.0:
                rate = (self.step - step_before) / max(self.seconds - seconds_before, 1e-9)
                progress = self._progress(means, rate)
                self._log(progress)
                means = _Means()
            yield Turn(is_between_steps=True, progress=progress)

    def save(self) -> None:
        """Write the checkpoint folder as it stands and a snapshot to go on from."""
        trunk = self.learned_trunk
        training = asdict(self.settings)
        training |= {"num_threads": self.num_threads, "steps_done": self.step}
        write_checkpoint(
            self.folder, self.config, trunk, self.table, self.step, training, self.documents
        )
        write_snapshot(
            self.folder,
            {
                "settings": json.dumps(self._identity()),
                "data": self.data_sha256,
                "step": self.step,
                "seconds": self.seconds,
                "num_threads": self.num_threads,
                "network": self.network.state_dict(),
                "optimiser": self.optimiser.state_dict(),
                "average": self.average.shadow if self.average is not None else {},
                "table": self.table,
                "lanes": self.lanes.state(),
                "generator": self.generator.get_state(),
                "notes": json.dumps(self.notes),
            },
        )

    def _step_in_slices(self) -> Generator[None, None, tuple[TrainLane, list[float], int]]:
        settings, lane = self.settings, self.lanes.next()
        carry = lane.carry
        is_trunk_learning = self.used_share >= settings.rows_only_share
        for param in self.network.parameters():
            param.requires_grad_(is_trunk_learning)
        self.step += 1
        for group in self.optimiser.param_groups:
            group["lr"] = self._trunk_rate
        num_free = int(carry.halted.sum())
        inputs, labels, rows = lane.stream.take(num_free)
        carry.seat(torch.from_numpy(inputs), torch.from_numpy(labels), torch.from_numpy(rows))
        row_values = self.table[carry.rows].requires_grad_()
        while True:
            try:
                losses = yield from train_segment_in_slices(
                    self.network,
                    carry,
                    row_values,
                    self.generator,
                    self._run,
                    learns_continue=settings.learns_continue,
                    slice_size=lane.slice_size,
                )
                break
            except RuntimeError as error:
                if not is_out_of_memory(error) or lane.slice_size == 1:
                    raise
            # The carry is moved on at the step's very end, so the step can begin again.
            self.optimiser.zero_grad()
            row_values.grad = None
            lane.slice_size = largest_divisor(lane.batch_size, lane.slice_size // 2)
            release_memory(self.device)
        lane.count_step()
        self.optimiser.step()
        self.optimiser.zero_grad()
        if row_values.grad is not None:
            sign_sgd_rows_(
                self.table,
                carry.rows,
                row_values.grad,
                self._rate(settings.row_lr),
                settings.row_weight_decay,
            )
        if self.average is not None and is_trunk_learning:
            self.average.update(self.network.named_parameters(), self.step)
        figures = [losses.total, losses.lm, losses.q_halt, losses.q_continue]
        shares = [losses.is_right.double().mean(), carry.halted.double().mean()]
        values = torch.stack([value.detach().double() for value in figures + shares]).tolist()
        return lane, values, int(losses.is_right.sum())

    def _no_memory(self) -> DeviceMemoryError:
        num = self.lanes.next().slice_size
        return DeviceMemoryError(
            f"{self.device}'s memory does not hold the training of {num} samples at once: free "
            "some, or use --device cpu"
        )

    @property
    def _trunk_rate(self) -> float:
        # Warms up from its own first step: what pretrained weights first do is the least certain.
        done = next((int(state["step"]) for state in self.optimiser.state.values()), 0)
        return self._rate(self.settings.lr, learned_steps=done + 1)

    def _rate(self, base: float, learned_steps: int | None = None) -> float:
        rate = learning_rate(
            self.step, base, self.settings, self.seconds, learned_steps=learned_steps
        )
        return self.rate_factor * rate

    def _progress(self, means: _Means, steps_per_s: float) -> TrainProgress:
        loss, lm, q_halt, q_continue, right, halted = (total / means.num for total in means.sums)
        return TrainProgress(
            step=self.step,
            num_steps=self.settings.num_steps,
            used_share=round(self.used_share, 5),
            seconds=round(self.seconds, 1),
            steps_per_s=round(steps_per_s, 3),
            loss=round(loss, 5),
            lm_loss=round(lm, 5),
            q_halt_loss=round(q_halt, 5),
            q_continue_loss=round(q_continue, 5),
            right_share=round(right, 5),
            right_by_size={
                side: round(means.right_by_size[side] / num, 5)
                for side, num in sorted(means.num_by_size.items())
            },
            visits=round(self.lanes.visits, 2),
            halted_share=round(halted, 5),
            lr=self.optimiser.param_groups[0]["lr"],
        )

    def _identity(self) -> dict[str, Any]:
        """What must be equal for a snapshot to be this run's.

        Its length may change, larger puzzles come in, and translation be turned off: late in a
        short run, practice where inference lays its grids is worth more.
        """
        free = {"num_steps", "max_seconds", "translate", "snapshot_s", "log_every", "slice_size"}
        free |= {"max_crop"}
        settings = {k: v for k, v in asdict(self.settings).items() if k not in free}
        return {"config": asdict(self.config), "settings": settings}

    def _resume(self) -> None:
        state = read_snapshot(self.folder, self.device)
        if state is None:
            return
        stored, own = json.loads(state["settings"]), self._identity()
        # What older snapshots do not hold yet cannot differ.
        differing = [
            f"{name} {stored[part][name]} (now {value})"
            for part in own
            for name, value in own[part].items()
            if stored[part].get(name, value) != value
        ]
        if differing:
            raise TrainingError(
                f"{self.folder} holds a training run with other settings: {', '.join(differing)}. "
                "Give another folder, or the settings it was started with"
            )
        if state.get("data", self.data_sha256) != self.data_sha256:
            raise TrainingError(
                f"{self.folder} holds a training run on other puzzles: give another folder, or the "
                "puzzles it was started with"
            )
        self.step, self.seconds = state["step"], state["seconds"]
        if self.num_threads is None and state.get("num_threads"):
            self.num_threads = min(state["num_threads"], count_cores())
        self.network.load_state_dict(state["network"])
        self.optimiser.load_state_dict(state["optimiser"])
        if self.average is not None:
            self.average.shadow = state["average"]
        self.table = state["table"]
        self.generator.set_state(state["generator"].cpu())
        # Older snapshots hold one lane, that of the whole canvas, among all else.
        whole = {str(self.config.canvas): {**state, "visits": 0.0}}
        self.lanes.restore(state.get("lanes", whole))
        self.notes = json.loads(state.get("notes", "{}"))

    def _log(self, progress: TrainProgress) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / LOG_NAME).open("a", encoding="utf-8") as log:
            log.write(json.dumps(asdict(progress)) + "\n")
