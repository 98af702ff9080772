"""The options of the commands that run the service or a part of it.

Each is a setting, and goes before its variable; None leaves the setting as it is.
"""

from pathlib import Path
from typing import Annotated, Literal

import typer

HostOption = Annotated[
    str | None, typer.Option("--host", help="Address to listen on; default: this machine only.")
]
PortOption = Annotated[
    int | None, typer.Option("--port", min=0, max=65_535, help="Port to listen on; default: 8400.")
]
CheckpointsOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--checkpoints",
        help="A checkpoint folder, or a folder of such. May be given several times. "
        "Default: checkpoints.",
    ),
]
StateFolderOption = Annotated[
    Path | None, typer.Option("--state-folder", help="Where jobs outlive the service.")
]
DeviceOption = Annotated[
    str | None, typer.Option("--device", help="auto, cpu, cuda:N or free (a GPU without a worker).")
]
SlotsOption = Annotated[
    int | None,
    typer.Option("--slots", min=1, help="Samples on the device at once; default: by free memory."),
]
ThreadsOption = Annotated[
    int | None,
    typer.Option(
        "--threads",
        min=1,
        help="Threads of a worker on the CPU; default: by size and free cores.",
    ),
]
LogLevelOption = Annotated[
    Literal["debug", "info", "warning", "error"] | None, typer.Option("--log-level")
]
LogFormatOption = Annotated[
    Literal["auto", "json", "console"] | None,
    typer.Option("--log-format", help="auto: console on a terminal, else JSON."),
]


def as_tuple(checkpoints: list[Path] | None) -> tuple[Path, ...] | None:
    """Return the checkpoints given, or None for none."""
    return tuple(checkpoints) if checkpoints else None
