"""The options of every command that runs an engine, and the engine they make."""

from pathlib import Path
from typing import Annotated

import typer

from hrm_core import (
    ARC_CANVAS,
    BACKEND_NAMES,
    Checkpoint,
    Engine,
    EngineConfig,
    Halting,
    can_compile,
    pick_device,
)
from service.cli.output import notices

FolderArgument = Annotated[Path, typer.Argument(help="A checkpoint folder, as published.")]
CanvasOption = Annotated[
    int | None,
    typer.Option(min=1, max=ARC_CANVAS, help="Side of the canvas, where the folder does not tell."),
]
DeviceOption = Annotated[str, typer.Option("--device", help="auto, cpu, cuda or cuda:N.")]
SlotsOption = Annotated[
    int | None,
    typer.Option("--slots", min=1, help="Samples on the device at once; default: by free memory."),
]
PrecisionOption = Annotated[
    str | None,
    typer.Option("--precision", help="float32, bfloat16 or float16; default: the checkpoint's."),
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
HaltOption = Annotated[
    Halting, typer.Option("--halt", help="act: stop when q says so. fixed: all segments.")
]
JSONOption = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]


def make_engine(
    checkpoint: Checkpoint,
    *,
    device: str = "auto",
    slots: int | None = None,
    precision: str | None = None,
    attention: str = "auto",
    compiled: bool | None = None,
    num_samples: int | None = None,
) -> Engine:
    """Make the engine that the options describe, saying so where it is not what was asked for.

    `num_samples`, where known, keeps the default from making more slots than there is work for.
    """
    where = pick_device(device)
    wants_compile = where.type == "cuda" if compiled is None else compiled
    if wants_compile and not can_compile(where):
        notices.print("No compiler at hand: the network runs uncompiled, and slower.")
        wants_compile = False
    engine = Engine(
        checkpoint,
        EngineConfig(
            device=where,
            num_slots=slots,
            precision=precision,
            attention=attention,
            compile=wants_compile,
            max_slots=num_samples,
        ),
    )
    if slots is not None and engine.num_slots < slots:
        notices.print(
            f"{slots} slots do not fit into {where}'s memory: running with {engine.num_slots}."
        )
    return engine
