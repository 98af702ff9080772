"""The folders of this machine: its state, its measurements and the checkpoints of the source."""

import os
from collections.abc import Collection
from pathlib import Path
from typing import Literal

from platformdirs import user_state_path

from service.wire.errors import InputError

# The ARC checkpoint that the repository has.
SHIPPED_NAME = "arc1"
# The file that makes a folder a checkpoint.
CHECKPOINT_MARK = "all_config.yaml"
# Adapted checkpoints, compiled networks, locks of devices, measured choices, and the queue.
Subfolder = Literal["adapted", "compiled", "devices", "tuned", "valkey"]


def default_state_folder() -> Path:
    """Return the folder for state that this system gives each program of a user."""
    return user_state_path("hrm-arc", appauthor=False)


def current_state_folder() -> Path:
    """Return the state folder of this environment, for commands that need no other setting."""
    return Path(os.environ.get("HRM_ARC_STATE_FOLDER") or default_state_folder())


def state_subfolder(name: Subfolder, state_folder: Path | None = None) -> Path:
    """Return a folder inside a state folder, by default inside that of this environment."""
    return (state_folder or current_state_folder()).expanduser().absolute() / name


def shipped_checkpoints() -> Path:
    """Return `checkpoints` in the current folder or, where there is none, in the source's folder.

    A package that was installed without its source has neither: the folder does not exist then.
    """
    here = Path("checkpoints")
    source = Path(__file__).parents[2] / here
    return source if (source / SHIPPED_NAME).is_dir() and not here.is_dir() else here


def shipped_folders(configured: str | None = None) -> tuple[Path, ...]:
    """Return the checkpoint folders in `shipped_checkpoints`, the default one first.

    Raises: InputError where there are none.
    """
    shipped = shipped_checkpoints()
    found = sorted(path.parent for path in shipped.glob(f"*/{CHECKPOINT_MARK}"))
    if not found:
        raise InputError(
            f"there is no checkpoint in {shipped}, where they are looked for: name a checkpoint "
            "folder with --checkpoint FOLDER. The repository of hrm-arc has some in its folder "
            "checkpoints, and `hrm-arc pull` fetches published ones"
        )
    default = default_checkpoint(configured, [folder.name for folder in found])
    return tuple(sorted(found, key=lambda folder: folder.name != default))


def default_checkpoint(configured: str | None, served: Collection[str]) -> str | None:
    """Return the checkpoint of jobs that name none: as configured, else `arc1`, else the first.

    None where nothing is configured or served. A configured checkpoint is never replaced by
    another: while nobody serves it, such jobs are refused.
    """
    if configured is not None:
        return configured
    return SHIPPED_NAME if SHIPPED_NAME in served else next(iter(served), None)
