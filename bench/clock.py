"""Timing: warm-up, repetition, and several candidates taking turns.

A clock is any function that returns seconds, such as wall time, or the processor time of one
thread, which other programs do not disturb.
"""

import time
from collections.abc import Callable, Sequence
from functools import partial
from statistics import median
from typing import NamedTuple

import torch

Call = Callable[[], object]
Clock = Callable[[], float]


class Times(NamedTuple):
    """Repeated measurements of one call, in their order, and what they come to.

    Units: seconds.
    """

    samples_s: tuple[float, ...]
    best_s: float
    median_s: float
    worst_s: float


def time_call(
    call: Call, rounds: int, device: torch.device | None = None, clock: Clock = time.perf_counter
) -> Times:
    """Time one call after one unmeasured call."""
    return time_in_turn((call,), rounds, device, clock)[0]


def time_in_turn(
    calls: Sequence[Call],
    rounds: int,
    device: torch.device | None = None,
    clock: Clock = time.perf_counter,
) -> list[Times]:
    """Time calls in turn, A B A B, after one unmeasured round, so that drift affects all."""
    turns = [[time_once(call, device, clock) for call in calls] for _ in range(rounds + 1)]
    return [Times(own, min(own), median(own), max(own)) for own in zip(*turns[1:], strict=True)]


def time_once(
    call: Call, device: torch.device | None = None, clock: Clock = time.perf_counter
) -> float:
    """Time one call, until the device has finished it.

    Units: seconds.
    """
    _wait(device)
    start = clock()
    call()
    _wait(device)
    return clock() - start


def measure_peak(device: torch.device, precision: str, size: int, rounds: int) -> float:
    """Return the best rate of a product of square matrices, in operations per second."""
    dtype: torch.dtype = getattr(torch, precision)
    left, right = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    return 2 * size**3 / time_call(partial(torch.matmul, left, right), rounds, device).best_s


def _wait(device: torch.device | None) -> None:
    if device is not None and device.type == "cuda":
        torch.cuda.synchronize(device)
