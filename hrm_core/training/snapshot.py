"""The state of a training run on disk, kept apart from the checkpoint that it makes."""

from pathlib import Path
from typing import Any

import torch

from hrm_core.errors import TrainingError

SNAPSHOT_NAME = ".training_state.pt"


def write_snapshot(folder: Path, state: dict[str, Any]) -> None:
    """Replace the folder's snapshot in one move."""
    folder.mkdir(parents=True, exist_ok=True)
    partial = folder / (SNAPSHOT_NAME + ".partial")
    torch.save(state, partial)
    partial.replace(folder / SNAPSHOT_NAME)


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
        raise TrainingError(f"{path} cannot be read: {error}. Delete it to start anew") from error
    return state


def remove_snapshot(folder: Path) -> None:
    """Delete the folder's snapshot; the checkpoint stays."""
    (folder / SNAPSHOT_NAME).unlink(missing_ok=True)
