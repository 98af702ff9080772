"""The engine that settings or options describe."""

from collections.abc import Callable
from pathlib import Path

from hrm_core import Checkpoint, CropEngine, Engine, EngineConfig, can_compile, pick_device


def wants_compile(device: str, asked: bool | None) -> bool:
    """Return whether to compile: as asked, or else on CUDA."""
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
    """Make an engine, saying so where it is not what was asked for.

    `slots` None: as many as were measured to be worth it and fit, but no more than `max_slots`
    need; `tuned_folder` holds what was measured. `precision` None: the checkpoint's, or bfloat16
    for float32 where the processor is clearly faster in it. `compiled` None: on CUDA only.
    `num_threads` None: by the network's size and the free cores.

    Raises: EngineError, AttentionError for what the device cannot do.
    """
    where = pick_device(device)
    is_compiled = wants_compile(device, compiled)
    if is_compiled and not can_compile(where):
        say("No compiler at hand: the network runs uncompiled, and slower.")
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
        say(f"{slots} slots are more than {where} takes: running with {engine.num_slots}.")
    return engine
