"""Memory and open files of the service's processes over time."""

import contextlib
import time
from dataclasses import dataclass, field
from statistics import median

import psutil

from soak.stack import Stack

SAMPLE_EVERY_S = 2.0
WARM_UP_S = 60.0
MIN_LIFE_S = 360.0
ALLOWED_GROWTH = 1.10
# A few connections more or less are no growth.
ALLOWED_FILES = 8


@dataclass(slots=True)
class Life:
    """What was measured of one process.

    Units: times in seconds by the monotonic clock, memory in bytes.
    """

    name: str
    times: list[float] = field(default_factory=list)
    memory: list[int] = field(default_factory=list)
    files: list[int] = field(default_factory=list)

    @property
    def lasted_s(self) -> float:
        """From the first to the last measurement."""
        return self.times[-1] - self.times[0] if self.times else 0.0

    def quarters(self, values: list[int]) -> tuple[float, float]:
        """Return the medians of the first quarter after the warm-up, and of the last one."""
        start, end = self.times[0] + WARM_UP_S, self.times[-1]
        quarter = (end - start) / 4
        first = [v for t, v in zip(self.times, values, strict=True) if start <= t < start + quarter]
        last = [v for t, v in zip(self.times, values, strict=True) if t >= end - quarter]
        return median(first), median(last)


class Watch:
    """Measures the processes of a stack whenever it is due."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._next = 0.0
        self.lives: dict[int, Life] = {}

    def measure_if_due(self) -> None:
        """Measure each process that runs."""
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + SAMPLE_EVERY_S
        for part in self._stack.parts:
            if part.pid is None:
                continue
            with contextlib.suppress(psutil.Error):
                process = psutil.Process(part.pid)
                memory, files = process.memory_info().rss, process.num_fds()
                life = self.lives.setdefault(part.pid, Life(part.name))
                life.times.append(now)
                life.memory.append(memory)
                life.files.append(files)

    def judge(self) -> tuple[bool | None, str]:
        """Return whether what lived long stayed as it was, and figures; None where nothing did."""
        are_flat, figures = True, []
        for life in self.lives.values():
            if life.lasted_s < WARM_UP_S + MIN_LIFE_S:
                continue
            memory, files = life.quarters(life.memory), life.quarters(life.files)
            are_flat &= memory[1] <= memory[0] * ALLOWED_GROWTH
            are_flat &= files[1] <= max(files[0] * ALLOWED_GROWTH, files[0] + ALLOWED_FILES)
            figures.append(
                f"{life.name} in {life.lasted_s:.0f} s: {memory[0] / 2**20:.1f} to "
                f"{memory[1] / 2**20:.1f} MiB, {files[0]:.0f} to {files[1]:.0f} files"
            )
        if not figures:
            return None, "no process lived long enough"
        return are_flat, "; ".join(figures)
