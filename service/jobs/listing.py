"""What an owner has in Redis, a page at a time, the newest first."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypeVar

from service.jobs.connection import explained_async
from service.wire.errors import QueueError

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Some of a list; `next` is where to go on, None at its end."""

    items: tuple[T, ...]
    next: str | None


class _Position(NamedTuple):
    """Where an entry is in the list; those of one millisecond in descending order of their ids."""

    created_ms: int
    id: str

    @classmethod
    def parse(cls, text: str) -> "_Position":
        created_ms, _, one_id = text.partition("-")
        if not (created_ms.isascii() and created_ms.isdigit() and len(created_ms) < 16 and one_id):
            raise QueueError(f"{text!r} is no cursor of a list: leave it out to start again")
        return cls(int(created_ms), one_id)

    def __str__(self) -> str:
        return f"{self.created_ms}-{self.id}"


async def read_page(
    client: Any,
    key: str,
    read: Callable[[Sequence[str]], Awaitable[Mapping[str, T]]],
    *,
    after: str | None,
    limit: int,
    num_at_once: int,
) -> Page[T]:
    """Read a page of what a sorted set names.

    `read` takes up to `num_at_once` ids, and leaves out those that are not to be listed.

    Raises: QueueError for a cursor that no list gave out.
    """
    found: list[T] = []
    position = _Position.parse(after) if after is not None else None
    while following := await _positions_after(client, key, position, num_at_once):
        ones = await read([one.id for one in following])
        for one in following:
            if len(found) == limit:
                return Page(tuple(found), str(position))
            position = one
            if one.id in ones:
                found.append(ones[one.id])
    return Page(tuple(found), None)


async def _positions_after(
    client: Any, key: str, position: _Position | None, num_at_once: int
) -> Sequence[_Position]:
    highest = "+inf" if position is None else position.created_ms
    skip = 0
    while True:
        async with explained_async(client):
            entries = await client.zrevrangebyscore(
                key, highest, "-inf", skip, num_at_once, withscores=True
            )
        found = [_Position(int(score), member.decode()) for member, score in entries]
        fresh = [one for one in found if position is None or one < position]
        if fresh or not found:
            return fresh
        skip += len(found)
