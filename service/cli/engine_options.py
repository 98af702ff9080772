"""The options of the commands that run an engine; loads no torch."""

from pathlib import Path
from typing import Annotated

import typer

from service.runtime.engine_options import EngineOptions
from service.wire.options import Halting

ARC_CANVAS = 30
# The engine's list loads torch; a test checks that both are equal.
BACKEND_NAMES = ("sdpa", "matmul", "blocked", "flash3", "flash3_fwd", "flash2")

FolderArgument = Annotated[Path, typer.Argument(help="A checkpoint folder, as published.")]
CanvasOption = Annotated[
    int | None,
    typer.Option(min=1, max=ARC_CANVAS, help="Side of the canvas, where the folder does not say."),
]
DeviceOption = Annotated[str, typer.Option("--device", help="auto, cpu, cuda or cuda:N.")]
SlotsOption = Annotated[
    int | None,
    typer.Option("--slots", min=1, help="Samples on the device at once; default: by free memory."),
]
SliceSizeOption = Annotated[
    int | None,
    typer.Option(
        "--slice-size",
        min=1,
        help="Samples of a batch that go through the network at a time; default: as many as fit "
        "into memory, and half as many when it runs out.",
    ),
]
PrecisionOption = Annotated[
    str | None,
    typer.Option(
        "--precision",
        help="float32, bfloat16 or float16; default: the checkpoint's, or bfloat16 for float32 "
        "where the processor is clearly faster in it.",
    ),
]
AttentionOption = Annotated[
    str, typer.Option("--attention", help=f"auto, {', '.join(BACKEND_NAMES)}.")
]
CompileOption = Annotated[
    bool | None,
    typer.Option(
        "--compile/--no-compile", help="torch.compile the step; default: on CUDA, not on the CPU."
    ),
]
ThreadsOption = Annotated[
    int | None,
    typer.Option(
        "--threads",
        min=1,
        help="Threads on the CPU; default: OMP_NUM_THREADS, else by size and free cores.",
    ),
]
HaltOption = Annotated[
    Halting,
    typer.Option(
        "--halt",
        help="act: stop once q calls the answer right and it has settled. fixed: all segments.",
    ),
]


def check_service_options(
    url: str | None, api_key: str | None, engine: EngineOptions, canvas: int | None
) -> None:
    """Check that options of an engine come without --url, and --api-key with it.

    Raises: typer.BadParameter.
    """
    if url is None:
        if api_key is not None:
            raise typer.BadParameter("--api-key is for a service: give its --url too")
        return
    names = {"compiled": "--compile", "num_threads": "--threads"}
    given = [names.get(name, f"--{name}") for name in engine.given]
    if canvas is not None:
        given.append("--canvas")
    if given:
        raise typer.BadParameter(
            f"{', '.join(given)}: with --url, the service's worker decides that"
        )
