"""How many slots a device's memory holds, and what running out of it looks like."""

import os

import torch

from hrm_core.config import ModelConfig
from hrm_core.layers import swiglu_width

MAX_SLOTS = {"cuda": 1024, "cpu": 512}
# Beyond this many positions at once a CPU gains nothing; a GPU fills its memory.
CPU_POSITIONS = 16_384
MEMORY_SHARE = 0.7
_OUT_OF_MEMORY_WORDS = ("out of memory", "can't allocate memory", "not enough memory")


def guess_slots(config: ModelConfig, device: torch.device, dtype: torch.dtype) -> int:
    """Estimate the slots that fit into a share of the free memory; the engine tries them out."""
    per_position = _widest_moment(config) * dtype.itemsize
    per_slot = per_position * config.num_positions
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
    else:
        free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    slots = int(free * MEMORY_SHARE / per_slot)
    if device.type == "cpu":
        slots = min(slots, max(1, CPU_POSITIONS // config.num_positions))
    return max(1, min(slots, MAX_SLOTS[device.type]))


def is_out_of_memory(error: RuntimeError) -> bool:
    """Tell a failed allocation from other runtime errors."""
    if isinstance(error, torch.OutOfMemoryError):
        return True
    return any(words in str(error).lower() for words in _OUT_OF_MEMORY_WORDS)


def release_memory(device: torch.device) -> None:
    """Hand cached blocks back to the device."""
    if device.type == "cuda":
        torch.cuda.empty_cache()


def _widest_moment(config: ModelConfig) -> int:
    """Numbers held per position when most are held at once, in units of the computation's dtype.

    The states, the injection and their successors, beside either attention's q, k, v in two
    precisions or the SwiGLU's gate, up and product; norms work in float32.
    """
    states = 6 * config.hidden_size
    attention = 3 * config.hidden_size * 3
    mlp = 3 * swiglu_width(config.hidden_size, config.expansion) + 4 * config.hidden_size
    return states + max(attention, mlp)
