"""Adaptation (test-time training): rows for new puzzles, and a trunk trained on them.

New rows start at the mean of the pretrained table. At first only the rows learn, then everything;
last, with falling rates, the held-out demonstrations are included. The base is never written to.

Source: arXiv 2511.02886 (rows at the mean, only rows at first, average).
"""

import copy
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from hrm_core.model.network import Network
from hrm_core.training.arrays import TrainingArrays
from hrm_core.training.pretrain import Pretraining
from hrm_core.training.run_files import TrainProgress, Turn, remove_snapshot

# The held-out share is checked so many times during a budget, and has stopped rising when so many
# checks brought no better one.
NUM_CHECKS = 16
PATIENCE = 6
# The last part of a budget, with falling rates and all demonstrations.
LAST_SHARE = 0.3
LAST_RATE = 0.1
# Snapshots may take a twentieth of the time to write.
SNAPSHOT_COST = 20.0
# Samples of a check at once, in number like a slice of training.
CHUNK_SIZE = 64

_CHECKS = "held_out_checks"
_NUM_CHECKED = "held_out_looks"
_LAST_FROM = "last_from"


class Phase(StrEnum):
    """The phases: only rows learn; the trunk too; all demonstrations with falling rates."""

    ROWS = "rows"
    ALL = "all"
    LAST = "last"


@dataclass(frozen=True, slots=True)
class AdaptProgress:
    """The progress of an adaptation.

    `held_out_share` is from the last check, None before one; `train` holds the latest means, None
    before the first.
    """

    phase: Phase
    used_share: float
    step: int
    seconds: float
    train: TrainProgress | None
    held_out_share: float | None


AdaptTurn = Turn[AdaptProgress]
CheckedExamples = tuple[TrainingArrays, npt.NDArray[np.int64]]


