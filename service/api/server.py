"""Serving the app: uvicorn, and a stop that answers who is waiting."""

import resource
import signal
import socket
from typing import Any, Final, cast

import structlog
import uvicorn
from fastapi import FastAPI

from service.api.app import create_app
from service.api.protocol import ConnectionLimits, LimitedProtocol
from service.runtime.settings import PREFIX, Settings

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
# What the process opens beside its clients' connections: those to Redis, logs, libraries.
_OTHER_FILES: Final = 256


class _Server(uvicorn.Server):
    """uvicorn's server, which before it stops ends all waits: solves answer 202, streams end."""

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Let requests under way be answered, then stop."""
        cast(FastAPI, self.config.app).state.context.waits.end()
        await super().shutdown(sockets)


def run_api(settings: Settings) -> int:
    """Serve until SIGINT or SIGTERM and give the exit code.

    Raises: SettingsError for an address that strangers could reach without a key, or without a
    queue's address.
    """
    settings.check_exposure()
    limits = ConnectionLimits(_num_connections(settings.max_connections))
    protocol: Any = LimitedProtocol.maker(limits)
    server = _Server(
        uvicorn.Config(
            create_app(settings),
            host=settings.host,
            port=settings.port,
            http=protocol,
            ws="none",
            access_log=False,  # our own line says more
            log_config=None,
            server_header=False,
            proxy_headers=False,
            lifespan="on",
            timeout_graceful_shutdown=max(1, round(settings.grace_s)),
        ),
    )
    # uvicorn raises the signal again once it has stopped, which would end the process as if killed.
    previous = {number: signal.signal(number, signal.SIG_IGN) for number in _SIGNALS}
    try:
        server.run()
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
    return 0 if server.started else 1


def _num_connections(wanted: int) -> int:
    """Return how many connections the process may have, raising its limit of open files to that."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    num_files = wanted + _OTHER_FILES
    if soft == resource.RLIM_INFINITY or soft >= num_files:
        return wanted
    if hard != resource.RLIM_INFINITY and hard < num_files:
        num_files = hard
        structlog.get_logger(__name__).warning(
            "fewer connections than set: raise the limit of open files (ulimit -Hn)",
            setting=f"{PREFIX}MAX_CONNECTIONS",
            connections=max(1, num_files - _OTHER_FILES),
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (num_files, hard))
    return max(1, num_files - _OTHER_FILES)
