"""What the workers serve: checkpoints, the puzzles these know, adapted checkpoints."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from urllib.parse import quote

import structlog
from pydantic import Field

from service.jobs import keys
from service.jobs.connection import explained_async
from service.runtime.key_ring import LOCAL_OWNER
from service.wire.checkpoint import Adapted, AdaptedLinks, CheckpointRecord, KnownPuzzle
from service.wire.document import Document
from service.wire.errors import AdaptedNotFound, PuzzlesUnpublished

# A record not renewed for this long is of a worker that is gone.
WORKER_SEEN_S = 10.0


class AdaptedRecord(Adapted):
    """A checkpoint adapted to one puzzle, which a worker keeps.

    `owner` is the caller of the job that made it.
    """

    owner: str = LOCAL_OWNER  # of records that workers of before write

    def document(self) -> Adapted:
        """Return what its owner may see."""
        links = AdaptedLinks(self=f"/v1/adapted/{quote(self.id, safe='')}")
        return Adapted(**(dict(self) | {"links": links}))


class WorkerRecord(Document):
    """What a worker publishes of itself.

    `refused` are checkpoints that it cannot serve, by name, with the reason; `reloaded_at` is the
    newest request to reload that it has followed.

    Units: times in seconds since 1970; `seen_at` by the clock of Redis, written when read.
    """

    id: str
    host: str
    device: str
    state: Literal["starting", "ready", "stalled", "draining"]
    num_running: int
    num_slots: int | None
    checkpoints: tuple[CheckpointRecord, ...]
    started_at: float
    seen_at: float = 0.0
    adapted: tuple[AdaptedRecord, ...] = ()
    refused: dict[str, str] = Field(default_factory=dict)
    reloaded_at: float = 0.0

    @classmethod
    def from_json(cls, data: bytes, seen_at: float) -> "WorkerRecord":
        """Read a record, also one of a worker of another version; both may run for a while.

        Raises: ValueError for a record that lacks what this version needs.
        """
        document = json.loads(data)
        for kind in ("checkpoints", "adapted"):
            document[kind] = [
                {_FORMER_NAMES.get(name, name): value for name, value in entry.items()}
                for entry in document.get(kind, ())
            ]
        return cls.model_validate(document | {"seen_at": seen_at})


_FORMER_NAMES = {
    "num_rows": "rows",
    "num_puzzles": "puzzles",
    "num_parameters": "parameters",
    "num_variants": "variants",
    "num_steps": "steps",
    "num_bytes": "bytes",
    "is_complete": "complete",
    "puzzle_name": "puzzle",
    "demonstrations_hash": "demonstrations_sha256",
}


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
        self._unreadable: set[str] = set()

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
        found = (
            self._read_worker(worker_id, data, seen_at)
            for data, (worker_id, seen_at) in zip(records, ids, strict=True)
            if data is not None
        )
        return tuple(record for record in found if record is not None)

    def _read_worker(self, worker_id: str, data: bytes, seen_at: float) -> WorkerRecord | None:
        """Read a worker's record; one that cannot be read counts as no worker, with one warning."""
        try:
            return WorkerRecord.from_json(data, seen_at)
        except ValueError as error:
            if worker_id not in self._unreadable:
                self._unreadable.add(worker_id)
                structlog.get_logger(__name__).warning(
                    "worker of another version left out: stop it",
                    worker=worker_id,
                    reason=" ".join(str(error).split())[:200],
                )
            return None

    async def check_published(self, checkpoints: Iterable[CheckpointRecord]) -> None:
        """Check that the lists of the puzzles that checkpoints know are there.

        Raises: PuzzlesUnpublished.
        """
        ordered = list(checkpoints)
        async with explained_async(self._redis):
            pipeline = self._redis.pipeline(transaction=False)
            for checkpoint in ordered:
                pipeline.exists(*keys.puzzle_index_keys(checkpoint.sha256))
            nums_there = await pipeline.execute()
        for checkpoint, num_there in zip(ordered, nums_there, strict=True):
            _check_published(checkpoint, num_there)

    async def find_puzzle(
        self, checkpoint: CheckpointRecord, demonstrations_hash: str
    ) -> KnownPuzzle | None:
        """Look a puzzle up by its demonstrations, among those a checkpoint has rows for.

        Raises: PuzzlesUnpublished.
        """
        index = keys.puzzle_index_keys(checkpoint.sha256)
        async with explained_async(self._redis):
            # Together: nothing is published between the two.
            pipeline = self._redis.pipeline(transaction=True)
            pipeline.hget(index[0], demonstrations_hash)
            pipeline.exists(*index)
            entry, num_there = await pipeline.execute()
        if entry is None:
            _check_published(checkpoint, num_there)
            return None
        return _known_puzzle(demonstrations_hash, entry)

    async def puzzles(
        self, checkpoint: CheckpointRecord, *, after: str | None = None, limit: int = 100
    ) -> PuzzlePage:
        """List the puzzles that a checkpoint has rows for, by name.

        Raises: PuzzlesUnpublished.
        """
        await self.check_published((checkpoint,))
        by_hash, names = keys.puzzle_index_keys(checkpoint.sha256)
        lowest = "-" if after is None else f"({after}"
        async with explained_async(self._redis):
            total = await self._redis.zcard(names)
            members = await self._redis.zrangebylex(names, lowest, "+", 0, limit + 1)
            hashes = [member.rpartition(b" ")[2].decode() for member in members[:limit]]
            entries = await self._redis.hmget(by_hash, hashes) if hashes else []
        puzzles = tuple(
            _known_puzzle(found, entry)
            for found, entry in zip(hashes, entries, strict=True)
            if entry is not None
        )
        following = members[limit - 1].decode() if len(members) > limit else None
        return PuzzlePage(puzzles, following, int(total))

    async def request_reload(self) -> None:
        """Ask the workers to serve what is in their checkpoint folders now."""
        async with explained_async(self._redis):
            seconds, microseconds = await self._redis.time()
            now = seconds + microseconds / 1e6
            await self._redis.set(keys.RELOAD, repr(now), ex=int(keys.REQUESTS_KEPT_S))

    async def reload_requested_at(self) -> float:
        """Return when that was asked last; 0: not of late.

        Units: seconds since 1970 by the clock of Redis.
        """
        async with explained_async(self._redis):
            return float(await self._redis.get(keys.RELOAD) or 0.0)

    async def adapted(self, owner: str | None = None) -> tuple[AdaptedRecord, ...]:
        """List the adapted checkpoints that workers keep, each once, the newest made first.

        Those of an owner; without one, all.

        One that was asked to be removed since it was made is left out, though it may take a moment
        until it is gone.
        """
        async with explained_async(self._redis):
            entries = await self._redis.zrange(keys.ADAPTED_REMOVED, 0, -1, withscores=True)
        removed = {member.decode(): when for member, when in entries}
        found: dict[str, AdaptedRecord] = {}
        for worker in await self.workers():
            for record in worker.adapted:
                if owner not in (None, record.owner):
                    continue
                if record.made_at.timestamp() > removed.get(record.id, 0.0):
                    found[record.id] = max(found.get(record.id, record), record, key=_usefulness)
        return tuple(sorted(found.values(), key=lambda one: (-one.made_at.timestamp(), one.id)))

    async def remove_adapted(self, adapted_id: str, owner: str | None = None) -> None:
        """Ask the workers to remove an adapted checkpoint; it is listed no more.

        Raises: AdaptedNotFound, also for one of another owner than the one named.
        """
        if all(record.id != adapted_id for record in await self.adapted(owner)):
            raise AdaptedNotFound(adapted_id)
        async with explained_async(self._redis):
            seconds, microseconds = await self._redis.time()
            now = seconds + microseconds / 1e6
            pipeline = self._redis.pipeline(transaction=True)
            pipeline.zadd(keys.ADAPTED_REMOVED, {adapted_id: now})
            pipeline.zremrangebyscore(keys.ADAPTED_REMOVED, "-inf", now - keys.REQUESTS_KEPT_S)
            await pipeline.execute()


def _check_published(checkpoint: CheckpointRecord, num_there: int) -> None:
    # Of no puzzles nothing is kept: Redis has no empty lists.
    if checkpoint.puzzles and num_there < len(keys.puzzle_index_keys(checkpoint.sha256)):
        raise PuzzlesUnpublished(checkpoint.name)


def _usefulness(record: AdaptedRecord) -> tuple[bool, datetime]:
    return record.complete, record.used_at


def _known_puzzle(demonstrations_hash: str, entry: bytes) -> KnownPuzzle:
    num_variants, _, name = entry.decode().partition(" ")
    return KnownPuzzle(
        name=name, demonstrations_sha256=demonstrations_hash, variants=int(num_variants)
    )
