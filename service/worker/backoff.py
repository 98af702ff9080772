"""How long to wait before trying again."""

import random

FIRST_S, MOST_S = 0.1, 2.0


class Backoff:
    """Waits that double up to a limit, and differ between processes that began together."""

    def __init__(self) -> None:
        self._wait_s = FIRST_S

    def next_s(self) -> float:
        """Give the next wait, in seconds."""
        wait_s, self._wait_s = self._wait_s, min(MOST_S, 2 * self._wait_s)
        return wait_s * random.uniform(0.5, 1.0)

    def reset(self) -> None:
        """Begin anew: it worked."""
        self._wait_s = FIRST_S
