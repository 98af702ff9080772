"""Timing: warm-up, repetition, and several candidates taking turns.

A clock is any function that returns seconds, such as wall time, or the processor time of one
thread, which other programs do not disturb.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

import torch

Clock = Callable[[], float]


@dataclass(frozen=True, slots=True)
class Times:
    """Repeated measurements of one call.

    Units: seconds.
    """

    samples_s: tuple[float, ...]

    @property
    def median_s(self) -> float:
        """The median."""
        return median(self.samples_s)

    @property
    def best_s(self) -> float:
        """The shortest time, without disturbances."""
        return min(self.samples_s)

    @property
    def worst_s(self) -> float:
        """The longest time."""
        return max(self.samples_s)


def time_call(
    call: Callable[[], object],
    rounds: int,
    device: torch.device | None = None,
    clock: Clock = time.perf_counter,
) -> Times:
    """Time one call after one unmeasured call."""
    return time_in_turn((call,), rounds, device, clock)[0]


def time_in_turn(
    calls: Sequence[Callable[[], object]],
    rounds: int,
    device: torch.device | None = None,
    clock: Clock = time.perf_counter,
) -> list[Times]:
    """Time calls in turn, A B A B, after one unmeasured round, so that drift affects all."""
    spans: list[list[float]] = [[] for _ in calls]
    for turn in range(rounds + 1):
        for call, taken in zip(calls, spans, strict=True):
            span = time_once(call, device, clock)
            if turn:
                taken.append(span)
    return [Times(tuple(taken)) for taken in spans]


def time_once(
    call: Callable[[], object],
    device: torch.device | None = None,
    clock: Clock = time.perf_counter,
) -> float:
    """Time one call, until the device has finished it.

    Units: seconds.
    """
    _wait(device)
    start = clock()
    call()
    _wait(device)
    return clock() - start


def _wait(device: torch.device | None) -> None:
    if device is not None and device.type == "cuda":
        torch.cuda.synchronize(device)
