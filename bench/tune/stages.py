"""The stages of a tuning; each yields its measurements as flat JSON objects."""

import os
import platform
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import torch

from bench.clock import time_call
from bench.model import segment_flops
from bench.tune.gate import measure_gate, measure_permutation
from bench.tune.plan import Plan
from bench.tune.products import measure_fp8, measure_products
from bench.tune.training import measure_training
from hrm_core import can_compile
from hrm_core.device.device import compiled, name_device
from hrm_core.device.measured import choose_slots
from hrm_core.engine.carry import CapturedRun, Run, run_segment
from hrm_core.engine.memory import SLOT_COUNTS, count_fitting
from hrm_core.engine.sizing import measure_rates
from hrm_core.model.attention import sdpa
from hrm_core.model.attention_choice import available_backends, choose, load_backend
from hrm_core.model.fused_blocks import KERNEL_NAMES, can_fuse, fuse

Row = dict[str, object]
Stage = Callable[[Plan], Iterator[Row]]

PEAK_SIZE = {"cpu": 1024, "cuda": 8192}
PEAK_PRECISIONS = {"cpu": ("bfloat16", "float32"), "cuda": ("bfloat16", "float16", "float32")}
ROUNDS = {"cpu": 3, "cuda": 20}
# Positions of a full canvas behind HRM's one and TRM's sixteen of the puzzle's row.
FULL_POSITIONS = (901, 916)
MAX_TUNED_SLOTS = {"cpu": 64, "cuda": 256}
MIN_TUNED_SLOTS = {"cpu": 1, "cuda": 4}


def measure_facts(plan: Plan) -> Iterator[Row]:
    """Describe the device, and measure the best rates of its products and memory."""
    device = plan.where()
    facts: Row = {
        "device": name_device(device),
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "python": platform.python_version(),
        "load": round(os.getloadavg()[0], 1),
    }
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        facts |= {
            "capability": f"{properties.major}.{properties.minor}",
            "memory_gb": round(properties.total_memory / 1e9, 1),
            "multiprocessors": properties.multi_processor_count,
        }
    yield facts
    size, rounds = PEAK_SIZE[device.type], ROUNDS[device.type]
    for precision in PEAK_PRECISIONS[device.type]:
        dtype: torch.dtype = getattr(torch, precision)
        left, right = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
        times = time_call(partial(torch.matmul, left, right), rounds, device)
        yield {"peak": precision, "tflops": 2e-12 * size**3 / times.best_s}
    block = torch.empty(1 << 28, dtype=torch.uint8, device=device)
    times = time_call(block.clone, rounds, device)
    yield {"peak": "copy", "gb_per_s": 2e-9 * block.numel() / times.best_s}


def measure_attention(plan: Plan) -> Iterator[Row]:
    """Time each attention backend at the network's positions, and on CUDA at a full canvas's."""
    device, checkpoint = plan.where(), plan.open()
    config = checkpoint.config
    dtype: torch.dtype = getattr(torch, plan.precision_of(checkpoint))
    names = available_backends(device, dtype) if device.type == "cuda" else ("sdpa", "matmul")
    batch = 32 if device.type == "cuda" else 2
    own = {config.num_positions}
    for positions in sorted(own | set(FULL_POSITIONS) if device.type == "cuda" else own):
        shape = (batch, positions, config.num_heads, config.head_dim)
        q, k, v = (torch.randn(shape, device=device).to(dtype) for _ in range(3))
        expected = sdpa(q, k, v).float()
        for name in names:
            row: Row = {"attention": name, "positions": positions, "samples": batch}
            try:
                attend = load_backend(name)
                error = _relative_error(attend(q, k, v).float(), expected)
                times = time_call(partial(attend, q, k, v), ROUNDS[device.type], device)
            except RuntimeError as problem:
                yield row | {"failed": str(problem).splitlines()[0]}
                continue
            flops = 4 * positions**2 * config.hidden_size * batch
            yield row | {
                "seconds": times.median_s,
                "tflops": 1e-12 * flops / times.median_s,
                "relative_error": error,
                "is_own": positions == config.num_positions,
            }


def _relative_error(found: torch.Tensor, expected: torch.Tensor) -> float:
    return float(((found - expected).square().mean() / expected.square().mean()).sqrt())


