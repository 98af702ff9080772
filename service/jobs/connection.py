"""How processes reach Redis: connections that neither hang for ever nor run out."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import redis
import redis.asyncio
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, RedisError
from redis.retry import Retry

from service.errors import QueueUnavailable

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
def explained() -> Iterator[None]:
    """Turn what the library raises into QueueUnavailable."""
    try:
        yield
    except (RedisError, OSError) as error:
        raise QueueUnavailable(sentence(error)) from error


@asynccontextmanager
async def explained_async() -> AsyncIterator[None]:
    """Turn what the library raises into QueueUnavailable."""
    try:
        yield
    except (RedisError, OSError, TimeoutError) as error:
        raise QueueUnavailable(sentence(error)) from error


def _no_address(error: ValueError) -> str:
    return f"HRM_ARC_REDIS_URL is no address of a Redis ({error}): write redis://HOST:PORT/0"


def sentence(error: Exception) -> str:
    """Say what the library found; for the log."""
    # The messages of this library name host and port, and never a password.
    if isinstance(error, AuthenticationError):
        return "Redis refuses the password: check HRM_ARC_REDIS_URL"
    return f"Redis cannot be used now ({type(error).__name__}: {error})"
