"""How processes reach Redis: connections that neither hang nor run out, scripts, durable writes."""

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from functools import cache
from importlib import resources
from queue import Empty
from typing import Any

import redis
import redis.asyncio
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.exceptions import (
    AuthenticationError,
    BusyLoadingError,
    MasterDownError,
    ReadOnlyError,
    RedisError,
    ResponseError,
)
from redis.retry import Retry

from service.jobs import keys
from service.wire.errors import NotDurable, QueueUnavailable, SubmissionInDoubt

CONNECT_TIMEOUT_S = 3.0
# Longer than any command takes and than any wait for new entries.
SOCKET_TIMEOUT_S = 8.0
MAX_CONNECTIONS = 64
DURABLE_TIMEOUT_MS = 5_000
# RESP2, since replies to stream reads have another shape in RESP3. Retries are the loops' affair:
# a library that repeats a command on its own may run a script twice.
_COMMON: dict[str, Any] = {
    "protocol": 2,
    "max_connections": MAX_CONNECTIONS,
    "timeout": SOCKET_TIMEOUT_S,
    "socket_timeout": SOCKET_TIMEOUT_S,
    "socket_connect_timeout": CONNECT_TIMEOUT_S,
    "health_check_interval": 0,
}
# What a server answers once another one has taken its place behind the same address. It keeps its
# connections, so these have to be closed here: a new one leads to the server that took over.
_DEMOTED = (ReadOnlyError, MasterDownError)


def connect(url: str) -> Any:
    """Make a client for threads, a `redis.Redis`; it connects when first used.

    Typed Any: the library's types are unions over all protocols, of which one is pinned here.

    Raises: QueueUnavailable for an address that is none.
    """
    pool = _pool(redis.BlockingConnectionPool, url, Retry(NoBackoff(), 0))
    return redis.Redis(connection_pool=pool)


def connect_async(url: str) -> Any:
    """Make a client for an event loop, a `redis.asyncio.Redis`; it connects when first used.

    Raises: QueueUnavailable for an address that is none.
    """
    pool = _pool(redis.asyncio.BlockingConnectionPool, url, AsyncRetry(NoBackoff(), 0))
    return redis.asyncio.Redis(connection_pool=pool)


def server_version(url: str) -> str:
    """Ask a server what it is: "valkey 9.1.0".

    Raises: QueueUnavailable.
    """
    client = connect(url)
    try:
        with explained(client):
            facts = client.info("server")
    except TypeError as error:  # the library checks the URL's query when it connects
        raise QueueUnavailable(f"HRM_ARC_REDIS_URL has an unknown part: {error}") from error
    finally:
        client.close()
    name = facts.get("server_name", "redis")
    return f"{name} {facts.get(f'{name}_version', 'of unknown version')}"


def _pool(kind: Any, url: str, retry: Retry | AsyncRetry) -> Any:
    try:
        return kind.from_url(url, retry=retry, **_COMMON)
    except ValueError as error:
        raise QueueUnavailable(
            f"HRM_ARC_REDIS_URL is no address of a Redis ({error}): write redis://HOST:PORT/0"
        ) from error


@contextmanager
def explained(client: Any) -> Iterator[None]:
    """Turn what the library raises into QueueUnavailable; leave a demoted server."""
    try:
        yield
    except (RedisError, OSError) as error:
        if isinstance(error, _DEMOTED):
            _drop_connections(client.connection_pool)
        raise QueueUnavailable(_sentence(error)) from error


@asynccontextmanager
async def explained_async(client: Any) -> AsyncIterator[None]:
    """Turn what the library raises into QueueUnavailable; leave a demoted server."""
    try:
        try:
            yield
        except _DEMOTED:
            await client.connection_pool.disconnect()
            raise
    except (RedisError, OSError, TimeoutError) as error:
        raise QueueUnavailable(_sentence(error)) from error


def _drop_connections(pool: redis.BlockingConnectionPool) -> None:
    """Close a pool's connections; those that other threads use, once they are given back."""
    pool.update_active_connections_for_reconnect()
    idle = []
    # Each is taken out before it is closed: the library would close it in another thread's hands.
    try:
        while True:
            idle.append(pool.pool.get_nowait())
    except Empty:
        pass
    for connection in reversed(idle):
        if connection is not None:
            connection.disconnect()
        pool.pool.put_nowait(connection)


def _sentence(error: Exception) -> str:
    """Say what the library found; for the log."""
    # The messages of this library name host and port, and never a password.
    if isinstance(error, AuthenticationError):
        return "Redis refuses the password: check HRM_ARC_REDIS_URL"
    return f"Redis cannot be used now ({type(error).__name__}: {error})"


class Scripts:
    """The scripts that run inside Redis, for a client of either kind; each is a file in `scripts`.

    A call returns what the client returns: a reply, or an awaitable of one.
    """

    def __init__(self, client: Any) -> None:
        self._scripts = {name: client.register_script(text) for name, text in _read_all().items()}

    def __call__(self, name: str, *arguments: Any, client: Any = None) -> Any:
        """Run a script, on one connection of the client where that is given."""
        # Any key will do: all have one hash tag.
        return self._scripts[name](
            keys=[keys.EVENTS], args=[keys.PREFIX, *arguments], client=client
        )


@cache
def _read_all() -> dict[str, str]:
    """Read the scripts, each with what all of them share in front.

    Some begin with a line of flags, which must stay the first: they run when memory is full too,
    since they end jobs or remove something.
    """
    folder = resources.files("service.jobs") / "scripts"
    texts = {file.name: file.read_text(encoding="utf-8") for file in folder.iterdir()}
    shared = texts.pop("shared.lua")
    return {name.removesuffix(".lua"): _joined(shared, text) for name, text in texts.items()}


def _joined(shared: str, text: str) -> str:
    flags, _, rest = text.partition("\n") if text.startswith("#!") else ("", "", text)
    return f"{flags}\n{shared}\n{rest}" if flags else f"{shared}\n{rest}"


class Submissions:
    """Runs the scripts that queue; a strict one returns once what they wrote is on disk."""

    def __init__(self, client: Any, scripts: Scripts, *, is_strict: bool) -> None:
        self._redis = client
        self._scripts = scripts
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

    async def run(self, script: str, arguments: Sequence[Any]) -> Sequence[Any]:
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

    async def _queue(self, script: str, arguments: Sequence[Any], client: Any) -> Sequence[Any]:
        async with explained_async(self._redis):
            try:
                reply: Sequence[Any] = await self._scripts(script, *arguments, client=client)
            except (ResponseError, BusyLoadingError):
                raise  # refused, and nothing was queued
            except (RedisError, OSError) as error:
                raise SubmissionInDoubt(_sentence(error)) from error
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
