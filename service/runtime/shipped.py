"""The checkpoints that come with the source, and the one that is the default."""

from collections.abc import Collection
from pathlib import Path

from service.wire.errors import InputError

DEMO_NAME = "demo"


def shipped_checkpoints() -> Path:
    """Return the folder `checkpoints` of the current folder or, where it has none, of the source.

    A package that was installed without its source has neither: the folder is not there then.
    """
    here = Path("checkpoints")
    source = Path(__file__).parents[2] / here
    return source if (source / DEMO_NAME).is_dir() and not here.is_dir() else here


def demo_checkpoint() -> Path:
    """Return the folder of the demo checkpoint.

    Raises: InputError where it is not there.
    """
    folder = shipped_checkpoints() / DEMO_NAME
    if not folder.is_dir():
        raise InputError(
            f"there is no folder {folder} here, which is the default: name a checkpoint folder "
            "with --checkpoint FOLDER. The repository of hrm-arc has some in its folder "
            "checkpoints, and `hrm-arc pull` fetches published ones"
        )
    return folder


def default_checkpoint(configured: str | None, served: Collection[str]) -> str | None:
    """Return the checkpoint of jobs that name none: as configured, else `demo`, else the first.

    None where nothing is configured or served. A configured checkpoint is never replaced by
    another: while nobody serves it, such jobs are refused.
    """
    if configured is not None:
        return configured
    return DEMO_NAME if DEMO_NAME in served else next(iter(served), None)
