"""What an owner has in Redis, a page at a time, the newest first."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from service.jobs.connection import explained_async
from service.wire.errors import QueueError

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where a page ended."""

    created_ms: int
    id: str

    @classmethod
    def parse(cls, text: str) -> "Cursor":
        """Read what a page gave as its end.

        Raises: QueueError.
        """
        created_ms, _, one_id = text.partition("-")
        if not (created_ms.isascii() and created_ms.isdigit() and len(created_ms) < 16 and one_id):
            raise QueueError(f"{text!r} is no cursor of a list: leave it out to start again")
        return cls(int(created_ms), one_id)

    def __str__(self) -> str:
        return f"{self.created_ms}-{self.id}"

    @property
    def order(self) -> tuple[int, str]:
        """Those of one millisecond come in descending order of their ids."""
        return self.created_ms, self.id


async def read_page(
    client: Any,
    key: str,
    read: Callable[[Sequence[str]], Awaitable[Sequence[T | None]]],
    *,
    after: str | None,
    limit: int,
    num_at_once: int,
) -> tuple[tuple[T, ...], str | None]:
    """Read a page of what a sorted set names, and where to go on, None at the end.

    `read` takes up to `num_at_once` ids, and gives None for those that are not to be listed.

    Raises: QueueError for a cursor that no list gave out.
    """
    found: list[T] = []
    position = Cursor.parse(after) if after is not None else None
    while places := await _places_after(client, key, position, num_at_once):
        ones = await read([place.id for place in places])
        for place, one in zip(places, ones, strict=True):
            if len(found) == limit:
                return tuple(found), str(position)
            position = place
            if one is not None:
                found.append(one)
    return tuple(found), None


async def _places_after(
    client: Any, key: str, position: Cursor | None, num_at_once: int
) -> Sequence[Cursor]:
    highest = "+inf" if position is None else position.created_ms
    skip = 0
    while True:
        async with explained_async(client):
            entries = await client.zrevrangebyscore(
                key, highest, "-inf", skip, num_at_once, withscores=True
            )
        places = [Cursor(int(score), member.decode()) for member, score in entries]
        fresh = [place for place in places if position is None or place.order < position.order]
        if fresh or not places:
            return fresh
        skip += len(places)
