"""What a worker tells of the adapted checkpoints that it keeps."""

import time

from service.adaptation.cache import AdaptedCache
from service.jobs import AdaptedRecord

# Looking costs a file or two for each, and the worker tells of itself every second.
LOOK_EVERY_S = 5.0
MAX_TOLD = 256


class Shelf:
    """The kept adapted checkpoints as records, the latest used of them, looked up now and then."""

    def __init__(self, cache: AdaptedCache) -> None:
        self.cache = cache
        self._records: tuple[AdaptedRecord, ...] = ()
        self._looked_at = -LOOK_EVERY_S

    def records(self) -> tuple[AdaptedRecord, ...]:
        """Tell of them. For one thread only."""
        now = time.monotonic()
        if now - self._looked_at >= LOOK_EVERY_S:
            self._looked_at = now
            self._records = tuple(entry.described() for entry in self.cache.entries()[:MAX_TOLD])
        return self._records
