"""The number of threads that a network computes with on the CPU."""

import os

import psutil
import torch
from loky import cpu_count

# Multiply-adds of one pass over a batch that are worth a thread: with fewer, threads mostly wait
# for each other. Of the checkpoints in the repository, 64 slots of a worker take less than twice
# that, and training on 24 samples at a time of checkpoints/base-small takes more.
WORK_PER_THREAD = 2_400_000_000
# Each product of the forward pass is two in the backward pass.
TRAINING_PASSES = 3
# The free cores are sampled several times and the best count is used, since short bursts pass, such
# as another part of the service that starts.
SAMPLE_S = 0.2
NUM_SAMPLES = 5
# A core that is free for this share of the time counts as free.
FREE_SHARE = 0.75


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
