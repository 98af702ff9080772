"""How processes reach Redis: connections that neither hang for ever nor run out."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from queue import Empty
from typing import Any

import redis
import redis.asyncio
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, MasterDownError, ReadOnlyError, RedisError
from redis.retry import Retry

from service.wire.errors import QueueUnavailable

CONNECT_TIMEOUT_S = 3.0
# Longer than any command takes and than any wait for new entries.
SOCKET_TIMEOUT_S = 8.0
MAX_CONNECTIONS = 64
# RESP2, since replies to stream reads have another shape in RESP3. Retries are the loops' affair:
# a library that repeats a command on its own may run a script twice.
_COMMON: dict[str, Any] = {
    "protocol": 2,
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
    try:
        pool = redis.BlockingConnectionPool.from_url(
            url,
            max_connections=MAX_CONNECTIONS,
            timeout=SOCKET_TIMEOUT_S,
            retry=Retry(NoBackoff(), 0),
            **_COMMON,
        )
    except ValueError as error:
        raise QueueUnavailable(_no_address(error)) from error
    return redis.Redis(connection_pool=pool)


def connect_async(url: str) -> Any:
    """Make a client for an event loop, a `redis.asyncio.Redis`; it connects when first used.

    Raises: QueueUnavailable for an address that is none.
    """
    try:
        pool = redis.asyncio.BlockingConnectionPool.from_url(
            url,
            max_connections=MAX_CONNECTIONS,
            timeout=SOCKET_TIMEOUT_S,
            retry=AsyncRetry(NoBackoff(), 0),
            **_COMMON,
        )
    except ValueError as error:
        raise QueueUnavailable(_no_address(error)) from error
    return redis.asyncio.Redis(connection_pool=pool)


@contextmanager
def explained(client: Any) -> Iterator[None]:
    """Turn what the library raises into QueueUnavailable; leave a demoted server."""
    try:
        yield
    except (RedisError, OSError) as error:
        if isinstance(error, _DEMOTED):
            _drop_connections(client.connection_pool)
        raise QueueUnavailable(sentence(error)) from error


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
        raise QueueUnavailable(sentence(error)) from error


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


def _no_address(error: ValueError) -> str:
    return f"HRM_ARC_REDIS_URL is no address of a Redis ({error}): write redis://HOST:PORT/0"


def sentence(error: Exception) -> str:
    """Say what the library found; for the log."""
    # The messages of this library name host and port, and never a password.
    if isinstance(error, AuthenticationError):
        return "Redis refuses the password: check HRM_ARC_REDIS_URL"
    return f"Redis cannot be used now ({type(error).__name__}: {error})"
