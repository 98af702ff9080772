"""What this machine and its build of torch have, for records of measurements and bug reports."""

import os
import platform
from typing import Any

import torch

from hrm_core.device.device import (
    can_compile,
    driver_version,
    has_usable_gpu,
    lacks_half_precision,
    name_processor,
)
from hrm_core.errors import EngineError
from hrm_core.model.attention_choice import available_backends

Fact = str | int | float | None


def describe_hardware() -> dict[str, Fact]:
    """Return processor, memory, GPU, torch and the load of the machine."""
    facts: dict[str, Fact] = {
        "CPU": name_processor(),
        "cores": len(os.sched_getaffinity(0)),
        "bfloat16 instructions": "no" if lacks_half_precision(torch.device("cpu")) else "yes",
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


def describe_compute() -> dict[str, Fact]:
    """Return what torch was built with, what it uses of the processor, and every GPU."""
    libraries: dict[str, Any] = {"oneDNN": torch.backends.mkldnn, "MKL": torch.backends.mkl}
    facts: dict[str, Fact] = {
        "CPU instructions": torch.backends.cpu.get_cpu_capability(),
        "products by": ", ".join(name for name, one in libraries.items() if one.is_available()),
        "torch is built for CUDA": torch.version.cuda,
        "NVIDIA driver": driver_version(),
    }
    device = torch.device("cpu")
    try:
        if has_usable_gpu():
            device = torch.device("cuda")
    except EngineError as error:
        facts["GPU not usable"] = str(error)
    for index in range(torch.cuda.device_count() if device.type == "cuda" else 0):
        found = torch.cuda.get_device_properties(index)
        capability = f"compute capability {found.major}.{found.minor}"
        facts[f"cuda:{index}"] = f"{found.name}, {found.total_memory / 1e9:.1f} GB, {capability}"
    facts["attention backends"] = ", ".join(available_backends(device, torch.bfloat16))
    facts["can compile"] = "yes" if can_compile(device) else "no"
    return facts
