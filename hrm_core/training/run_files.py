"""The progress of a training run, and its files: the log of the progress, and the snapshot."""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch

from hrm_core.errors import TrainingError
from hrm_core.files import replacing
from hrm_core.model.config import ModelConfig
from hrm_core.training.settings import TrainSettings

LOG_NAME = "training_log.jsonl"
SNAPSHOT_NAME = ".training_state.pt"

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


class Phase(StrEnum):
    """The phases: only rows learn; the trunk too; all demonstrations with falling rates."""

    ROWS = "rows"
    ALL = "all"
    LAST = "last"


@dataclass(frozen=True, slots=True)
class AdaptProgress:
    """The progress of an adaptation.

    `held_out_share` and `learned_share` are from the last check, None before one; `train` holds the
    latest means, None before the first. `expected_s` is the training that the whole takes by the
    steps measured last, `remaining_s` what is left of it; None before the first step.

    Units: seconds of training.
    """

    phase: Phase
    used_share: float
    step: int
    seconds: float
    train: TrainProgress | None
    held_out_share: float | None
    learned_share: float | None
    expected_s: float | None
    remaining_s: float | None


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


def write_snapshot(folder: Path, state: dict[str, Any]) -> None:
    """Replace the folder's snapshot in one move."""
    folder.mkdir(parents=True, exist_ok=True)
    with replacing(folder / SNAPSHOT_NAME) as partial:
        torch.save(state, partial)


def read_snapshot(folder: Path, device: torch.device) -> dict[str, Any] | None:
    """Read the folder's snapshot, or None where there is none.

    Raises: TrainingError when the snapshot cannot be read.
    """
    path = folder / SNAPSHOT_NAME
    if not path.exists():
        return None
    try:
        state: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
    except Exception as error:  # torch raises many kinds for a damaged file
        raise TrainingError(f"{path} cannot be read: {error}. Delete it to start over") from error
    return state


def snapshot_step(folder: Path) -> int | None:
    """Return the step that a run in the folder continues from; None where it would start over."""
    try:
        state = torch.load(folder / SNAPSHOT_NAME, "cpu", weights_only=True, mmap=True)
        return int(state["step"])
    except Exception:  # noqa: BLE001 - torch raises many kinds for a damaged file
        return None


def identify_run(config: ModelConfig, settings: TrainSettings) -> dict[str, Any]:
    """Return what must be equal for a snapshot to belong to a run.

    Its length may change, larger puzzles may be added, and translation may be turned off: late in a
    short run, practice at the positions of inference is worth more.
    """
    free = {
        "num_steps",
        "max_seconds",
        "translate",
        "snapshot_s",
        "log_every",
        "slice_size",
        "max_crop",
    }
    fixed = {key: value for key, value in asdict(settings).items() if key not in free}
    return {"config": asdict(config), "settings": fixed}


def check_snapshot(
    folder: Path,
    state: Mapping[str, Any],
    config: ModelConfig,
    settings: TrainSettings,
    data_sha256: str,
) -> None:
    """Check that a snapshot belongs to a run with this configuration, settings and data.

    Raises: TrainingError.
    """
    stored, expected = json.loads(state["settings"]), identify_run(config, settings)
    # Settings that older snapshots do not contain cannot differ.
    differing = [
        f"{name} {stored[part][name]} (now {value})"
        for part in expected
        for name, value in expected[part].items()
        if stored[part].get(name, value) != value
    ]
    if differing:
        raise TrainingError(
            f"{folder} holds a training run with other settings: {', '.join(differing)}. "
            "Give another folder, or the settings it was started with"
        )
    if state.get("data", data_sha256) != data_sha256:
        raise TrainingError(
            f"{folder} holds a training run on other puzzles: give another folder, or the puzzles "
            "it was started with"
        )


def remove_snapshot(folder: Path) -> None:
    """Delete the folder's snapshot; the checkpoint stays."""
    (folder / SNAPSHOT_NAME).unlink(missing_ok=True)
