"""The number of slots that an engine begins with: as asked for, measured, or guessed."""

import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from statistics import median

import torch

from hrm_core.device.device import count_cores, wanted_threads
from hrm_core.device.measured import Tuned, choose_slots, write_tuned
from hrm_core.engine.carry import Carry, Run, run_segment
from hrm_core.engine.memory import (
    MAX_SLOTS,
    SLOT_COUNTS,
    count_fitting,
    guess_slots,
    is_out_of_memory,
    release_memory,
    slots_for,
)
from hrm_core.errors import EngineError
from hrm_core.model.config import ModelConfig
from hrm_core.model.network import Network

# Devices on which the count is measured; a CPU's rate hardly depends on it.
MEASURED_TYPES = ("cuda",)
# Every answer waits for whole steps, so a slower step is not worth its rate.
LONGEST_STEP_S = 0.25


def limit_slots(
    num_slots: int, config: ModelConfig, device: torch.device, dtype: torch.dtype
) -> int:
    """Reduce a number of slots to what any engine, and on the CPU the free memory, can hold.

    Raises: EngineError when it is below 1.
    """
    num_slots = min(num_slots, MAX_SLOTS)
    if num_slots < 1:
        raise EngineError(f"{num_slots} slots: at least one is needed")
    if device.type == "cpu":
        # A system grants more memory than it has and kills the process that uses it: do not try.
        max_slots = max(1, count_fitting(config, device, dtype))
        while num_slots > max_slots:
            num_slots //= 2
    return num_slots


def pick_slots(
    network: Network,
    config: ModelConfig,
    device: torch.device,
    tuned: Tuned | None,
    record: Path | None,
    *,
    precision: str,
    num_threads: int | None,
    max_slots: int | None,
    compiles: bool,
) -> int:
    """Choose the number of slots at about the best rate, no more than `max_slots` need.

    `config` is the model at the samples' size, which may be a crop of the network's own. `tuned` is
    what was measured before; what is measured now is written to `record`.
    """
    whole = network.config
    num_threads = wanted_threads(num_threads) or count_cores()
    num_slots = guess_slots(whole, device, network.dtype, num_threads)
    if tuned is None and device.type in MEASURED_TYPES:
        counts = [count for count in SLOT_COUNTS if count <= num_slots]
        rates = measure_rates(network, run_segment, counts, device)
        tuned = Tuned(precision, choose_slots(rates), source="start")
        if record:
            with suppress(OSError):  # then the next start measures again
                write_tuned(record, tuned, {"samples_per_s": rates})
    if tuned is not None:
        num_slots = min(num_slots, tuned.num_slots)
    if config.seq_len != whole.seq_len:
        # A step of any size costs about as much as one of the whole canvas.
        num_slots = num_slots * whole.num_positions // config.num_positions
        num_slots = max(count for count in SLOT_COUNTS if count <= num_slots)
    if max_slots is not None:
        # A count for each number of samples would compile for each.
        num_slots = min(num_slots, slots_for(max_slots) if compiles else max_slots)
    return num_slots


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

    Units: samples a second, by number of slots; at least one is measured.

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
    carry = Carry(network, count, device)
    spans = []
    with torch.inference_mode():
        for _ in range(num_calls + 1):
            started = time.perf_counter()
            carry.advance(network, run)
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            spans.append(time.perf_counter() - started)
    return median(spans[1:])  # the first one chooses kernels, or compiles
