"""The choice of an attention backend: the requested one, or the fastest by measurement."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import Any

import torch
from torch import Tensor

from hrm_core.device.measured import MeasuredChoices
from hrm_core.engine.memory import is_out_of_memory
from hrm_core.errors import AttentionError
from hrm_core.model.attention import FLASH_MODULES, Attend, attend_blocked, load_flash, matmul, sdpa

Shape = tuple[int, int, int, int]

DENSE_BACKENDS: dict[str, Attend] = {
    "sdpa": sdpa,
    "matmul": matmul,
    "blocked": attend_blocked,
}
BACKEND_NAMES = (*DENSE_BACKENDS, *FLASH_MODULES)
# The largest error of a backend's output relative to SDPA's (root mean square).
MAX_RELATIVE_ERROR = 2e-2
# On the CPU, in multiplications of one call: below the first, a choice gains nothing; above the
# second, part of the batch is measured.
CPU_MEASURED_FROM = 1 << 20
CPU_MEASURED_WITH = 1 << 27
# Scores of one call: beyond, `matmul` takes memory that the estimate of slots does not include.
CPU_MAX_SCORES = 1 << 22


@dataclass(frozen=True, slots=True)
class Choice:
    """The chosen backend."""

    name: str
    attend: Attend


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
    """Return the backends worth measuring for inference on this device and dtype."""
    if device.type == "cpu":
        return tuple(DENSE_BACKENDS)
    if dtype == torch.float32:
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
    name: str,
    shape: Shape,
    device: torch.device,
    dtype: torch.dtype,
    *,
    trains: bool = False,
    measured: MeasuredChoices | None = None,
) -> Choice:
    """Return the named backend, or with `auto` the fastest one that agrees with SDPA.

    `trains`: the time of its backward pass counts too.

    Shapes: `shape` is the q, k and v of one call, [B, S, heads, head_dim].

    Raises: AttentionError when the named backend cannot run this shape on this device.
    """
    if name != "auto":
        if name in FLASH_MODULES and (device.type != "cuda" or dtype == torch.float32):
            raise AttentionError(
                f"attention backend {name!r} runs on CUDA in bfloat16 or float16 only "
                f"(requested: {device.type}, {dtype}). Use --attention sdpa"
            )
        return Choice(name, load_backend(name))
    candidates = available_backends(device, dtype)
    if device.type == "cpu":
        candidates = _fitting_on_cpu(candidates, shape, trains)
    if len(candidates) == 1:
        return Choice(candidates[0], load_backend(candidates[0]))

    def measure() -> str:
        measurements = _measure(candidates, shape, device, dtype, trains)
        seconds = {name: one for name, one in measurements.items() if isinstance(one, float)}
        if not seconds:
            notes = "; ".join(f"{name}: {note}" for name, note in measurements.items())
            raise AttentionError(
                f"no attention backend runs {shape} in {dtype} on {device} ({notes}). Name one "
                "with --attention, or use --device cpu"
            )
        return min(seconds, key=lambda name: seconds[name])

    if device.type == "cpu":
        use = "training" if trains else "inference"
        what = f"attention, {use} in {dtype}, {' x '.join(map(str, shape))}"
        best = (measured or MeasuredChoices(None)).choose(what, candidates, measure)
    else:
        best = measure()
    return Choice(best, load_backend(best))


def by_length(attends: Mapping[int, Attend]) -> Attend:
    """Return attention that uses the given backend for each length of sequence."""
    if len(attends) == 1:
        return next(iter(attends.values()))

    def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return attends[q.shape[1]](q, k, v)

    return attend


def _fitting_on_cpu(names: tuple[str, ...], shape: Shape, trains: bool) -> tuple[str, ...]:
    """Return the backends that can serve a call; of a small call, which is not measured, one."""
    batch, length, num_heads, head_dim = shape
    num_scores = batch * num_heads * length**2
    if num_scores * head_dim < CPU_MEASURED_FROM:
        return ("matmul",) if trains else ("sdpa",)
    unfit = {"blocked"} if trains else {"matmul"} if num_scores > CPU_MAX_SCORES else set()
    return tuple(name for name in names if name not in unfit)


def _measure(
    names: tuple[str, ...], shape: Shape, device: torch.device, dtype: torch.dtype, trains: bool
) -> dict[str, float | str]:
    """Return the seconds that each backend takes; where it failed, the reason."""
    if device.type == "cpu":
        batch, length, num_heads, head_dim = shape
        max_batch = CPU_MEASURED_WITH // (num_heads * length**2 * head_dim)
        shape = (max(1, min(batch, max_batch)), length, num_heads, head_dim)
    generator = torch.Generator(device).manual_seed(0)
    q, k, v = (
        torch.randn(shape, generator=generator, device=device, dtype=dtype) for _ in range(3)
    )
    expected = sdpa(q, k, v).float()
    time_it = _time_cuda if device.type == "cuda" else _time_cpu
    measurements: dict[str, float | str] = {}
    for name in names:
        try:
            attend = load_backend(name)
            out = attend(q, k, v).float()
            error = ((out - expected).square().mean() / expected.square().mean()).sqrt().item()
            if not error <= MAX_RELATIVE_ERROR:
                measurements[name] = f"differs from sdpa by {error:.1e}"
                continue
            measurements[name] = time_it(_with_backward(attend) if trains else attend, q, k, v)
        except (RuntimeError, AttentionError) as problem:  # a kernel not built for this GPU
            if isinstance(problem, RuntimeError) and is_out_of_memory(problem):
                raise
            measurements[name] = str(problem).splitlines()[0]
    return measurements


def _with_backward(attend: Attend) -> Attend:
    def attend_and_back(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        with torch.enable_grad():
            leaves = [x.detach().requires_grad_() for x in (q, k, v)]
            out = attend(*leaves)
            out.sum().backward()  # type: ignore[no-untyped-call]
        return out.detach()

    return attend_and_back


def _time_cpu(attend: Attend, q: Tensor, k: Tensor, v: Tensor, num_calls: int = 5) -> float:
    """Return the shortest time of a call in seconds, after a warm-up."""
    spans = []
    for _ in range(num_calls + 1):
        started = time.thread_time()
        attend(q, k, v)
        spans.append(time.thread_time() - started)
    return min(spans[1:])


def _time_cuda(attend: Attend, q: Tensor, k: Tensor, v: Tensor, num_calls: int = 10) -> float:
    """Return the median time of a call in seconds on the device's clock, after a warm-up."""
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
