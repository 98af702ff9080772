"""Submissions: the scripts that queue, and whether what they wrote is on disk."""

from collections.abc import Sequence
from typing import Any

from redis.commands.core import AsyncScript
from redis.exceptions import BusyLoadingError, RedisError, ResponseError

from service.jobs import keys
from service.jobs.connection import explained_async, sentence
from service.wire.errors import NotDurable, QueueUnavailable, SubmissionInDoubt

DURABLE_TIMEOUT_MS = 5_000


class Submissions:
    """Runs the scripts that queue; a strict one returns once what they wrote is on disk."""

    def __init__(self, client: Any, *, is_strict: bool) -> None:
        self._redis = client
        self._is_strict = is_strict

    async def check_writable(self) -> None:
        """Check that Redis takes writes, and has a file to keep them in where that is asked for.

        Raises: QueueUnavailable.
        """
        async with explained_async(self._redis):
            # Passes every check of a write (replica, full disk, full memory), and changes nothing.
            await self._redis.setrange(keys.WRITE_PROBE, 0, "")
            if self._is_strict:
                await self._redis.execute_command("WAITAOF", 1, 0, 1)

    async def run(self, script: AsyncScript, arguments: Sequence[Any]) -> Sequence[Any]:
        """Run a script that queues; its reply begins with the outcome and the id of what it queued.

        Raises: SubmissionInDoubt when no reply came; NotDurable; QueueUnavailable when nothing was
        queued.
        """
        if not self._is_strict:
            return await self._queue(script, arguments, self._redis)
        await self.check_writable()  # before anything is queued that cannot be kept
        # One connection for both: WAITAOF waits for what its own connection wrote.
        async with explained_async(self._redis), self._redis.client() as one:
            reply = await self._queue(script, arguments, one)
            await self._wait_for_disk(one, *reply[:2])
            return reply

    async def _queue(
        self, script: AsyncScript, arguments: Sequence[Any], client: Any
    ) -> Sequence[Any]:
        async with explained_async(self._redis):
            try:
                reply: Sequence[Any] = await script(
                    keys=[keys.queue_key("interactive")], args=arguments, client=client
                )
            except (ResponseError, BusyLoadingError):
                raise  # refused, and nothing was queued
            except (RedisError, OSError) as error:
                raise SubmissionInDoubt(sentence(error)) from error
        return reply

    async def _wait_for_disk(self, client: Any, outcome: bytes, queued_id: bytes) -> None:
        """Wait until what a script wrote is on disk; one that refused a submission wrote nothing.

        Raises: NotDurable.
        """
        if outcome not in (b"new", b"same"):
            return
        try:
            async with explained_async(self._redis):
                if outcome == b"same":  # written by another connection, and perhaps not kept yet
                    await client.set(keys.FENCE, "")
                num_kept, _ = await client.execute_command("WAITAOF", 1, 0, DURABLE_TIMEOUT_MS)
        except QueueUnavailable as error:
            raise NotDurable(queued_id.decode(), str(error)) from error
        if num_kept < 1:
            raise NotDurable(queued_id.decode(), f"it was not written in {DURABLE_TIMEOUT_MS} ms")
