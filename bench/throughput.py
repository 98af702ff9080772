"""Throughput of the full-size network in variant-segments per second: bare and in an engine."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bench.clock import Times, measure_peak, time_call, time_once
from bench.model import full_size_config, segment_flops, synthetic_checkpoint
from bench.report import Row, Section
from hrm_core import Checkpoint, Engine, EngineConfig, Halting, Sample, can_compile
from hrm_core.model.attention_choice import available_backends, load_backend

SLOTS = {"cpu": (2,), "cuda": (16, 128, 512)}
ROUNDS = {"cpu": 5, "cuda": 20}
PRECISIONS = {"cpu": ("bfloat16", "float32"), "cuda": ("bfloat16",)}
PEAK_SIZE = {"cpu": 2048, "cuda": 8192}
Case = dict[str, Any]


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
    size, rounds = PEAK_SIZE[device.type], ROUNDS[device.type]
    precisions = {*PRECISIONS[device.type], "float32"}
    peaks = {name: measure_peak(device, name, size, rounds) for name in sorted(precisions)}
    rows: list[Row] = []
    for case in _cases(device, slots or SLOTS[device.type], with_compile):
        # Half precision may run as float32 products, so the faster of both peaks is the measure.
        peak = max(peaks[case["precision"]], peaks["float32"])
        for what, measure in (("segment", _time_segment), ("engine step", _time_engine)):
            # Graphs accumulate, and beyond a limit torch silently runs uncompiled.
            torch.compiler.reset()
            try:
                first_s, times = measure(checkpoint, device, case)
            except torch.OutOfMemoryError:
                rows.append({**case, "what": what, "first call s": "does not fit"})
                continue
            rate = case["slots"] / times.median_s
            rows.append(
                {
                    **case,
                    "what": what,
                    "first call s": first_s,
                    "best s": times.best_s,
                    "median s": times.median_s,
                    "worst s": times.worst_s,
                    "variant-segments/s": rate,
                    "TFLOP/s": flops * rate / 1e12,
                    "% of peak": 100 * flops * rate / peak,
                }
            )
    described = ", ".join(f"{name} {peak / 1e12:.3g}" for name, peak in peaks.items())
    return Section(
        f"Throughput of the full-size network on {device}",
        rows,
        (
            f"{flops / 1e9:.1f} GFLOP a variant-segment ({checkpoint.num_parameters} parameters, "
            f"{checkpoint.config.num_positions} positions).",
            f"Peak: best of a product of {size} x {size} matrices, in TFLOP/s: {described}.",
            "An engine step here seats, runs and returns every slot, the most it ever does; "
            "answers usually take several segments.",
        ),
    )


def _cases(device: torch.device, slots: Sequence[int], with_compile: bool) -> Iterator[Case]:
    """Yield the ways to run the network, as the first cells of their rows."""
    modes = ("eager", "compiled") if with_compile and can_compile(device) else ("eager",)
    for precision in PRECISIONS[device.type]:
        for attention in available_backends(device, getattr(torch, precision)):
            for mode in modes:
                for num_slots in slots:
                    yield {
                        "precision": precision,
                        "attention": attention,
                        "mode": mode,
                        "slots": num_slots,
                    }


def _time_segment(checkpoint: Checkpoint, device: torch.device, case: Case) -> tuple[float, Times]:
    """Time inputs to logits of the bare network; also return the first call's seconds."""
    dtype: torch.dtype = getattr(torch, case["precision"])
    network = checkpoint.load_network(load_backend(case["attention"]), device, dtype)
    config, num_slots = checkpoint.config, case["slots"]
    generator = torch.Generator().manual_seed(0)
    shape = (num_slots, config.seq_len)
    tokens = torch.randint(config.vocab_size, shape, generator=generator).to(device, torch.int32)
    rows = torch.randn(num_slots, config.puzzle_emb_ndim, generator=generator).to(device)
    z_H, z_L = network.fresh_state(num_slots)

    def segment(z_H: Tensor, z_L: Tensor) -> tuple[Tensor, ...]:
        z_H, z_L = network.segment(z_H, z_L, network.embed(tokens, rows))
        return z_H, z_L, network.read_logits(z_H).argmax(-1), *network.read_q(z_H)

    run = torch.compile(segment, dynamic=False) if case["mode"] == "compiled" else segment
    with torch.inference_mode():
        first_s = time_once(lambda: run(z_H, z_L), device)
        return first_s, time_call(lambda: run(z_H, z_L), ROUNDS[device.type], device)


def _time_engine(checkpoint: Checkpoint, device: torch.device, case: Case) -> tuple[float, Times]:
    """Time engine steps in which every slot is refilled; also return the start's seconds."""
    engines: list[Engine] = []
    config, num_slots = checkpoint.config, case["slots"]
    settings = EngineConfig(
        device,
        num_slots,
        case["precision"],
        case["attention"],
        compile=case["mode"] == "compiled",
        num_threads=torch.get_num_threads(),  # as for the bare network
    )
    start_s = time_once(lambda: engines.append(Engine(checkpoint, settings)), device)
    engine = engines[0]
    if engine.num_slots < num_slots:
        raise torch.OutOfMemoryError(f"{num_slots} slots do not fit")
    shape = (num_slots, config.seq_len)
    tokens = np.random.default_rng(0).integers(0, config.vocab_size, shape, dtype=np.int32)
    rows = checkpoint.rows.gather(range(num_slots))
    samples = [Sample(i, tokens[i], rows[i]) for i in range(num_slots)]

    def step() -> None:
        engine.add(samples, job="bench", halting=Halting.FIXED, max_segments=1)
        if len(engine.step()) != len(samples):
            raise RuntimeError("a step of one segment did not return all samples")

    return start_s, time_call(step, ROUNDS[device.type], device)
