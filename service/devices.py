"""Which devices there are for workers, found out without loading torch."""

import fcntl
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from service.errors import ServiceError, SettingsError

# Present wherever a program can reach a GPU: NVIDIA's driver, AMD's, and Windows' for its Linux.
DRIVER_FILES = (Path("/dev/nvidiactl"), Path("/dev/kfd"), Path("/dev/dxg"))
COUNT_TIMEOUT_S = 180.0
FREE = "free"
_COUNT = "import torch; print(torch.cuda.device_count())"


def list_devices(wanted: str) -> tuple[str, ...]:
    """Return a device for each worker: what was asked for, or with "auto" every visible GPU.

    Raises: ServiceError when the GPUs cannot be counted.
    """
    if wanted not in ("auto", FREE):
        return (wanted,)
    return tuple(f"cuda:{place}" for place in range(count_gpus())) or ("cpu",)


def count_gpus() -> int:
    """Count the GPUs that a worker would see.

    torch is asked, in a process that ends at once: it alone knows whether this build of it can use
    them, and what CUDA_VISIBLE_DEVICES leaves, which nvidia-smi passes over. In this process it
    would take seconds to load and hundreds of megabytes to keep.

    Raises: ServiceError when the answer does not come.
    """
    if not any(path.exists() for path in DRIVER_FILES):
        return 0
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-c", _COUNT],
            capture_output=True,
            text=True,
            check=True,
            timeout=COUNT_TIMEOUT_S,
        )
        return int(done.stdout)
    except (subprocess.SubprocessError, ValueError) as error:
        raise ServiceError(
            "this machine has a GPU, but torch does not tell how many: see what "
            f"`{sys.executable} -c '{_COUNT}'` says, or name the device with --device"
        ) from error


@contextmanager
def taken_device(wanted: str, state_folder: Path) -> Iterator[str]:
    """Give the device for one worker; "free" is the first GPU that no other worker has taken.

    For containers of one service: Docker gives the first GPU to each that asks for one, so they
    see all and share them out by file locks in the state folder, which end with their processes.

    Raises: SettingsError when every GPU is taken; ServiceError when they cannot be counted.
    """
    if wanted != FREE:
        yield wanted
        return
    folder = state_folder.expanduser() / "devices"
    folder.mkdir(parents=True, exist_ok=True)
    num_gpus = count_gpus()
    for place in range(num_gpus):
        lock = os.open(folder / f"cuda-{place}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            continue
        try:
            yield f"cuda:{place}"
        finally:
            os.close(lock)
        return
    raise SettingsError(
        f"HRM_ARC_DEVICE=free: no GPU is free ({num_gpus} seen, each with a worker that uses "
        f"{folder}). Start fewer workers, or set HRM_ARC_DEVICE=cpu"
    )
