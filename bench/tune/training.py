"""Training speed in samples per second, for slices of each size."""

import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from time import perf_counter

import numpy as np
import torch

from bench.tune.plan import Plan
from hrm_core import DeviceMemoryError, Pretraining, TrainingArrays, TrainSettings, can_compile
from hrm_core.device.device import lacks_half_precision

BATCH = {"cpu": 96, "cuda": 768}
SLICES = {"cpu": (12, 24, 48, 96), "cuda": (12, 24, 48, 96, 192, 384)}
NUM_TIMED = 2
LONGEST_S = 60.0


def measure_training(plan: Plan) -> Iterator[dict[str, object]]:
    """Time training steps in slices of rising size, until memory does not hold them."""
    device, checkpoint = plan.where(), plan.open()
    config = replace(checkpoint.config, num_rows=2, crop=False)
    batch = BATCH[device.type]
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
        row: dict[str, object] = {
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
            try:
                seconds = _time_slices(run, device)
            except DeviceMemoryError:
                yield row | {"failed": "does not fit"}
                return
        if run.lanes.next().slice_size < slice_size:
            yield row | {"failed": "does not fit"}
            return
        yield row | {"samples_per_s": slice_size / seconds}
        if seconds * batch / slice_size > LONGEST_S:
            return


def _time_slices(run: Pretraining, device: torch.device) -> float:
    """Return the seconds of one slice, after one that compiles."""
    turns = run.turns()
    next(turns)
    started = perf_counter()
    for _ in range(NUM_TIMED):
        next(turns)
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return (perf_counter() - started) / NUM_TIMED
