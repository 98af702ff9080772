"""Construction of an engine from settings or options."""

from collections.abc import Callable
from pathlib import Path

from hrm_core import Checkpoint, CropEngine, Engine, EngineConfig, can_compile, pick_device


def wants_compile(device: str, asked: bool | None) -> bool:
    """Return whether to compile: as requested, or else on CUDA."""
    return pick_device(device).type == "cuda" if asked is None else asked


def make_engine(
    checkpoint: Checkpoint,
    *,
    say: Callable[[str], None],
    device: str = "auto",
    slots: int | None = None,
    precision: str | None = None,
    attention: str = "auto",
    compiled: bool | None = None,
    num_threads: int | None = None,
    max_slots: int | None = None,
    tuned_folder: Path | None = None,
) -> Engine:
    """Make an engine; `say` reports where it differs from the request.

    `slots` None: as many as are measured to be fast and fit, but no more than `max_slots` need;
    `tuned_folder` holds the measurements. `precision` None: the checkpoint's, or bfloat16 for
    float32 where the processor is clearly faster in it. `compiled` None: on CUDA only.
    `num_threads` None: by the network's size and the free cores.

    Raises: EngineError, AttentionError for what the device cannot do.
    """
    where = pick_device(device)
    is_compiled = wants_compile(device, compiled)
    if is_compiled and not can_compile(where):
        say("No compiler is available: the network runs uncompiled, and slower.")
        is_compiled = False
    kind = CropEngine if checkpoint.config.crop else Engine
    engine = kind(
        checkpoint,
        EngineConfig(
            device=where,
            num_slots=slots,
            precision=precision or "auto",
            attention=attention,
            compile=is_compiled,
            num_threads=num_threads,
            max_slots=max_slots,
            tuned_folder=tuned_folder,
        ),
    )
    if slots is not None and engine.num_slots < slots:
        say(f"{slots} slots do not fit {where}: running with {engine.num_slots}.")
    return engine
