"""The queues as a consumer of their groups: read entries, take over others', leave."""

from collections.abc import Callable, Collection, Sequence
from typing import Any

from redis.exceptions import ResponseError

from service.jobs import keys
from service.jobs.connection import Scripts
from service.jobs.keys import GROUP

# Of each entry: the priority of its queue, its id and its fields, which are None where it was
# deleted while it was pending.
Entries = list[tuple[str, bytes, dict[bytes, bytes] | None]]


class Consumer:
    """A worker as a consumer of the queues; each is named by its priority.

    The groups are made where there are none: on a new server, on one that was emptied, and of a
    queue of shards that ended.

    Units: `block_s` and `idle_s` in seconds.

    Raises, everywhere: the client's errors; Claims turns them into QueueUnavailable.
    """

    def __init__(self, client: Any, scripts: Scripts, worker_id: str) -> None:
        self._redis, self._scripts, self._name = client, scripts, worker_id

    def read(self, priorities: Sequence[str], num: int, block_s: float | None) -> Entries:
        """Read up to `num` new entries of each queue; wait for one where `block_s` is given."""
        streams = {keys.queue_key(priority): ">" for priority in priorities}
        block = None if block_s is None else max(1, int(block_s * 1000))
        reply = self._in_groups(
            priorities,
            lambda: self._redis.xreadgroup(GROUP, self._name, streams, count=num, block=block),
        )
        by_queue = {keys.queue_key(priority).encode(): priority for priority in priorities}
        return [(by_queue[queue], *entry) for queue, entries in reply or () for entry in entries]

    def take_over(
        self, priority: str, idle_s: float, start: bytes, num: int
    ) -> tuple[bytes, Entries]:
        """Take over entries that were pending for `idle_s`.

        Returns the entry to start the next call with, b"0-0" at the end, and what was taken over.
        """
        queue, idle_ms = keys.queue_key(priority), int(idle_s * 1000)
        following, entries, *_ = self._in_groups(
            (priority,),
            lambda: self._redis.xautoclaim(queue, GROUP, self._name, idle_ms, start, count=num),
        )
        return following, [(priority, *entry) for entry in entries]

    def leave(self, priorities: Collection[str]) -> None:
        """Leave the groups, but for those where something is still pending under this name.

        Deleting a consumer deletes its pending entries with it: those jobs would never run again.
        """
        for queue in map(keys.queue_key, priorities):
            try:
                consumers = self._redis.xinfo_consumers(queue, GROUP)
            except ResponseError:
                continue  # no such queue or group yet
            pending = {consumer["name"].decode(): consumer["pending"] for consumer in consumers}
            if pending.get(self._name) == 0:
                self._redis.xgroup_delconsumer(queue, GROUP, self._name)

    def _in_groups(self, priorities: Sequence[str], command: Callable[[], Any]) -> Any:
        try:
            return command()
        except ResponseError as error:
            # The second one where the queue ended during the wait for an entry.
            if not str(error).startswith(("NOGROUP", "UNBLOCKED")):
                raise
        for priority in priorities:
            self._scripts("open_queue", priority)
        return command()
