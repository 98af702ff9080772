"""The devices that workers can use, and the options of an engine on one; loads no torch."""

import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Self

from filelock import FileLock, Timeout

from service.runtime.folders import state_subfolder
from service.wire.errors import InputError, ServiceError, SettingsError

# Present wherever a program can reach a GPU: the drivers of NVIDIA, of AMD, and of Windows for WSL.
DRIVER_FILES = (Path("/dev/nvidiactl"), Path("/dev/kfd"), Path("/dev/dxg"))
COUNT_TIMEOUT_S = 180.0
FREE = "free"
ALL = "all"
VISIBLE = "CUDA_VISIBLE_DEVICES"
# The exit code, with a sentence, where there is a GPU that torch cannot use.
UNUSABLE_CODE = 3
_COUNT = f"""
import sys, torch
from hrm_core import EngineError
from hrm_core.device.device import has_usable_gpu
try:
    print(torch.cuda.device_count() if has_usable_gpu() else 0)
except EngineError as error:
    print(error, file=sys.stderr)
    sys.exit({UNUSABLE_CODE})
"""


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """Where and how an engine runs; None, or "auto", leaves the choice to the engine.

    `slots` None: as many as were measured to be worth it and fit. `precision` None: the
    checkpoint's, or bfloat16 for float32 where the processor is clearly faster in it. `compiled`
    None: on CUDA only. `num_threads` None: by the network's size and the free cores.
    """

    device: str = "auto"
    slots: int | None = None
    precision: str | None = None
    attention: str = "auto"
    compiled: bool | None = None
    num_threads: int | None = None

    @property
    def given(self) -> tuple[str, ...]:
        """The names of the options that differ from their defaults."""
        return tuple(
            field.name for field in fields(self) if getattr(self, field.name) != field.default
        )

    def fill(self, other: Self) -> Self:
        """Return these options, with those that were left open taken from others."""
        return replace(other, **{name: getattr(self, name) for name in self.given})


def list_devices(wanted: str) -> tuple[str, ...]:
    """Return a device for each worker: the one wanted, or with "auto" every visible GPU.

    Raises: ServiceError when the GPUs cannot be counted.
    """
    if wanted not in ("auto", FREE):
        return (wanted,)
    return tuple(f"cuda:{index}" for index in range(count_gpus())) or ("cpu",)


def split_devices(wanted: str) -> tuple[str, ...]:
    """Return the devices that an option names: one, a list, or with "all" every visible GPU.

    Raises: InputError for a list of devices that cannot work together; ServiceError when the GPUs
    cannot be counted.
    """
    if wanted == ALL:
        return list_devices("auto")
    devices = tuple(part.strip() for part in wanted.split(","))
    kinds = {device.partition(":")[0] for device in devices}
    if len(devices) > 1 and kinds not in ({"cpu"}, {"cuda"}):
        raise InputError(
            f"--device {wanted}: a list has devices of one kind, such as cuda:0,cuda:1 or cpu,cpu"
        )
    return devices


def count_gpus() -> int:
    """Count the GPUs that a worker would see.

    A short-lived process asks torch: only torch knows whether its build can use them, and it
    respects CUDA_VISIBLE_DEVICES, which nvidia-smi does not. Loading it in this process would take
    seconds and hundreds of megabytes.

    Raises: ServiceError when torch does not answer; SettingsError for a GPU that torch cannot use.
    """
    if not any(path.exists() for path in DRIVER_FILES):
        return 0
    try:
        done = subprocess.run(  # noqa: S603 - this interpreter, with the text above
            [sys.executable, "-P", "-c", _COUNT],
            capture_output=True,
            text=True,
            timeout=COUNT_TIMEOUT_S,
        )
        if done.returncode == UNUSABLE_CODE:
            raise SettingsError(done.stderr.strip().splitlines()[-1])
        done.check_returncode()
        return int(done.stdout)
    except (subprocess.SubprocessError, ValueError) as error:
        raise ServiceError(
            "this machine has a GPU, but torch does not report how many: see what "
            f"`{sys.executable} -c 'import torch; print(torch.cuda.device_count())'` prints, or "
            "name the device with --device"
        ) from error


def isolate(device: str, environment: Mapping[str, str]) -> tuple[str, dict[str, str]]:
    """Return a device's name in a process that sees no other GPU, and the variables for that.

    A process that sees several GPUs opens a context on the first, whichever it uses, and does not
    find what a process on another one has compiled. Set the variables before torch is loaded.
    """
    kind, _, number = device.partition(":")
    visible = [part.strip() for part in environment.get(VISIBLE, "").split(",") if part.strip()]
    if kind != "cuda" or not (number or "0").isdecimal():
        return device, {}
    index = int(number or 0)
    if VISIBLE in environment and index >= len(visible):
        return device, {}  # it does not exist: opening it reports that
    return "cuda:0", {VISIBLE: visible[index] if visible else str(index)}


def show_device(device: str, environment: Mapping[str, str]) -> str:
    """Return the host's name of the device that an isolated process has."""
    visible = environment.get(VISIBLE, "")
    is_one = device == "cuda:0" and visible != "" and "," not in visible
    return f"cuda:{visible}" if is_one else device


@contextmanager
def taken_device(wanted: str, state_folder: Path) -> Iterator[str]:
    """Yield the device for one worker; "free" is the first GPU that no other worker has taken.

    For the containers of one service: Docker gives the first GPU to each that asks for one, so
    they all see every GPU and divide them by file locks in the state folder, which end with their
    processes.

    Raises: SettingsError when every GPU is taken; ServiceError when they cannot be counted.
    """
    if wanted != FREE:
        yield wanted
        return
    folder = state_subfolder("devices", state_folder)
    folder.mkdir(parents=True, exist_ok=True)
    num_gpus = count_gpus()
    for index in range(num_gpus):
        with ExitStack() as stack:
            try:
                stack.enter_context(FileLock(folder / f"cuda-{index}", mode=0o600, blocking=False))
            except Timeout:
                continue
            yield f"cuda:{index}"
            return
    raise SettingsError(
        f"HRM_ARC_DEVICE=free: no GPU is free ({num_gpus} seen, each with a worker that uses "
        f"{folder}). Start fewer workers, or set HRM_ARC_DEVICE=cpu"
    )
