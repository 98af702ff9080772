"""Whether an engine that has work still takes steps."""

import time
from collections import deque
from collections.abc import Callable
from statistics import median

STALLED_AFTER_S = 60.0
STALLED_AFTER_STEPS = 10.0
_STEPS_KEPT = 101


class Pulse:
    """Tells a stalled engine from one that works, rests or loads.

    Written by the engine's thread, read by others.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._awaited_since: float | None = None
        self._steps_s: deque[float] = deque(maxlen=_STEPS_KEPT)
        self._allowed_s = STALLED_AFTER_S

    def work(self) -> None:
        """Say that samples are seated: a step is due."""
        if self._awaited_since is None:
            self._awaited_since = self._clock()

    def step(self, step_s: float) -> None:
        """Say that a step was taken."""
        self._steps_s.append(step_s)
        # Here and not where it is read: other threads must not walk over a deque that changes.
        self._allowed_s = max(STALLED_AFTER_S, STALLED_AFTER_STEPS * median(self._steps_s))
        self._awaited_since = self._clock()

    def beat(self) -> None:
        """Say that other work than a step was done: a slice of training."""
        self._awaited_since = self._clock()

    def rest(self) -> None:
        """Say that no step is due: there is no work, or a checkpoint is being loaded."""
        self._awaited_since = None

    @property
    def stalled_s(self) -> float:
        """Seconds beyond the time a step may take; 0 while all is well."""
        awaited_since = self._awaited_since
        if awaited_since is None:
            return 0.0
        return max(0.0, self._clock() - awaited_since - self._allowed_s)

    @property
    def is_stalled(self) -> bool:
        """Whether a step is overdue."""
        return self.stalled_s > 0
