"""The scripts that run inside Redis, each a file beside this one."""

from functools import cache
from importlib import resources


@cache
def script(name: str) -> str:
    """Read a script, with what all of them share in front."""
    folder = resources.files("service.jobs") / "scripts"
    return "\n".join(
        (folder / f"{part}.lua").read_text(encoding="utf-8") for part in ("shared", name)
    )
