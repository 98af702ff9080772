"""Throughput of the full-size network in variant-segments per second: bare and in an engine."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from bench.clock import Times, time_call, time_once
from bench.model import full_size_config, segment_flops, synthetic_checkpoint
from bench.report import Cell, Section
from hrm_core import (
    Checkpoint,
    Engine,
    EngineConfig,
    Halting,
    Sample,
    can_compile,
)
from hrm_core.model.attention_choice import available_backends, load_backend

COLUMNS = (
    "precision",
    "attention",
    "mode",
    "slots",
    "what",
    "first call s",
    "best s",
    "median s",
    "worst s",
    "variant-segments/s",
    "TFLOP/s",
    "% of peak",
)
SLOTS = {"cpu": (2,), "cuda": (16, 128, 512)}
ROUNDS = {"cpu": 5, "cuda": 20}
PRECISIONS = {"cpu": ("bfloat16", "float32"), "cuda": ("bfloat16",)}
PEAK_SIZE = {"cpu": 2048, "cuda": 8192}


@dataclass(frozen=True, slots=True)
class Case:
    """One way to run the network."""

    precision: str
    attention: str
    is_compiled: bool
    num_slots: int

    @property
    def dtype(self) -> torch.dtype:
        """The precision as torch names it."""
        dtype: torch.dtype = getattr(torch, self.precision)
        return dtype


def measure_throughput(
    device: torch.device, slots: Sequence[int] = (), with_compile: bool = True
) -> Section:
    """Time one segment at each precision, attention backend, mode and number of slots."""
    checkpoint = synthetic_checkpoint(full_size_config(), seed=0)
    block = "H_level.layers.0."
    num_block_parameters = sum(
        tensor.numel() for name, tensor in checkpoint.trunk.items() if name.startswith(block)
    )
    flops = segment_flops(checkpoint.config, num_block_parameters)
    peaks = {name: _measure_peak(device, name) for name in {*PRECISIONS[device.type], "float32"}}
    rows: list[tuple[Cell, ...]] = []
    for case in _cases(device, slots or SLOTS[device.type], with_compile):
        # Half precision may run as float32 products, so the faster of both peaks is the measure.
        peak = max(peaks[case.precision], peaks["float32"])
        for what, measure in (("segment", _time_segment), ("engine step", _time_engine)):
            # Graphs accumulate, and beyond a limit torch silently runs uncompiled.
            torch.compiler.reset()
            try:
                first_s, times = measure(checkpoint, device, case)
            except torch.OutOfMemoryError:
                rows.append((*_describe(case), what, *[None] * 6, "does not fit"))
                continue
            rate = case.num_slots / times.median_s
            speed = flops * rate
            rows.append(
                (
                    *_describe(case),
                    what,
                    first_s,
                    times.best_s,
                    times.median_s,
                    times.worst_s,
                    rate,
                    speed / 1e12,
                    100 * speed / peak,
                )
            )
    described = ", ".join(f"{name} {peak / 1e12:.3g}" for name, peak in sorted(peaks.items()))
    size = PEAK_SIZE[device.type]
    return Section(
        f"Throughput of the full-size network on {device}",
        COLUMNS,
        tuple(rows),
        (
            f"{flops / 1e9:.1f} GFLOP a variant-segment ({checkpoint.num_parameters} parameters, "
            f"{checkpoint.config.num_positions} positions).",
            f"Peak: best of a product of {size} x {size} matrices, in TFLOP/s: {described}.",
            "An engine step here seats, runs and returns every slot, the most it ever does; "
            "answers usually take several segments.",
        ),
    )


def _cases(device: torch.device, slots: Sequence[int], with_compile: bool) -> Iterator[Case]:
    modes = (False, True) if with_compile and can_compile(device) else (False,)
    for precision in PRECISIONS[device.type]:
        for attention in available_backends(device, getattr(torch, precision)):
            for is_compiled in modes:
                for num_slots in slots:
                    yield Case(precision, attention, is_compiled, num_slots)


def _describe(case: Case) -> tuple[Cell, ...]:
    mode = "compiled" if case.is_compiled else "eager"
    return case.precision, case.attention, mode, case.num_slots


def _time_segment(checkpoint: Checkpoint, device: torch.device, case: Case) -> tuple[float, Times]:
    """Time inputs to logits of the bare network; also return the first call's seconds."""
    network = checkpoint.load_network(load_backend(case.attention), device, case.dtype)
    config = checkpoint.config
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randint(
        config.vocab_size, (case.num_slots, config.seq_len), generator=generator
    ).to(device, torch.int32)
    rows = torch.randn(case.num_slots, config.puzzle_emb_ndim, generator=generator).to(device)
    z_H, z_L = network.fresh_state(case.num_slots)

    def segment(z_H: Tensor, z_L: Tensor) -> tuple[Tensor, ...]:
        z_H, z_L = network.segment(z_H, z_L, network.embed(tokens, rows))
        return z_H, z_L, network.read_logits(z_H).argmax(-1), *network.read_q(z_H)

    run = torch.compile(segment, dynamic=False) if case.is_compiled else segment
    with torch.inference_mode():
        return _time_call(lambda: run(z_H, z_L), device)


def _time_engine(checkpoint: Checkpoint, device: torch.device, case: Case) -> tuple[float, Times]:
    """Time engine steps in which every slot is refilled; also return the start's seconds."""
    engines: list[Engine] = []
    settings = EngineConfig(
        device,
        case.num_slots,
        case.precision,
        case.attention,
        compile=case.is_compiled,
        num_threads=torch.get_num_threads(),  # as for the bare network
    )
    start_s = time_once(lambda: engines.append(Engine(checkpoint, settings)), device)
    engine = engines[0]
    if engine.num_slots < case.num_slots:
        raise torch.OutOfMemoryError(f"{case.num_slots} slots do not fit")
    samples = _make_samples(checkpoint, case.num_slots)

    def step() -> None:
        engine.add(samples, job="bench", halting=Halting.FIXED, max_segments=1)
        if len(engine.step()) != len(samples):
            raise RuntimeError("a step of one segment did not return all samples")

    return start_s, time_call(step, ROUNDS[device.type], device)


def _make_samples(checkpoint: Checkpoint, num: int) -> list[Sample]:
    config = checkpoint.config
    generator = np.random.default_rng(0)
    tokens = generator.integers(0, config.vocab_size, (num, config.seq_len), dtype=np.int32)
    rows = checkpoint.rows.gather(range(num))
    return [Sample(i, tokens[i], rows[i]) for i in range(num)]


def _time_call(call: Callable[[], object], device: torch.device) -> tuple[float, Times]:
    return time_once(call, device), time_call(call, ROUNDS[device.type], device)


def _measure_peak(device: torch.device, precision: str) -> float:
    """Return the best rate of a product of large square matrices, in operations per second."""
    size = PEAK_SIZE[device.type]
    left, right = (
        torch.randn(size, size, device=device).to(getattr(torch, precision)) for _ in range(2)
    )
    times = time_call(lambda: left @ right, ROUNDS[device.type], device)
    return 2 * size**3 / times.best_s
