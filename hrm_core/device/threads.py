"""How many threads a network computes with on the CPU."""

import os

import psutil
import torch
from loky import cpu_count

# Multiply-adds of one pass over a batch that are worth a thread of their own: with less, threads
# mostly wait for each other. Of what comes with the source, all 64 slots of a worker are below
# twice that, and training on 24 samples at a time of checkpoints/base-small is above.
WORK_PER_THREAD = 2_400_000_000
# Each product of the forward pass is two in the backward pass.
TRAINING_PASSES = 3
# A look takes this long. The best of several counts, up to the first that finds every core free: a
# short burst, such as another part of the service that starts, passes; a busy neighbour stays.
LOOK_S = 0.2
NUM_LOOKS = 5
# Nothing is ever quite idle: a core that is free for this share of the time counts as free.
FREE_SHARE = 0.75


def pick_threads(device: torch.device, work: int, wanted: int | None = None) -> int | None:
    """Return the number of threads for `work` multiply-adds at a time; None: torch's own, on a GPU.

    What is wanted goes first, then OMP_NUM_THREADS, where someone has set it. Otherwise there are
    as many as the work is worth, but no more than cores that are free now.
    """
    given = wanted_threads(wanted)
    if given is not None or device.type != "cpu":
        return given
    worth = max(1, work // WORK_PER_THREAD)
    return worth if worth == 1 else min(worth, count_free_cores())


def wanted_threads(wanted: int | None) -> int | None:
    """Return the number that someone chose: an option's, else that of OMP_NUM_THREADS, else None.

    OMP_NUM_THREADS may list one for each level of nesting; the first one counts.
    """
    first = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    of_environment = int(first) if first.isdecimal() else 0
    return wanted or of_environment or None


def use_threads(num_threads: int | None) -> None:
    """Let this thread's products run on so many threads; None changes nothing."""
    if num_threads is not None and num_threads != torch.get_num_threads():
        torch.set_num_threads(num_threads)


def count_cores() -> int:
    """Count the cores that this process may use: by affinity, and by its container's quota."""
    num_cores: int = cpu_count(only_physical_cores=True)
    return num_cores


def count_free_cores() -> int:
    """Count the cores that this process may use and that nobody else keeps busy; at least one."""
    num_cores, num_free = count_cores(), 1
    for _ in range(NUM_LOOKS):
        if num_free >= num_cores:
            break
        num_free = max(num_free, int(_idle_share() + 1 - FREE_SHARE))
    return min(num_free, num_cores)


def _idle_share() -> float:
    """Add up the idle shares of the processors that this process may use, looking for a moment."""
    busy = psutil.cpu_percent(LOOK_S, percpu=True)
    allowed = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set(range(len(busy)))
    return sum(1 - percent / 100 for place, percent in enumerate(busy) if place in allowed)
