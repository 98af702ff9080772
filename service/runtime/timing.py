"""Pauses between attempts, and the time since this process started."""

import os
import random
import time
from pathlib import Path

MAX_DOUBLINGS = 60  # of a float that must not overflow


def backoff_s(num_failures: int, first_s: float, max_s: float) -> float:
    """Return the pause after a number of failures in a row: it doubles from `first_s` to `max_s`.

    A random factor between 0.5 and 1 keeps processes that failed together from retrying together.
    """
    doubled_s = first_s * 2.0 ** min(num_failures - 1, MAX_DOUBLINGS)
    return min(doubled_s, max_s) * random.uniform(0.5, 1.0)  # noqa: S311 - no secret


class Backoff:
    """Counts failures in a row and returns the pause after each."""

    def __init__(self, first_s: float = 0.1, max_s: float = 2.0) -> None:
        self._first_s, self._max_s = first_s, max_s
        self._num_failures = 0

    def next_s(self) -> float:
        """Count a failure and return the pause before the next attempt."""
        self._num_failures += 1
        return backoff_s(self._num_failures, self._first_s, self._max_s)

    def reset(self) -> None:
        """Start again from the first pause, after a success."""
        self._num_failures = 0


def seconds_since_start() -> float:
    """Return the seconds since this process started.

    Where the system does not expose the start time, the seconds of processor time, which are a
    lower bound.
    """
    try:
        # Field 22, counted after the parenthesised name, which may itself hold spaces.
        fields = Path("/proc/self/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        started = int(fields[19]) / os.sysconf("SC_CLK_TCK")
        return time.clock_gettime(time.CLOCK_BOOTTIME) - started
    except (OSError, ValueError, IndexError, AttributeError):
        return time.process_time()
