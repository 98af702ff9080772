"""The training loop: from batches to a checkpoint folder, resumable from its snapshot."""

import json
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from hrm_core.checkpoint.writer import write_checkpoint
from hrm_core.device.arithmetic import choose_arithmetic
from hrm_core.device.device import (
    TRAINING_PASSES,
    compiled,
    count_cores,
    pick_threads,
    use_threads,
    wanted_threads,
)
from hrm_core.device.measured import MeasuredChoices
from hrm_core.engine.memory import guess_slice, needs_memory
from hrm_core.model.config import ModelConfig
from hrm_core.training.arrays import TrainingArrays, check_arrays, digest_arrays
from hrm_core.training.lanes import TrainLane, TrainLanes
from hrm_core.training.optimisers import AdamAtan2, MovingAverage, sign_sgd_rows_
from hrm_core.training.ranks import ONE_RANK, Ranks
from hrm_core.training.run_files import (
    Means,
    TrainProgress,
    Turn,
    append_log,
    check_snapshot,
    identify_run,
    read_snapshot,
    write_snapshot,
)
from hrm_core.training.settings import TrainSettings, check_settings, learning_rate
from hrm_core.training.start import Start, make_network
from hrm_core.training.step import supervise

Result = TypeVar("Result")


class Pretraining:
    """A training run in a folder: new, or resumed from its last snapshot."""

    def __init__(  # noqa: PLR0913 - what is trained, on what, how and where
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
        ranks: Ranks = ONE_RANK,
    ) -> None:
        """Prepare the run; `documents` are JSON files to write next to the weights.

        `arrays` hold the examples of each size: the canvas, or with crop any up to that. `left_out`
        marks those that are not trained. `precision` and `tuned_folder` as in `EngineConfig`; the
        weights are learned in float32. `num_threads` None: see `pick_threads`. A resumed run keeps
        its number, which the last bits of sums of gradients depend on. Each of several `ranks` has
        one thread.

        Shapes: left_out bool [E] for each of the arrays.

        Raises: TrainingError for a budget without an end; when the arrays do not fit the
        configuration, the ranks cannot divide a batch, or the folder holds a run with other
        settings.
        """
        check_settings(settings, ranks.size)
        check_arrays(arrays, config)
        self.folder, self.config, self.settings = folder, config, settings
        self.documents, self.device, self.ranks = documents, device, ranks
        left_out = left_out or [np.zeros(len(part.inputs), bool) for part in arrays]
        self.data_sha256 = digest_arrays(arrays, left_out)
        self.step = 0
        self.seconds = 0.0
        # A further factor on both rates, set by the caller.
        self.rate_factor = 1.0
        # JSON values that the caller wants in the snapshot.
        self.notes: dict[str, Any] = {}
        self.generator = torch.Generator().manual_seed(settings.seed)
        measured = MeasuredChoices(tuned_folder)
        self.arithmetic = ranks.decide(
            lambda: choose_arithmetic(precision, config, device, measured, trains=True)
        )
        sides = [part.canvas for part in arrays]
        self.network = make_network(
            config,
            sides,
            settings,
            device,
            self.arithmetic,
            measured,
            start,
            generator=self.generator,
            ranks=ranks,
        )
        self._run = compiled(supervise) if compile_step else supervise
        with needs_memory(device, "training: the network, its rows and a batch"):
            self._allocate(start, arrays, left_out)
            self.num_threads = wanted_threads(num_threads) or (1 if ranks.size > 1 else None)
            self._resume()
        ranks.check_same("settings, puzzles or snapshot", self._identity | {"step": self.step})
        if settings.slice_size is None:
            for lane in self.lanes:
                slice_size = guess_slice(
                    config,
                    lane.num_positions,
                    lane.num_mine,
                    device,
                    self.network.dtype,
                    num_processes=ranks.size if device.type == "cpu" else 1,
                )
                lane.slice_size = int(ranks.agree(slice_size))
        if self.num_threads is None:
            num_positions = max(lane.slice_size * lane.num_positions for lane in self.lanes)
            work = TRAINING_PASSES * num_positions * self.num_parameters
            self.num_threads = pick_threads(device, work)

    def _allocate(
        self,
        start: Start | None,
        arrays: Sequence[TrainingArrays],
        left_out: Sequence[npt.NDArray[np.bool_]],
    ) -> None:
        """Create the table, the optimiser and the carries, and move the network to the device."""
        config, settings, device = self.config, self.settings, self.device
        self.network.to(device)
        self.table = torch.zeros(config.num_rows, config.puzzle_emb_ndim, device=device)
        if start is not None:
            start.fill(self.table)
        self.optimiser = AdamAtan2(
            self.network.parameters(),
            lr=settings.lr,
            betas=(settings.beta1, settings.beta2),
            weight_decay=settings.weight_decay,
        )
        self.average = None
        if settings.ema_decay:
            self.average = MovingAverage(self.network.named_parameters(), settings.ema_decay)
        self.lanes = TrainLanes(arrays, self.network, settings, device, left_out, self.ranks)

    @property
    def num_parameters(self) -> int:
        """Number of parameters of the trunk, without the table."""
        return sum(param.numel() for param in self.network.parameters())

    @property
    def used_share(self) -> float:
        """The share of the budget that is used, 0..1."""
        return self.settings.used_share(self.step, self.seconds)

    @property
    def learned_trunk(self) -> dict[str, Tensor]:
        """The trunk that is written to the checkpoint: the average where one is kept."""
        trunk = {name: value.detach() for name, value in self.network.state_dict().items()}
        return trunk if self.average is None else trunk | self.average.shadow

    def train(
        self,
        on_progress: Callable[[TrainProgress], None],
        should_stop: Callable[[], bool] = lambda: False,
    ) -> bool:
        """Train to the end of the budget or until `should_stop`; return whether the budget is used.

        A checkpoint folder and a snapshot are written at intervals, and at the end.
        """
        saved_at = self.seconds
        if not self.ranks.agree(should_stop()):
            for turn in self.turns():
                if turn.progress is not None:
                    on_progress(turn.progress)
                if turn.is_between_steps and self.ranks.agree(should_stop()):
                    break
                if turn.is_between_steps and self.seconds - saved_at >= self.settings.snapshot_s:
                    self.save()
                    saved_at = self.seconds
        self.save()
        return self.used_share == 1.0

    def turns(self) -> Iterator[Turn[TrainProgress]]:
        """Train to the end of the budget, a slice of a batch at a time.

        Time counts only while this runs. Stop only between two steps: within one, the state must
        not be saved.
        """
        means = Means()
        seconds_before, step_before = self.seconds, self.step
        while self.used_share < 1.0:
            with needs_memory(self.device, "a training step"):
                lane, values, num_right = yield from self.timed(self._train_step())
            means.add(lane.side, lane.batch_size, values, num_right)
            progress = None
            if self.step % self.settings.log_every == 0 or self.used_share == 1.0:
                rate = (self.step - step_before) / max(self.seconds - seconds_before, 1e-9)
                progress = self._progress(means, rate)
                if self.ranks.is_first:
                    append_log(self.folder, progress)
                means = Means()
            yield Turn(is_between_steps=True, progress=progress)

    def timed(self, work: Generator[None, None, Result]) -> Generator[Turn[Any], None, Result]:
        """Do work in the run's threads, counting its time; yield a turn at each pause."""
        while True:
            started = time.monotonic()
            use_threads(self.num_threads)
            try:
                next(work)
            except StopIteration as end:
                result: Result = end.value
                break
            finally:
                self.seconds += time.monotonic() - started
            yield Turn(is_between_steps=False)
        self.seconds = self.ranks.agree(self.seconds)
        return result

    def save(self) -> None:
        """Write the current checkpoint folder, and a snapshot to resume from.

        Raises: TrainingError when the ranks do not hold the same weights.
        """
        if self.ranks.size > 1:
            self.ranks.check_same("weights", self._digest_weights())
        lanes = self.lanes.state()
        if self.ranks.is_first:
            self._write(lanes)
        self.ranks.agree(self.step)  # nobody leaves before all is written

    def _write(self, lanes: dict[str, Any]) -> None:
        trunk = self.learned_trunk
        training = asdict(self.settings)
        training |= {"num_threads": self.num_threads, "steps_done": self.step}
        write_checkpoint(
            self.folder, self.config, trunk, self.table, self.step, training, self.documents
        )
        write_snapshot(
            self.folder,
            {
                **self._identity,
                "step": self.step,
                "seconds": self.seconds,
                "num_threads": self.num_threads,
                "network": self.network.state_dict(),
                "optimiser": self.optimiser.state_dict(),
                "average": self.average.shadow if self.average is not None else {},
                "table": self.table,
                "lanes": lanes,
                "generator": self.generator.get_state(),
                "notes": json.dumps(self.notes),
            },
        )

    @property
    def _identity(self) -> dict[str, Any]:
        """What a snapshot, and every rank, must agree with."""
        settings = json.dumps(identify_run(self.config, self.settings))
        return {"settings": settings, "data": self.data_sha256}

    def _digest_weights(self) -> int:
        """Return a sum over the bits of all weights."""
        weights = [self.table, *self.network.parameters()]
        return sum(int(one.detach().view(torch.int32).sum()) for one in weights)

    def _train_step(self) -> Generator[None, None, tuple[TrainLane, list[float], int]]:
        settings, lane = self.settings, self.lanes.next()
        is_trunk_learning = self.used_share >= settings.rows_only_share
        for param in self.network.parameters():
            param.requires_grad_(is_trunk_learning)
        self.step += 1
        # The trunk warms up from its own first step, when pretrained weights are least certain.
        learned = next((int(state["step"]) for state in self.optimiser.state.values()), 0)
        for group in self.optimiser.param_groups:
            group["lr"] = self._rate(settings.lr, learned_steps=learned + 1)
        row_lr = self._rate(settings.row_lr)
        losses, row_values = yield from lane.train(
            self.network,
            self.table,
            self.generator,
            self._run,
            learns_continue=settings.learns_continue,
        )
        self.optimiser.step()
        self.optimiser.zero_grad()
        if row_values.grad is not None:
            rows, decay = lane.carry.rows, settings.row_weight_decay
            sign_sgd_rows_(self.table, rows, row_values.grad, row_lr, decay)
        if self.average is not None and is_trunk_learning:
            self.average.update(self.network.named_parameters(), self.step)
        figures = [losses.total, losses.lm, losses.q_halt, losses.q_continue]
        shares = [losses.is_right.double().mean(), lane.carry.halted.double().mean()]
        values = torch.stack([value.detach().double() for value in figures + shares]).tolist()
        return lane, values, int(losses.is_right.sum())

    def _rate(self, base: float, learned_steps: int | None = None) -> float:
        return self.rate_factor * learning_rate(
            self.step, base, self.settings, self.seconds, learned_steps=learned_steps
        )

    def _progress(self, means: Means, steps_per_s: float) -> TrainProgress:
        return TrainProgress(
            step=self.step,
            num_steps=self.settings.num_steps,
            used_share=round(self.used_share, 5),
            seconds=round(self.seconds, 1),
            steps_per_s=round(steps_per_s, 3),
            visits=round(self.lanes.visits, 2),
            lr=self.optimiser.param_groups[0]["lr"],
            **means.fields(),
        )

    def _resume(self) -> None:
        state = read_snapshot(self.folder, self.device)
        if state is None:
            return
        check_snapshot(self.folder, state, self.config, self.settings, self.data_sha256)
        self.step, self.seconds = state["step"], state["seconds"]
        if self.num_threads is None and state.get("num_threads"):
            self.num_threads = min(state["num_threads"], count_cores())
        self.network.load_state_dict(state["network"])
        self.optimiser.load_state_dict(state["optimiser"])
        if self.average is not None:
            self.average.shadow = state["average"]
        self.table = state["table"]
        self.generator.set_state(state["generator"].cpu())
        # Older snapshots contain a single lane, that of the whole canvas, at the top level.
        whole = {str(self.config.canvas): {**state, "visits": 0.0}}
        self.lanes.restore(state.get("lanes", whole))
        self.notes = json.loads(state.get("notes", "{}"))
