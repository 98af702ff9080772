"""Snapshots: the state of a training run on disk, apart from its checkpoint."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from hrm_core.errors import TrainingError
from hrm_core.files import replacing
from hrm_core.model.config import ModelConfig
from hrm_core.training.settings import TrainSettings

SNAPSHOT_NAME = ".training_state.pt"


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
