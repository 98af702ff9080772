"""What the measurements ran on."""

import os
import platform

import torch

from bench.report import Cell
from hrm_core.device.device import name_processor

HALF_PRECISION_FLAGS = ("avx512_bf16", "amx_bf16", "bf16")


def describe_hardware() -> dict[str, Cell]:
    """Tell processor, memory, GPU and torch, and how busy the machine is."""
    facts: dict[str, Cell] = {
        "CPU": name_processor(),
        "cores": len(os.sched_getaffinity(0)),
        "bfloat16 instructions": "yes" if _has_bfloat16_instructions() else "no",
        "memory GB": round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9, 1),
        "GPU": torch.cuda.get_device_name() if torch.cuda.is_available() else "none",
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "Python": platform.python_version(),
        "load of the last minute": round(os.getloadavg()[0], 1),
    }
    if torch.cuda.is_available():
        facts["CUDA"] = torch.version.cuda
    return facts


def _has_bfloat16_instructions() -> bool:
    able = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    return any(able.get(flag) for flag in HALF_PRECISION_FLAGS)
