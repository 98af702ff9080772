"""Which backend to use: the one asked for, or the fastest that is measured to fit."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import Any

import torch
from torch import Tensor

from hrm_core.attention import dense
from hrm_core.attention.flash import FLASH_MODULES, load_flash
from hrm_core.errors import AttentionError
from hrm_core.memory import is_out_of_memory

Attend = Callable[[Tensor, Tensor, Tensor], Tensor]

DENSE_BACKENDS: dict[str, Attend] = {"sdpa": dense.sdpa, "matmul": dense.matmul}
BACKEND_NAMES = (*DENSE_BACKENDS, *FLASH_MODULES)
# A backend whose output strays further than this from SDPA's (root mean square, relative) is out.
MAX_RELATIVE_ERROR = 2e-2


@dataclass(frozen=True, slots=True)
class Timing:
    """One candidate's measurement; `seconds` is None where it failed, `note` says why."""

    name: str
    seconds: float | None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Choice:
    """The chosen backend and the measurements that chose it (none where it was given)."""

    name: str
    attend: Attend
    timings: tuple[Timing, ...] = ()


def load_backend(name: str) -> Attend:
    """Return one backend by name.

    Raises: AttentionError for a name that is unknown or not installed.
    """
    if name in DENSE_BACKENDS:
        return DENSE_BACKENDS[name]
    if name in FLASH_MODULES:
        return load_flash(name)
    raise AttentionError(
        f"unknown attention backend {name!r} (known: auto, {', '.join(BACKEND_NAMES)})"
    )


def available_backends(device: torch.device, dtype: torch.dtype) -> tuple[str, ...]:
    """Name the backends worth measuring for inference on this device and dtype."""
    if device.type != "cuda" or dtype == torch.float32:
        return ("sdpa",)
    names = ["sdpa"]
    for name in FLASH_MODULES:
        try:
            load_flash(name)
        except AttentionError:
            continue
        names.append(name)
    return tuple(names)


def choose(
    name: str, shape: tuple[int, int, int, int], device: torch.device, dtype: torch.dtype
) -> Choice:
    """Take the named backend, or with `auto` the fastest one that agrees with SDPA.

    Shapes: `shape` is the q, k and v of one call, [B, S, heads, head_dim].

    Raises: AttentionError when the named backend cannot run this shape on this device.
    """
    if name != "auto":
        if name in FLASH_MODULES and (device.type != "cuda" or dtype == torch.float32):
            raise AttentionError(
                f"attention backend {name!r} runs on CUDA in bfloat16 or float16 only "
                f"(asked for: {device.type}, {dtype}). Use --attention sdpa"
            )
        return Choice(name, load_backend(name))
    candidates = available_backends(device, dtype)
    if len(candidates) == 1:
        return Choice(candidates[0], load_backend(candidates[0]))
    timings = _measure(candidates, shape, device, dtype)
    fitting = [timing for timing in timings if timing.seconds is not None]
    if not fitting:
        notes = "; ".join(f"{timing.name}: {timing.note}" for timing in timings)
        raise AttentionError(
            f"no attention backend runs {shape} in {dtype} on {device} ({notes}). Name one with "
            "--attention, or use --device cpu"
        )
    best = min(fitting, key=lambda timing: timing.seconds or 0.0)
    return Choice(best.name, load_backend(best.name), timings)


def _measure(
    names: tuple[str, ...],
    shape: tuple[int, int, int, int],
    device: torch.device,
    dtype: torch.dtype,
) -> tuple[Timing, ...]:
    generator = torch.Generator(device).manual_seed(0)
    q, k, v = (
        torch.randn(shape, generator=generator, device=device, dtype=dtype) for _ in range(3)
    )
    expected = dense.sdpa(q, k, v).float()
    timings = []
    for name in names:
        try:
            attend = load_backend(name)
            out = attend(q, k, v).float()
            error = ((out - expected).square().mean() / expected.square().mean()).sqrt().item()
            if not error <= MAX_RELATIVE_ERROR:
                timings.append(Timing(name, None, f"strays from sdpa by {error:.1e}"))
                continue
            timings.append(Timing(name, _time_cuda(attend, q, k, v)))
        except (RuntimeError, AttentionError) as problem:  # a kernel not built for this GPU
            if isinstance(problem, RuntimeError) and is_out_of_memory(problem):
                raise
            timings.append(Timing(name, None, str(problem).splitlines()[0]))
    return tuple(timings)


def _time_cuda(attend: Attend, q: Tensor, k: Tensor, v: Tensor, num_calls: int = 10) -> float:
    """Median seconds of one call on the device's own clock, after a warm-up."""
    for _ in range(3):
        attend(q, k, v)
    new_mark: Callable[..., Any] = torch.cuda.Event
    marks = [new_mark(enable_timing=True) for _ in range(num_calls + 1)]
    for mark in marks[:-1]:
        mark.record()
        attend(q, k, v)
    marks[-1].record()
    torch.cuda.synchronize(q.device)
    spans = [float(start.elapsed_time(stop)) for start, stop in pairwise(marks)]
    return median(spans) / 1e3
