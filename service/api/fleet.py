"""What the workers serve, as far as the API knows: their records, read at most once a second."""

import asyncio
import time
from dataclasses import dataclass
from typing import Final

from service.api.problems import RETRY_SOON, Problem
from service.jobs import CheckpointRecord, JobStore, WorkerRecord
from service.runtime.folders import default_checkpoint
from service.wire.errors import UnknownCheckpoint

MAX_AGE_S: Final = 1.0
# Which puzzles a checkpoint knows changes only when its puzzles.json is written again.
KNOWN_FOR_S: Final = 60.0
MAX_REMEMBERED: Final = 4096
_STATES: Final = ("ready", "stalled", "starting", "draining")


@dataclass(frozen=True, slots=True)
class Sighting:
    """The workers as last seen, and by name what they serve.

    Where workers serve different checkpoints of one name, a ready worker's counts.
    """

    workers: tuple[WorkerRecord, ...]
    checkpoints: dict[str, CheckpointRecord]

    @classmethod
    def of(cls, workers: tuple[WorkerRecord, ...]) -> "Sighting":
        """Gather the checkpoints of workers."""
        checkpoints: dict[str, CheckpointRecord] = {}
        for worker in sorted(workers, key=lambda worker: _STATES.index(worker.state)):
            for checkpoint in worker.checkpoints:
                checkpoints.setdefault(checkpoint.name, checkpoint)
        return cls(workers, dict(sorted(checkpoints.items())))

    def count_servers(self, name: str) -> int:
        """Count the workers that serve a checkpoint."""
        return sum(
            any(checkpoint.name == name for checkpoint in worker.checkpoints)
            for worker in self.workers
        )

    @property
    def ready_checkpoints(self) -> tuple[CheckpointRecord, ...]:
        """What ready workers serve."""
        return tuple(
            checkpoint
            for worker in self.workers
            if worker.state == "ready"
            for checkpoint in worker.checkpoints
        )


class Fleet:
    """The workers' records, the choice of a checkpoint among them, and what that knows."""

    def __init__(self, store: JobStore, default_checkpoint: str | None) -> None:
        self._store = store
        self._default = default_checkpoint
        self._seen = Sighting((), {})
        self._seen_at = -MAX_AGE_S
        self._lock = asyncio.Lock()
        self._known_until: dict[tuple[str, str], float] = {}

    async def look(self, max_age_s: float = MAX_AGE_S) -> Sighting:
        """Give the records, read again when they are too old.

        Raises: QueueUnavailable.
        """
        if time.monotonic() - self._seen_at >= max_age_s:
            async with self._lock:  # the first to come reads for all who wait
                if time.monotonic() - self._seen_at >= max_age_s:
                    self._seen = Sighting.of(await self._store.served.workers())
                    self._seen_at = time.monotonic()
        return self._seen

    async def choose(self, name: str | None) -> CheckpointRecord:
        """Find a checkpoint by name, or the service's own choice.

        Raises: Problem while no worker is there; UnknownCheckpoint; QueueUnavailable.
        """
        seen = await self.look()
        name = name or self.default_name(seen)
        found = seen.checkpoints.get(name or "")
        if found is not None:
            return found
        if not seen.checkpoints or any(not worker.checkpoints for worker in seen.workers):
            raise not_ready()
        raise UnknownCheckpoint(
            f"no worker serves a checkpoint {str(name)[:200]!r}; there are "
            f"{', '.join(seen.checkpoints)} (GET /v1/checkpoints describes them)"
        )

    async def knows(self, checkpoint: CheckpointRecord, demonstrations_hash: str) -> bool:
        """Return whether a checkpoint has rows for a puzzle; a yes is remembered for a minute.

        Raises: PuzzlesUnpublished; QueueUnavailable.
        """
        key = (checkpoint.sha256, demonstrations_hash)
        now = time.monotonic()
        if self._known_until.get(key, now) > now:
            return True
        if await self._store.served.find_puzzle(checkpoint, demonstrations_hash) is None:
            return False
        if len(self._known_until) >= MAX_REMEMBERED:
            self._known_until.clear()
        self._known_until[key] = now + KNOWN_FOR_S
        return True

    async def known_to(self, demonstrations_hash: str) -> list[str]:
        """Return the names of the checkpoints with rows for a puzzle.

        Raises: PuzzlesUnpublished; QueueUnavailable.
        """
        checkpoints = (await self.look()).checkpoints
        found = await asyncio.gather(
            *(self.knows(record, demonstrations_hash) for record in checkpoints.values())
        )
        return [name for name, knows in zip(checkpoints, found, strict=True) if knows]

    def default_name(self, seen: Sighting) -> str | None:
        """Return the name of the checkpoint of jobs that name none; None where none is served."""
        return default_checkpoint(self._default, seen.checkpoints)


def not_ready() -> Problem:
    """Make the refusal for the time without workers."""
    return Problem(
        "not_ready",
        "no worker is ready yet. `hrm-arc serve` starts its own, which takes a moment: try "
        "again then (/health/ready shows when). Beside `hrm-arc api`, run `hrm-arc worker`",
        headers=RETRY_SOON,
    )
