"""The configuration of an engine, and its number of slots: as asked for, measured, or guessed."""

import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import torch

from hrm_core.device.arithmetic import Arithmetic
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


@dataclass(frozen=True, slots=True)
class EngineConfig:
    """The configuration of an engine.

    `num_slots` None: see `pick_slots`. `precision` None: the checkpoint's `forward_dtype`, where
    the device has instructions for it; `auto`: see `choose_arithmetic`. `arithmetic`, where given,
    takes precedence.
    `tuned_folder` holds what was measured on this device. `num_threads` None: see `pick_threads`.
    """

    device: torch.device
    num_slots: int | None = None
    precision: str | None = None
    attention: str = "auto"
    compile: bool = False
    max_slots: int | None = None
    tuned_folder: Path | None = None
    num_threads: int | None = None
    arithmetic: Arithmetic | None = None


def pick_slots(
    network: Network,
    model: ModelConfig,
    config: EngineConfig,
    tuned: Tuned | None,
    record: Path | None,
) -> int:
    """Choose the number of slots: as configured, else at about the best rate.

    `model` is the network's at the samples' size, which may be a crop. `tuned` is what was measured
    before; what is measured now is written to `record`.

    Raises: EngineError when fewer than one is configured.
    """
    num_slots = config.num_slots
    if num_slots is None:
        num_slots = _best_slots(network, model, config, tuned, record)
    num_slots = min(num_slots, MAX_SLOTS)
    if num_slots < 1:
        raise EngineError(f"{num_slots} slots: at least one is needed")
    if config.device.type == "cpu":
        # A system grants more memory than it has and kills the process that uses it: do not try.
        max_slots = max(1, count_fitting(model, config.device, network.dtype))
        while num_slots > max_slots:
            num_slots //= 2
    return num_slots


def _best_slots(
    network: Network,
    model: ModelConfig,
    config: EngineConfig,
    tuned: Tuned | None,
    record: Path | None,
) -> int:
    """Return the number of slots at about the best rate, no more than `max_slots` need."""
    whole, device = network.config, config.device
    num_threads = wanted_threads(config.num_threads) or count_cores()
    num_slots = guess_slots(whole, device, network.dtype, num_threads)
    if tuned is None and device.type in MEASURED_TYPES:
        counts = [count for count in SLOT_COUNTS if count <= num_slots]
        rates = measure_rates(network, run_segment, counts, device)
        precision = str(network.dtype).removeprefix("torch.")
        tuned = Tuned(precision, choose_slots(rates), source="start")
        if record:
            with suppress(OSError):  # then the next start measures again
                write_tuned(record, tuned, {"samples_per_s": rates})
    if tuned is not None:
        num_slots = min(num_slots, tuned.num_slots)
    if model.seq_len != whole.seq_len:
        # A step of any size costs about as much as one of the whole canvas.
        num_slots = num_slots * whole.num_positions // model.num_positions
        num_slots = max(count for count in SLOT_COUNTS if count <= num_slots)
    if config.max_slots is not None:
        # A count for each number of samples would compile for each.
        limit = slots_for(config.max_slots) if config.compile else config.max_slots
        num_slots = min(num_slots, limit)
    return num_slots


def measure_rates(
    network: Network,
    run: Run,
    counts: Iterable[int],
    device: torch.device,
    *,
    num_calls: int = 3,
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
        if rates and step_s > LONGEST_STEP_S:
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