def measure_slots(plan: Plan) -> Iterator[Row]:
    """Time the step at rising numbers of slots: plain, compiled, and recorded as a CUDA graph."""
    device, checkpoint = plan.where(), plan.open()
    config, precision = checkpoint.config, plan.precision_of(checkpoint)
    dtype: torch.dtype = getattr(torch, precision)
    shape = (8, config.num_positions, config.num_heads, config.head_dim)
    attention = choose(plan.attention, shape, device, dtype)
    network = checkpoint.load_network(attention.attend, device, dtype)
    parameters = sum(p.numel() for name, p in network.named_parameters() if ".layers.0." in name)
    num_levels = 1 if config.architecture == "trm" else 2
    flops = segment_flops(config, parameters // num_levels)
    max_slots = min(MAX_TUNED_SLOTS[device.type], count_fitting(config, device, dtype))
    counts = [count for count in SLOT_COUNTS if MIN_TUNED_SLOTS[device.type] <= count <= max_slots]
    plain: dict[int, float] = {}
    for mode, is_compiled, is_captured in _modes(device):
        best = 0.0
        if is_compiled and device.type == "cpu" and plain:
            counts = [choose_slots(plain)]  # a minute of compiling for each would add little
        for count in counts or [1]:
            run: Run = compiled(run_segment) if is_compiled else run_segment
            if is_captured:
                run = CapturedRun(run)
            row: Row = {"mode": mode, "slots": count, "precision": precision}
            try:
                rates = measure_rates(network, run, [count], device, num_calls=5)
            except RuntimeError as problem:
                yield row | {"failed": str(problem).splitlines()[0]}
                break
            rate = rates[count]
            if mode == "plain":
                plain[count] = rate
            yield row | {
                "samples_per_s": rate,
                "step_s": count / rate,
                "tflops": 1e-12 * flops * rate,
            }
            # Beyond the best, twice the slots take twice as long.
            if rate < best or count / rate > 2.0:
                break
            best = max(best, rate)


def measure_kernels(plan: Plan) -> Iterator[Row]:
    """Time the step at the chosen slots with each fused kernel, and with all that gained."""
    device, checkpoint = plan.where(), plan.open()
    dtype: torch.dtype = getattr(torch, plan.precision_of(checkpoint))
    if device.type != "cuda" or not can_compile(device):
        yield {"skipped": "fused kernels run on CUDA"}
        return
    config, count = checkpoint.config, plan.slots or 32
    shape = (count, config.num_positions, config.num_heads, config.head_dim)
    attend = choose(plan.attention, shape, device, dtype).attend
    network = checkpoint.load_network(attend, device, dtype)
    fitting = [name for name in KERNEL_NAMES if can_fuse(network, name)]
    rates: dict[tuple[str, ...], float] = {}
    for names in ((), *((name,) for name in fitting), None):
        if names is None:
            names = tuple(name for name in fitting if rates.get((name,), 0.0) > rates[()])
            if len(names) < 2:
                return
        fuse(network, names)
        run: Run = compiled(run_segment)
        if plan.is_captured:
            run = CapturedRun(run)
        try:
            rates[names] = measure_rates(network, run, [count], device, num_calls=9)[count]
        except RuntimeError as problem:
            yield {"kernels": names, "failed": str(problem).splitlines()[0]}
            continue
        yield {"kernels": names, "slots": count, "samples_per_s": rates[names]}


def _modes(device: torch.device) -> Iterator[tuple[str, bool, bool]]:
    yield "plain", False, False
    if device.type == "cuda":
        yield "plain, captured", False, True
    if can_compile(device):
        yield "compiled", True, False
        if device.type == "cuda":
            yield "compiled, captured", True, True


def measure_reference(plan: Plan) -> Iterator[Row]:
    """Time the reference network's segment and ours in turn; skipped without its path."""
    from bench import reference

    if plan.reference is None:
        yield {"skipped": "give a checkout of sapientinc/HRM with --reference"}
        return
    device = plan.where()
    for section in reference.measure_reference(Path(plan.reference), device, can_compile(device)):
        for row in section.rows[-1:]:
            yield {"title": section.title} | dict(zip(section.columns, row, strict=True))


# The most useful first, since the last are skipped when time runs out.
STAGES: dict[str, tuple[Stage, float]] = {
    "facts": (measure_facts, 120.0),
    "attention": (measure_attention, 180.0),
    "slots": (measure_slots, 600.0),
    "kernels": (measure_kernels, 300.0),
    "gate": (measure_gate, 300.0),
    "permutation": (measure_permutation, 120.0),
    "reference": (measure_reference, 300.0),
    "training": (measure_training, 300.0),
    "products": (measure_products, 300.0),
    "fp8": (measure_fp8, 120.0),
}
