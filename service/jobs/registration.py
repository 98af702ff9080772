"""The registration of a worker: that it lives, with which checkpoints it answers, and its end."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from service.jobs import keys
from service.jobs.served import WORKER_SEEN_S, WorkerRecord
from service.wire.checkpoint import KnownPuzzle

# How long a checkpoint's list of puzzles outlives the last worker that served it.
PUZZLES_TTL_S = 86_400
WORKER_TTL_S = 30


@dataclass(frozen=True, slots=True)
class Registration:
    """What registering returns, of the worker's checkpoints by hash.

    `unpublished`: those without published puzzles. `num_ready`: how many workers answer with each.
    """

    unpublished: frozenset[str]
    num_ready: dict[str, int]


def register(client: Any, record: WorkerRecord) -> Registration:
    """Write a worker's record, which is kept for a while; `client` is a `redis.Redis`."""
    seconds, microseconds = client.time()
    now = seconds + microseconds / 1e6
    hashes = sorted({one.sha256 for one in record.checkpoints})
    index = [
        (one.sha256, key)
        for one in record.checkpoints
        if one.puzzles
        for key in keys.puzzle_index_keys(one.sha256)
    ]
    pipeline = client.pipeline(transaction=False)
    for _, key in index:
        pipeline.expire(key, PUZZLES_TTL_S)
    for key in map(keys.ready_key, hashes):
        if record.state == "ready":
            pipeline.zadd(key, {record.id: now})
        else:
            pipeline.zrem(key, record.id)
        pipeline.expire(key, WORKER_TTL_S)
    pipeline.set(keys.worker_key(record.id), record.model_dump_json(), ex=WORKER_TTL_S)
    pipeline.zadd(keys.WORKERS, {record.id: now})
    pipeline.zremrangebyscore(keys.WORKERS, "-inf", now - WORKER_TTL_S)
    for key in map(keys.ready_key, hashes):
        pipeline.zremrangebyscore(key, "-inf", now - WORKER_SEEN_S)
    for key in map(keys.ready_key, hashes):
        pipeline.zcard(key)
    replies = pipeline.execute()
    return Registration(
        # A key that is not there has no time to be set.
        frozenset(
            sha256 for (sha256, _), is_there in zip(index, replies, strict=False) if not is_there
        ),
        dict(zip(hashes, replies[len(replies) - len(hashes) :], strict=True)),
    )


def publish_puzzles(client: Any, sha256: str, puzzles: Iterable[KnownPuzzle]) -> None:
    """Write which puzzles a checkpoint has rows for; `client` is a `redis.Redis`."""
    by_hash, by_name = keys.puzzle_index_keys(sha256)
    pipeline = client.pipeline(transaction=True)
    pipeline.delete(by_hash, by_name)
    for puzzle in puzzles:
        entry = f"{puzzle.variants} {puzzle.name}"
        pipeline.hset(by_hash, puzzle.demonstrations_sha256, entry)
        pipeline.zadd(by_name, {f"{puzzle.name} {puzzle.demonstrations_sha256}": 0})
    pipeline.expire(by_hash, PUZZLES_TTL_S)
    pipeline.expire(by_name, PUZZLES_TTL_S)
    pipeline.execute()
