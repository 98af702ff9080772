"""What the workers serve: checkpoints, the puzzles these know, adapted checkpoints."""

from dataclasses import dataclass
from typing import Any

from service.errors import AdaptedNotFound
from service.jobs import keys
from service.jobs.connection import explained_async
from service.jobs.record import AdaptedRecord, KnownPuzzle, WorkerRecord
from service.jobs.removals import REMOVALS_KEPT_S, removals

# A record not renewed for this long is of a worker that is gone.
WORKER_SEEN_S = 10.0


@dataclass(frozen=True, slots=True)
class PuzzlePage:
    """Some of a checkpoint's puzzles, by name; `next` is where to go on, None at the end."""

    puzzles: tuple[KnownPuzzle, ...]
    next: str | None
    total: int


class ServedStore:
    """What the workers say of themselves in Redis.

    Raises: QueueUnavailable, in every method, when Redis does not answer.
    """

    def __init__(self, client: Any) -> None:
        self._redis = client

    async def workers(self) -> tuple[WorkerRecord, ...]:
        """List the workers seen of late, by id."""
        async with explained_async(self._redis):
            seconds, microseconds = await self._redis.time()
            since = seconds + microseconds / 1e6 - WORKER_SEEN_S
            seen = await self._redis.zrangebyscore(keys.WORKERS, since, "+inf", withscores=True)
            if not seen:
                return ()
            ids = sorted((member.decode(), score) for member, score in seen)
            records = await self._redis.mget([keys.worker_key(worker_id) for worker_id, _ in ids])
        return tuple(
            WorkerRecord.from_json(data, seen_at)
            for data, (_, seen_at) in zip(records, ids, strict=True)
            if data is not None
        )

    async def find_puzzle(self, sha256: str, demonstrations_hash: str) -> KnownPuzzle | None:
        """Look a puzzle up by its demonstrations, among those a checkpoint has rows for."""
        async with explained_async(self._redis):
            entry = await self._redis.hget(keys.puzzles_key(sha256), demonstrations_hash)
        return _known_puzzle(demonstrations_hash, entry) if entry is not None else None

    async def puzzles(
        self, sha256: str, *, after: str | None = None, limit: int = 100
    ) -> PuzzlePage:
        """List the puzzles that a checkpoint has rows for, by name."""
        names = keys.puzzle_names_key(sha256)
        lowest = "-" if after is None else f"({after}"
        async with explained_async(self._redis):
            total = await self._redis.zcard(names)
            members = await self._redis.zrangebylex(names, lowest, "+", 0, limit + 1)
            hashes = [member.rpartition(b" ")[2].decode() for member in members[:limit]]
            entries = await self._redis.hmget(keys.puzzles_key(sha256), hashes) if hashes else []
        puzzles = tuple(
            _known_puzzle(found, entry)
            for found, entry in zip(hashes, entries, strict=True)
            if entry is not None
        )
        following = members[limit - 1].decode() if len(members) > limit else None
        return PuzzlePage(puzzles, following, int(total))

    async def adapted(self) -> tuple[AdaptedRecord, ...]:
        """List the adapted checkpoints that workers keep, each once, the newest made first.

        One that was asked to be removed since it was made is left out, though it may take a moment
        until it is gone.
        """
        async with explained_async(self._redis):
            entries = await self._redis.zrange(keys.ADAPTED_REMOVED, 0, -1, withscores=True)
        removed = removals(entries)
        found: dict[str, AdaptedRecord] = {}
        for worker in await self.workers():
            for record in worker.adapted:
                if record.made_at > removed.get(record.id, 0.0):
                    found[record.id] = max(found.get(record.id, record), record, key=_usefulness)
        return tuple(sorted(found.values(), key=lambda one: (-one.made_at, one.id)))

    async def remove_adapted(self, adapted_id: str) -> None:
        """Ask the workers to remove an adapted checkpoint; it is listed no more.

        Raises: AdaptedNotFound.
        """
        if all(record.id != adapted_id for record in await self.adapted()):
            raise AdaptedNotFound(adapted_id)
        async with explained_async(self._redis):
            seconds, microseconds = await self._redis.time()
            now = seconds + microseconds / 1e6
            pipeline = self._redis.pipeline(transaction=True)
            pipeline.zadd(keys.ADAPTED_REMOVED, {adapted_id: now})
            pipeline.zremrangebyscore(keys.ADAPTED_REMOVED, "-inf", now - REMOVALS_KEPT_S)
            await pipeline.execute()


def _usefulness(record: AdaptedRecord) -> tuple[bool, float]:
    return record.is_complete, record.used_at


def _known_puzzle(demonstrations_hash: str, entry: bytes) -> KnownPuzzle:
    num_variants, _, name = entry.decode().partition(" ")
    return KnownPuzzle(name, demonstrations_hash, int(num_variants))
