"""Seconds since the process began, for timings that a person waits through."""

import os
import time
from pathlib import Path


def seconds_since_start() -> float:
    """Seconds from the start of this process until now.

    Where the system does not tell the start, seconds of processor time, which is a lower bound.
    """
    try:
        # Field 22, counted after the parenthesised name, which may itself hold spaces.
        fields = Path("/proc/self/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        started = int(fields[19]) / os.sysconf("SC_CLK_TCK")
        return time.clock_gettime(time.CLOCK_BOOTTIME) - started
    except (OSError, ValueError, IndexError, AttributeError):
        return time.process_time()
