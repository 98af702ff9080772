"""Where this machine keeps what outlives a process. Needs nothing but the standard library."""

import os
import sys
from pathlib import Path


def default_state_folder() -> Path:
    """Return where this system keeps the state of a user's programs, in a folder of our own."""
    if sys.platform == "darwin":
        return Path("~/Library/Application Support/hrm-arc").expanduser()
    given = Path(os.environ.get("XDG_STATE_HOME", ""))
    base = given if given.is_absolute() else Path("~/.local/state").expanduser()
    return base / "hrm-arc"


def current_state_folder() -> Path:
    """Return the state folder of this environment, for commands that need no other setting."""
    return Path(os.environ.get("HRM_ARC_STATE_FOLDER") or default_state_folder())


def tuned_folder(state_folder: Path) -> Path:
    """Return where a machine keeps what was measured to be fastest on it."""
    return state_folder.expanduser().absolute() / "tuned"
