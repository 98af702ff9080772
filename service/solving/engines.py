"""Makes the engine that options describe."""

from collections.abc import Callable
from pathlib import Path

from hrm_core import Checkpoint, CropEngine, Engine, EngineConfig, can_compile, pick_device
from hrm_core.device.arithmetic import Arithmetic
from service.runtime.devices import EngineOptions


def wants_compile(device: str, wanted: bool | None) -> bool:
    """Return whether to compile: as wanted, or by default on CUDA only."""
    return pick_device(device).type == "cuda" if wanted is None else wanted


def make_engine(
    checkpoint: Checkpoint,
    options: EngineOptions,
    *,
    say: Callable[[str], None],
    max_slots: int | None = None,
    tuned_folder: Path | None = None,
    arithmetic: Arithmetic | None = None,
) -> Engine:
    """Make an engine; `say` receives a sentence for each option that it cannot have as given.

    Where the number of slots is left open, the engine gets at most `max_slots`. `tuned_folder`
    holds what was measured to be fastest on this machine. `arithmetic`, where given, takes
    precedence over the options.

    Raises: EngineError, AttentionError for what the device cannot do.
    """
    where = pick_device(options.device)
    is_compiled = wants_compile(options.device, options.compiled)
    if is_compiled and not can_compile(where):
        say("No compiler found: the network runs uncompiled, which is slower.")
        is_compiled = False
    kind = CropEngine if checkpoint.config.crop else Engine
    engine = kind(
        checkpoint,
        EngineConfig(
            device=where,
            num_slots=options.slots,
            precision=options.precision or "auto",
            attention=options.attention,
            compile=is_compiled,
            num_threads=options.num_threads,
            max_slots=max_slots,
            tuned_folder=tuned_folder,
            arithmetic=arithmetic,
        ),
    )
    if options.slots is not None and engine.num_slots < options.slots:
        say(f"{options.slots} slots are more than {where} takes: running with {engine.num_slots}.")
    return engine


def options_of(engine: Engine) -> EngineOptions:
    """Return the options that an engine runs with; the device is left open.

    With crop, slots and attention are what was asked for: each size of samples has its own.
    """
    given = engine.config
    has_sizes = engine.checkpoint.config.crop
    return EngineOptions(
        slots=given.num_slots if has_sizes else engine.num_slots,
        precision=engine.precision,
        attention=given.attention if has_sizes else engine.attention.name,
        compiled=given.compile,
        num_threads=engine.num_threads,
    )
