"""Memory: how many slots and samples a device holds, and errors when it runs out."""

from collections.abc import Iterator
from contextlib import contextmanager

import psutil
import torch

from hrm_core.errors import DeviceMemoryError
from hrm_core.model.config import ModelConfig
from hrm_core.model.layers import swiglu_width

# Every count is a shape that is compiled once and found again by the next start; a count for each
# puzzle would compile for each puzzle.
SLOT_COUNTS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
# At 776 slots of the published network an index into gate and up passes 2^31.
MAX_SLOTS = SLOT_COUNTS[-1]
# Numbers of a state, in all and for each thread, beyond which a CPU gains nothing but longer steps:
# results come later, and more slots are blank at the end. A GPU fills its memory.
CPU_NUMBERS = 80_000
CPU_NUMBERS_PER_THREAD = 40_000
MEMORY_SHARE = 0.7
# Up to so many positions, training on the CPU attends by matrix products where they are faster, as
# they are in half precision up to any length of ARC. Their scores take memory.
SHORT_POSITIONS = 256
SHORT_POSITIONS_IN_HALF = 1024
_OUT_OF_MEMORY_WORDS = (
    "out of memory",
    "can't allocate memory",
    "not enough memory",
    "status_alloc_failed",  # cuBLAS and cuDNN, which allocate outside of torch
    "allocation_failed",
    "could not create a primitive",  # oneDNN, which has no words of its own for it
)


def guess_slots(
    config: ModelConfig, device: torch.device, dtype: torch.dtype, num_threads: int
) -> int:
    """Choose as many slots as a share of the free memory holds; the engine tries them out."""
    slots = int(MEMORY_SHARE * count_fitting(config, device, dtype))
    if device.type == "cpu":
        gainful = max(CPU_NUMBERS, num_threads * CPU_NUMBERS_PER_THREAD)
        slots = min(slots, gainful // (config.num_positions * config.hidden_size))
    return max(count for count in SLOT_COUNTS if count <= max(1, slots))


def slots_for(num_samples: int) -> int:
    """Return the smallest listed count of slots that holds so many samples, at most MAX_SLOTS."""
    return next((count for count in SLOT_COUNTS if count >= num_samples), MAX_SLOTS)


def largest_divisor(batch_size: int, limit: int) -> int:
    """Return the largest divisor of a batch size that is at most `limit`, or 1."""
    return max((n for n in range(1, min(batch_size, limit) + 1) if batch_size % n == 0), default=1)


def may_keep_scores(num_positions: int, device: torch.device, dtype: torch.dtype) -> bool:
    """Return whether training may attend by matrix products, which keep their scores."""
    limit = SHORT_POSITIONS if dtype == torch.float32 else SHORT_POSITIONS_IN_HALF
    return device.type == "cpu" and num_positions <= limit


def guess_slice(
    config: ModelConfig,
    num_positions: int,
    batch_size: int,
    device: torch.device,
    dtype: torch.dtype,
    num_processes: int = 1,
) -> int:
    """Choose the slice of a batch of sequences that a share of the free memory can train.

    `num_processes` train at once on this device.
    """
    bytes_per_sample = training_bytes(config, num_positions, device, dtype)
    fitting = MEMORY_SHARE * free_memory(device) / num_processes / bytes_per_sample
    return largest_divisor(batch_size, int(fitting))


def training_bytes(
    config: ModelConfig, num_positions: int, device: torch.device, dtype: torch.dtype
) -> int:
    """Estimate the activations that one sample of training keeps for its gradient.

    Of each block with a gradient: the SwiGLU's gate, up, activation and product; of the hidden
    size twelve times: q, k, v before and after rotation, the mixed heads, and both norms' inputs,
    wide and not. Attention that keeps its scores adds two tables of them.
    """
    if config.architecture == "trm":
        num_blocks = (config.L_cycles + 1) * config.L_layers
    else:
        num_blocks = config.H_layers + config.L_layers
    per_position = 12 * config.hidden_size + 4 * swiglu_width(config.hidden_size, config.expansion)
    if may_keep_scores(num_positions, device, dtype):
        per_position += 2 * config.num_heads * num_positions
    return num_blocks * num_positions * per_position * dtype.itemsize


def count_fitting(config: ModelConfig, device: torch.device, dtype: torch.dtype) -> int:
    """Estimate the slots that fit into all of the free memory."""
    per_slot = _widest_moment(config) * dtype.itemsize * config.num_positions
    return int(free_memory(device) // per_slot)


def free_memory(device: torch.device) -> int:
    """Return the bytes that a device has free now; of the host's those free without swapping."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    return psutil.virtual_memory().available


def is_out_of_memory(error: RuntimeError) -> bool:
    """Return whether a runtime error is a failed allocation."""
    if isinstance(error, torch.OutOfMemoryError):
        return True
    return any(words in str(error).lower() for words in _OUT_OF_MEMORY_WORDS)


@contextmanager
def needs_memory(device: torch.device, purpose: str) -> Iterator[None]:
    """Raise a failed allocation in the block as a DeviceMemoryError that names the purpose."""
    try:
        yield
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        raise DeviceMemoryError(
            f"{device} has no memory left for {purpose}: free some, or use --device cpu"
        ) from error


def release_memory(device: torch.device | None = None) -> None:
    """Return cached blocks to the device; None: to every device that this process uses."""
    if device is None or device.type == "cuda":
        torch.cuda.empty_cache()


def used_memory(device: torch.device) -> int | None:
    """Return the bytes taken on a CUDA device by all processes; None on the CPU."""
    if device.type != "cuda":
        return None
    free, total = torch.cuda.mem_get_info(device)
    return int(total - free)


def _widest_moment(config: ModelConfig) -> int:
    """Return the peak of numbers held per position, in units of the computation's dtype.

    The states, the injection and their successors, beside either attention's q, k, v in two
    precisions or the SwiGLU's gate, up and product; norms work in float32.
    """
    states = 6 * config.hidden_size
    attention = 3 * config.hidden_size * 3
    mlp = 3 * swiglu_width(config.hidden_size, config.expansion) + 4 * config.hidden_size
    return states + max(attention, mlp)
