"""Devices, and what this machine can do."""

import os
import shutil
from pathlib import Path

import torch

from hrm_core.errors import EngineError


def pick_device(name: str) -> torch.device:
    """Turn `auto`, `cpu`, `cuda` or `cuda:N` into a device that is there.

    Raises: EngineError when it is not.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise EngineError(f"unknown device {name!r}: use auto, cpu, cuda or cuda:N") from error
    if device.type not in ("cpu", "cuda"):
        raise EngineError(f"device {name!r} is not supported: use auto, cpu, cuda or cuda:N")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise EngineError(
            f"device {name!r} is not there: torch sees {torch.cuda.device_count()} CUDA device(s)"
        )
    return device


def can_compile(device: torch.device) -> bool:
    """Tell whether torch.compile has what it needs: Triton on CUDA, a C++ compiler on the CPU."""
    if device.type == "cuda":
        return torch.utils._triton.has_triton()
    return any(shutil.which(name) for name in ("g++", "clang++", "c++"))


def keep_compiled(folder: Path) -> None:
    """Let torch.compile keep its work in a folder, so that a restarted process finds it again.

    Call it before anything is compiled. TORCHINDUCTOR_CACHE_DIR, where set, goes before it.
    """
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(folder))


def lacks_half_precision(device: torch.device) -> bool:
    """Tell whether products in half precision are only emulated, slower than float32 ones."""
    if device.type != "cpu" or not hasattr(torch.cpu, "get_capabilities"):
        return False
    able = torch.cpu.get_capabilities()
    return not any(able.get(name) for name in ("avx512_bf16", "amx_bf16", "amx_tile", "bf16"))
