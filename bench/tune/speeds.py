"""Stages that time: the device, attention, the step of the network, and training."""

import os
import platform
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np
import torch

from bench.clock import measure_peak, time_call, time_once
from bench.model import relative_error, segment_flops
from bench.tune.plan import Plan, Row, failed
from hrm_core import (
    Checkpoint,
    DeviceMemoryError,
    Pretraining,
    TrainingArrays,
    TrainSettings,
    can_compile,
)
from hrm_core.device.device import compiled, lacks_half_precision, name_device
from hrm_core.device.measured import choose_slots
from hrm_core.engine.carry import CapturedRun, Run, run_segment
from hrm_core.engine.memory import SLOT_COUNTS, count_fitting
from hrm_core.engine.sizing import measure_rates
from hrm_core.model.attention import sdpa
from hrm_core.model.attention_choice import available_backends, choose, load_backend
from hrm_core.model.fused_blocks import KERNEL_NAMES, can_fuse, fuse
from hrm_core.model.network import Network

PEAK_SIZE = {"cpu": 1024, "cuda": 8192}
PEAK_PRECISIONS = {"cpu": ("bfloat16", "float32"), "cuda": ("bfloat16", "float16", "float32")}
ROUNDS = {"cpu": 3, "cuda": 20}
# Positions of a full canvas behind HRM's one and TRM's sixteen of the puzzle's row.
FULL_POSITIONS = (901, 916)
MAX_TUNED_SLOTS = {"cpu": 64, "cuda": 256}
MIN_TUNED_SLOTS = {"cpu": 1, "cuda": 4}
TRAINING_BATCH = {"cpu": 96, "cuda": 768}
SLICES = {"cpu": (12, 24, 48, 96), "cuda": (12, 24, 48, 96, 192, 384)}
NUM_TIMED_SLICES = 2
MAX_TRAINING_STEP_S = 60.0


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
        rate = measure_peak(device, precision, size, rounds)
        yield {"peak": precision, "tflops": 1e-12 * rate}
    block = torch.empty(1 << 28, dtype=torch.uint8, device=device)
    times = time_call(block.clone, rounds, device)
    yield {"peak": "copy", "gb_per_s": 2e-9 * block.numel() / times.best_s}


def measure_attention(plan: Plan) -> Iterator[Row]:
    """Time each attention backend at the network's positions, and on CUDA at a full canvas's."""
    device, checkpoint = plan.where(), plan.open()
    config, dtype = checkpoint.config, plan.dtype_of(checkpoint)
    names = available_backends(device, dtype) if device.type == "cuda" else ("sdpa", "matmul")
    batch = 32 if device.type == "cuda" else 2
    own = {config.num_positions}
    for positions in sorted(own | set(FULL_POSITIONS) if device.type == "cuda" else own):
        shape = (batch, positions, config.num_heads, config.head_dim)
        q, k, v = (torch.randn(shape, device=device).to(dtype) for _ in range(3))
        expected = sdpa(q, k, v)
        for name in names:
            row: Row = {"attention": name, "positions": positions, "samples": batch}
            try:
                attend = load_backend(name)
                error = relative_error(attend(q, k, v), expected)
                times = time_call(partial(attend, q, k, v), ROUNDS[device.type], device)
            except RuntimeError as problem:
                yield row | failed(problem)
                continue
            flops = 4 * positions**2 * config.hidden_size * batch
            yield row | {
                "seconds": times.median_s,
                "tflops": 1e-12 * flops / times.median_s,
                "relative_error": error,
                "is_own": positions == config.num_positions,
            }


def _load(plan: Plan, checkpoint: Checkpoint, num_samples: int) -> Network:
    """Load the network with the attention of the plan, or what is fastest for so many samples."""
    config, device, dtype = checkpoint.config, plan.where(), plan.dtype_of(checkpoint)
    shape = (num_samples, config.num_positions, config.num_heads, config.head_dim)
    attention = choose(plan.attention, shape, device, dtype)
    return checkpoint.load_network(attention.attend, device, dtype)


def measure_slots(plan: Plan) -> Iterator[Row]:
    """Time the step at rising numbers of slots: plain, compiled, and recorded as a CUDA graph."""
    device, checkpoint = plan.where(), plan.open()
    config, precision = checkpoint.config, plan.precision_of(checkpoint)
    network = _load(plan, checkpoint, num_samples=8)
    parameters = sum(p.numel() for name, p in network.named_parameters() if ".layers.0." in name)
    num_levels = 1 if config.architecture == "trm" else 2
    flops = segment_flops(config, parameters // num_levels)
    num_fitting = count_fitting(config, device, plan.dtype_of(checkpoint))
    max_slots = min(MAX_TUNED_SLOTS[device.type], num_fitting)
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
                rate = measure_rates(network, run, [count], device, num_calls=5)[count]
            except RuntimeError as problem:
                yield row | failed(problem)
                break
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


def _modes(device: torch.device) -> Iterator[tuple[str, bool, bool]]:
    yield "plain", False, False
    if device.type == "cuda":
        yield "plain, captured", False, True
    if can_compile(device):
        yield "compiled", True, False
        if device.type == "cuda":
            yield "compiled, captured", True, True


def measure_kernels(plan: Plan) -> Iterator[Row]:
    """Time the step at the chosen slots with each fused kernel, and with all that gained."""
    device, checkpoint = plan.where(), plan.open()
    if device.type != "cuda" or not can_compile(device):
        yield {"skipped": "fused kernels run on CUDA"}
        return
    count = plan.slots or 32
    network = _load(plan, checkpoint, num_samples=count)
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
            yield {"kernels": names} | failed(problem)
            continue
        yield {"kernels": names, "slots": count, "samples_per_s": rates[names]}


def measure_training(plan: Plan) -> Iterator[Row]:
    """Time training steps in slices of rising size, until memory does not hold them.

    Units: samples per second.
    """
    device = plan.where()
    config = replace(plan.open().config, num_rows=2, crop=False)
    batch = TRAINING_BATCH[device.type]
    grids = np.full((1, config.seq_len), 5, dtype=np.uint8)
    arrays = TrainingArrays(
        canvas=config.canvas,
        inputs=grids,
        labels=grids,
        room=np.zeros((1, 2), dtype=np.uint8),
        rows=np.array([1]),
        variant_starts=np.array([0, 1]),
        group_starts=np.array([0, 1]),
    )
    for slice_size in SLICES[device.type]:
        row: Row = {
            "slice": slice_size,
            "batch": batch,
            "precision": config.forward_dtype,
            "emulated": lacks_half_precision(device),
        }
        settings = TrainSettings(num_steps=10**6, batch_size=batch, slice_size=slice_size)
        with tempfile.TemporaryDirectory() as folder:
            run = Pretraining(
                Path(folder),
                config,
                [arrays],
                settings,
                {},
                device=device,
                compile_step=device.type == "cuda" and can_compile(device),
            )
            turns = run.turns()
            try:
                next(turns)  # compiles
                several = partial(list, islice(turns, NUM_TIMED_SLICES))
                slice_s = time_once(several, device) / NUM_TIMED_SLICES
            except DeviceMemoryError:
                yield row | {"failed": "does not fit"}
                return
        if run.lanes.next().slice_size < slice_size:
            yield row | {"failed": "does not fit"}
            return
        yield row | {"samples_per_s": slice_size / slice_s}
        if slice_s * batch / slice_size > MAX_TRAINING_STEP_S:
            return