class Adaptation:
    """An adaptation in the folder of a training run, which may be a resumed one."""

    def __init__(
        self,
        run: Pretraining,
        *,
        record_name: str,
        made_from: Mapping[str, object],
        checked: Sequence[CheckedExamples] = (),
    ) -> None:
        """Prepare the adaptation; the run's `left_out` are the held-out demonstrations.

        `checked` lists those of them that are checked, for the arrays of each size. `made_from`
        goes into the folder's file `record_name`, together with the adaptation's results.
        """
        self.run = run
        self._documents = run.documents
        self._record_name, self._made_from = record_name, made_from
        self._checked = [(arrays, indices) for arrays, indices in checked if len(indices)]
        self._latest: TrainProgress | None = None
        self._saved_at = run.seconds
        self._save_cost_s = 0.0
        self.num_saves = 0

    @property
    def checks(self) -> tuple[tuple[int, float], ...]:
        """The held-out share at each step that it was checked at."""
        return tuple((int(step), float(share)) for step, share in self.run.notes.get(_CHECKS, ()))

    @property
    def held_out_share(self) -> float | None:
        """The last share before the held-out demonstrations were included; None without any."""
        checks = self.checks
        return checks[-1][1] if checks else None

    @property
    def phase(self) -> Phase:
        """The current phase."""
        if _LAST_FROM in self.run.notes:
            return Phase.LAST
        is_early = self.run.used_share < self.run.settings.rows_only_share
        return Phase.ROWS if is_early else Phase.ALL

    @property
    def stopped_early(self) -> bool:
        """Whether the held-out share stopped rising before the budget made the last phase due."""
        return float(self.run.notes.get(_LAST_FROM, 1.0)) < 1.0 - LAST_SHARE - 1e-6

    @property
    def is_complete(self) -> bool:
        """Whether the adaptation is complete."""
        return self.run.used_share >= self._ends_at

    @property
    def used_share(self) -> float:
        """The share of the budget to be used that is used, 0..1."""
        return min(1.0, self.run.used_share / self._ends_at)

    def turns(self) -> Iterator[AdaptTurn]:
        """Adapt to the end, a slice of a batch at a time, writing snapshots at intervals.

        Time counts only while this runs. Stop only between two steps; `save` then loses nothing.
        """
        if not self.is_complete:
            self._enter_last_when_due()
            for turn in self.run.turns():
                if turn.progress is not None:
                    self._latest = turn.progress
                if turn.is_between_steps:
                    yield from self._check_when_due()
                    self._enter_last_when_due()
                    self._save_when_due()
                yield AdaptTurn(turn.is_between_steps, self.progress)
                if turn.is_between_steps and self.is_complete:
                    break
        self.save()
        remove_snapshot(self.run.folder)

    def adapt(
        self,
        on_progress: Callable[[AdaptProgress], None],
        should_stop: Callable[[], bool] = lambda: False,
    ) -> bool:
        """Adapt to the end or until `should_stop`; return whether the end was reached."""
        for turn in self.turns():
            if turn.progress is not None:
                on_progress(turn.progress)
            if turn.is_between_steps and should_stop() and not self.is_complete:
                self.save()
                return False
        return True

    @property
    def progress(self) -> AdaptProgress:
        """The progress of the adaptation."""
        return AdaptProgress(
            phase=self.phase,
            used_share=round(self.used_share, 5),
            step=self.run.step,
            seconds=round(self.run.seconds, 1),
            train=self._latest,
            held_out_share=self.held_out_share,
        )

    def save(self) -> None:
        """Write the current checkpoint folder, and a snapshot to resume from."""
        self.run.documents = {**self._documents, self._record_name: self.record}
        started = time.monotonic()
        self.run.save()
        self._save_cost_s = time.monotonic() - started
        self._saved_at = self.run.seconds
        self.num_saves += 1

    def _save_when_due(self) -> None:
        due_s = max(self.run.settings.snapshot_s, SNAPSHOT_COST * self._save_cost_s)
        if not self.is_complete and self.run.seconds - self._saved_at >= due_s:
            self.save()

    @property
    def record(self) -> dict[str, Any]:
        """The origin and the progress of the adaptation, as JSON values."""
        return {
            **self._made_from,
            "precision": self.run.arithmetic.precision,
            "threads": self.run.num_threads,
            "steps": self.run.step,
            "seconds": round(self.run.seconds, 3),
            "held_out_share": self.held_out_share,
            "held_out_checks": [list(check) for check in self.checks],
            "stopped_early": self.stopped_early,
            "complete": self.is_complete,
        }

    @property
    def _ends_at(self) -> float:
        last_from = self.run.notes.get(_LAST_FROM)
        if last_from is None:
            return 1.0
        return min(1.0, float(last_from) / (1.0 - LAST_SHARE))

    def _enter_last_when_due(self) -> None:
        run = self.run
        if _LAST_FROM not in run.notes:
            if run.used_share < 1.0 - LAST_SHARE and not self._has_stopped_rising:
                return
            run.notes[_LAST_FROM] = run.used_share
        run.lanes.include_left_out()
        last_from = float(run.notes[_LAST_FROM])
        done = (run.used_share - last_from) / max(self._ends_at - last_from, 1e-9)
        # Below 0 where the budget was extended after the last phase had begun.
        run.rate_factor = 1.0 - (1.0 - LAST_RATE) * min(1.0, max(0.0, done))

    @property
    def _has_stopped_rising(self) -> bool:
        shares = [share for _, share in self.checks]
        if len(shares) <= PATIENCE or max(shares) == 0.0:
            return False
        return max(shares[-PATIENCE:]) <= max(shares[:-PATIENCE])

    def _check_when_due(self) -> Generator[AdaptTurn, None, None]:
        run = self.run
        if not self._checked or _LAST_FROM in run.notes:
            return
        num_due = int(run.used_share * NUM_CHECKS)
        if self.phase is Phase.ROWS and run.settings.rows_only_share < 1.0:
            return  # too early
        if num_due <= run.notes.get(_NUM_CHECKED, 0):
            return
        run.notes[_NUM_CHECKED] = num_due
        # Stopping within a check would lose it, so its turns are not between two steps.
        share = yield from run.timed(self._check())
        run.notes.setdefault(_CHECKS, []).append((run.step, round(share, 5)))

    def _check(self) -> Generator[None, None, float]:
        run = self.run
        network = copy.deepcopy(run.network)
        network.load_state_dict(run.learned_trunk)
        network.eval().requires_grad_(False)
        return exact_share_in_segments(network, run.table, self._checked)


def exact_share_in_segments(
    network: Network, table: Tensor, examples: Sequence[CheckedExamples]
) -> Generator[None, None, float]:
    """Return the share of examples with every cell right after all segments; yield after each.

    `examples` lists their indices for the arrays of each size.

    Shapes: table float32 [num_rows, puzzle_emb_ndim]; examples int64 [N], at least one.
    """
    num_right = 0
    for arrays, indices in examples:
        row_of_example = np.repeat(arrays.rows, np.diff(arrays.variant_starts))
        for start in range(0, len(indices), CHUNK_SIZE):
            part = indices[start : start + CHUNK_SIZE]
            inputs, labels, rows = (
                torch.from_numpy(array[part].astype(np.int64)).to(table.device)
                for array in (arrays.inputs, arrays.labels, row_of_example)
            )
            z_H, z_L = network.fresh_state(len(part), inputs.shape[1])
            for _ in range(network.config.halt_max_steps):
                with torch.inference_mode():
                    z_H, z_L = network.segment(z_H, z_L, network.embed(inputs, table[rows]))
                yield
            with torch.inference_mode():
                is_wrong = (network.read_logits(z_H).argmax(-1) != labels) & (labels != 0)
                num_right += int((~is_wrong.any(-1)).sum())
    return num_right / sum(len(indices) for _, indices in examples)
