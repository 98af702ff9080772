"""How many samples a second a step moves on, by the number of slots."""

import time
from collections.abc import Iterable
from statistics import median

import torch

from hrm_core.engine.carry import Carry, Run
from hrm_core.engine.memory import is_out_of_memory, release_memory
from hrm_core.model.network import Network

# Every answer waits for whole steps, so a slower one is not worth its rate.
LONGEST_STEP_S = 0.25


def measure_rates(
    network: Network,
    run: Run,
    counts: Iterable[int],
    device: torch.device,
    *,
    num_calls: int = 3,
    longest_step_s: float = LONGEST_STEP_S,
) -> dict[int, float]:
    """Time steps on blanks at rising numbers of slots, as far as memory and the longest step allow.

    Units: samples a second, by number of slots; at least one slot count is given.

    Raises: RuntimeError when not even the first fits.
    """
    rates: dict[int, float] = {}
    for count in counts:
        try:
            step_s = _time_step(network, run, count, device, num_calls)
        except RuntimeError as error:
            if not (rates and is_out_of_memory(error)):
                raise
            break
        if rates and step_s > longest_step_s:
            break
        rates[count] = count / step_s
    release_memory(device)
    return rates


def _time_step(
    network: Network, run: Run, count: int, device: torch.device, num_calls: int
) -> float:
    carry = Carry.empty(network, count, device)
    spans = []
    with torch.inference_mode():
        for _ in range(num_calls + 1):
            started = time.perf_counter()
            carry.advance(network, run)
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            spans.append(time.perf_counter() - started)
    return median(spans[1:])  # the first one chooses kernels, or compiles
