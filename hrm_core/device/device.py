"""Devices: selection, names, precision, compilation, and threads on the CPU."""

import os
import platform
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import ParamSpec, TypeVar

import psutil
import torch
from loky import cpu_count

from hrm_core.errors import EngineError

P = ParamSpec("P")
R = TypeVar("R")

# The version of NVIDIA's kernel module, where it is loaded.
DRIVER_FILE = Path("/proc/driver/nvidia/version")
# Compilations of one function: for each checkpoint, slot count and training phase of a process.
RECOMPILE_LIMIT = 64
# Ampere. Earlier GPUs emulate bfloat16 products, but not float16 ones.
BFLOAT16_CAPABILITY = (8, 0)
# Multiply-adds of one pass over a batch that are worth a thread: with fewer, threads mostly wait
# for each other. On crops of 8 x 8, 64 slots of checkpoints/arc1 take less than twice that, and
# training on 24 samples at a time takes more.
WORK_PER_THREAD = 2_400_000_000
# Each product of the forward pass is two in the backward pass.
TRAINING_PASSES = 3
# The free cores are sampled several times and the best count is used, since short bursts pass, such
# as another part of the service that starts.
SAMPLE_S = 0.2
NUM_SAMPLES = 5
# A core that is free for this share of the time counts as free.
FREE_SHARE = 0.75


def pick_device(name: str) -> torch.device:
    """Return the device named `auto`, `cpu`, `cuda` or `cuda:N`.

    A CUDA device becomes the calling thread's current one: otherwise events and streams without a
    device, and some libraries' contexts, would be those of the first GPU.

    Raises: EngineError when it is not present, or `auto` finds a GPU that torch cannot use.
    """
    if name == "auto":
        name = "cuda" if has_usable_gpu() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise EngineError(f"unknown device {name!r}: use auto, cpu, cuda or cuda:N") from error
    if device.type not in ("cpu", "cuda"):
        raise EngineError(f"device {name!r} is not supported: use auto, cpu, cuda or cuda:N")
    if device.type == "cuda":
        has_usable_gpu()
        if (device.index or 0) >= torch.cuda.device_count():
            raise EngineError(
                f"device {name!r} is not present: torch finds {torch.cuda.device_count()} CUDA "
                "device(s)"
            )
        torch.cuda.set_device(device.index or 0)
    return device


def has_usable_gpu() -> bool:
    """Return whether torch can use a GPU.

    Raises: EngineError where one is present but its driver is too old for this build of torch.
    """
    if torch.cuda.is_available():
        return True
    is_hidden = os.environ.get("CUDA_VISIBLE_DEVICES", "0").strip() in ("", "-1")
    if torch.version.cuda is None or is_hidden or not DRIVER_FILE.exists():
        return False
    raise EngineError(
        f"this machine's NVIDIA driver ({driver_version() or 'of unknown version'}) does "
        f"not run torch {torch.__version__}, which is built for CUDA {torch.version.cuda} (CUDA 13 "
        "needs driver 580 or later, CUDA 12.x 525 or later): update the driver, install a build of "
        "torch for an older CUDA, or use --device cpu"
    )


def driver_version() -> str | None:
    """Return the version of NVIDIA's kernel module; None where it is not loaded."""
    try:
        text = DRIVER_FILE.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    version = re.search(r"\d+\.\d[\d.]*", text)
    return version[0] if version else None


def name_device(device: torch.device) -> str:
    """Return a device's product name; a CPU's includes the number of threads."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{name_processor()} x{torch.get_num_threads()}"


def name_processor() -> str:
    """Return the processor's product name."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.partition(":")[2].strip() for line in lines if "model name" in line)
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def default_precision(forward_dtype: str, device: torch.device) -> str:
    """Return a checkpoint's precision, or float16 on GPUs that emulate its bfloat16."""
    if device.type != "cuda" or forward_dtype != "bfloat16":
        return forward_dtype
    is_able = torch.cuda.get_device_capability(device) >= BFLOAT16_CAPABILITY
    return forward_dtype if is_able else "float16"


def compiled(function: Callable[P, R]) -> Callable[P, R]:
    """Compile a function as a whole at static shapes.

    A function that cannot be compiled as a whole is an error. Otherwise torch would silently run it
    in pieces, or uncompiled beyond a number of shapes.
    """
    settings = torch._dynamo.config
    # torch 2.6 has only the older name.
    limit = "recompile_limit" if hasattr(settings, "recompile_limit") else "cache_size_limit"
    setattr(settings, limit, RECOMPILE_LIMIT)
    return torch.compile(function, dynamic=False, fullgraph=True)


def can_compile(device: torch.device) -> bool:
    """Return whether torch.compile can work: Triton on CUDA, a C++ compiler on the CPU."""
    if device.type == "cuda":
        return torch.utils._triton.has_triton()
    return find_compiler() is not None


def find_compiler() -> str | None:
    """Return the path of the C++ compiler; None where there is none."""
    return next(filter(None, map(shutil.which, ("g++", "clang++", "c++"))), None)


def keep_compiled(folder: Path) -> None:
    """Make torch.compile cache its results in a folder, for restarted processes.

    Call it before anything is compiled. TORCHINDUCTOR_CACHE_DIR, where set, takes precedence.
    """
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(folder))


def lacks_half_precision(device: torch.device) -> bool:
    """Return whether half-precision products are only emulated, slower than float32."""
    if device.type != "cpu" or not hasattr(torch.cpu, "get_capabilities"):
        return False
    able = torch.cpu.get_capabilities()
    return not any(able.get(name) for name in ("avx512_bf16", "amx_bf16", "amx_tile", "bf16"))


def pick_threads(device: torch.device, work: int, wanted: int | None = None) -> int | None:
    """Return the number of threads for `work` multiply-adds at a time; None: torch's own, on a GPU.

    `wanted` takes precedence, then OMP_NUM_THREADS where it is set. Otherwise there are as many as
    the work is worth, but no more than cores that are free now.
    """
    given = wanted_threads(wanted)
    if given is not None or device.type != "cpu":
        return given
    worth = max(1, work // WORK_PER_THREAD)
    return worth if worth == 1 else min(worth, count_free_cores())


def wanted_threads(wanted: int | None) -> int | None:
    """Return the configured number: the option's, else that of OMP_NUM_THREADS, else None.

    OMP_NUM_THREADS may list one for each level of nesting; the first one counts.
    """
    first = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    of_environment = int(first) if first.isdecimal() else 0
    return wanted or of_environment or None


def use_threads(num_threads: int | None) -> None:
    """Set the number of threads for this thread's products; None changes nothing."""
    if num_threads is not None and num_threads != torch.get_num_threads():
        torch.set_num_threads(num_threads)


def count_cores() -> int:
    """Count the cores that this process may use: by affinity, and by its container's quota."""
    num_cores: int = cpu_count(only_physical_cores=True)
    return num_cores


def count_free_cores() -> int:
    """Count the cores that this process may use and that are not busy; at least one."""
    num_cores, num_free = count_cores(), 1
    for _ in range(NUM_SAMPLES):
        if num_free >= num_cores:
            break
        num_free = max(num_free, int(_idle_share() + 1 - FREE_SHARE))
    return min(num_free, num_cores)


def _idle_share() -> float:
    """Return the sum of the idle shares of the processors that this process may use."""
    busy = psutil.cpu_percent(SAMPLE_S, percpu=True)
    allowed = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set(range(len(busy)))
    return sum(1 - percent / 100 for index, percent in enumerate(busy) if index in allowed)
