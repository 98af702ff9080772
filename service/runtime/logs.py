"""The log of a process of the service: one line per event, as JSON or for a terminal.

Our own events (structlog) and those of the standard library's loggers, uvicorn's included, go
through one formatter, which removes secrets.
"""

import json
import logging
import re
import sys
from typing import Any
from urllib.parse import unquote, urlsplit

import structlog
from structlog.typing import EventDict, Processor

from service.runtime.settings import Settings

MASK = "***"
_URL_PASSWORD = re.compile(r"(?P<before>\b[a-z][a-z0-9+.-]*://[^\s/@:]*:)[^\s/@]*(?=@)", re.I)
_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}
_FIRST = ("timestamp", "level", "message", "part", "job_id")
# These come with handlers, which are removed so that their lines reach ours.
_LOUD_LOGGERS = ("uvicorn", "uvicorn.error", "uvicorn.access")


def configure_logging(settings: Settings, part: str) -> None:
    """Send the log of this process to the error stream, each line marked with `part`."""

    def add_part(_logger: Any, _method: str, event: EventDict) -> EventDict:
        # Not a context variable: threads would not inherit it.
        event.setdefault("part", part)
        return event

    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.stdlib.ExtraAdder(),
        add_part,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                _drop_colours,
                *_renderers(settings),
                _masking(settings),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(_LEVELS[settings.log_level])
    for name in _LOUD_LOGGERS:
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [], True
    logging.captureWarnings(True)


def mask_url(url: str) -> str:
    """Return a URL with its password replaced, fit to be shown."""
    return _URL_PASSWORD.sub(rf"\g<before>{MASK}", url)


def _masking(settings: Settings) -> Processor:
    """Replace known secrets and passwords in URLs, as the last step before a line is written."""
    secrets = sorted(_secrets(settings), key=len, reverse=True)

    def mask(_logger: Any, _method: str, line: EventDict) -> Any:
        text = str(line)
        for secret in secrets:
            text = text.replace(secret, MASK)
        return mask_url(text)

    return mask


def _secrets(settings: Settings) -> frozenset[str]:
    """Return every secret of the settings, in each form that a line may contain."""
    entries = settings.api_keys.get_secret_value().split(",")
    plain = {entry.rpartition(":")[2].strip() for entry in entries}
    password = urlsplit(settings.known_queue_url or "").password
    if password:
        plain |= {password, unquote(password)}
    in_json = {json.dumps(secret, ensure_ascii=False)[1:-1] for secret in plain}
    return frozenset((plain | in_json) - {""})


def _drop_colours(_logger: Any, _method: str, event: EventDict) -> EventDict:
    """Drop uvicorn's second, coloured copy of a message."""
    event.pop("color_message", None)
    return event


def _put_first(_logger: Any, _method: str, event: EventDict) -> EventDict:
    """Put the fields of every line before those of some lines."""
    return {name: event.pop(name) for name in _FIRST if name in event} | dict(event)


def _renderers(settings: Settings) -> list[Processor]:
    is_terminal = sys.stderr.isatty()
    if settings.log_format == "console" or (settings.log_format == "auto" and is_terminal):
        return [
            structlog.dev.ConsoleRenderer(
                colors=is_terminal,
                # The default one prints local variables, which may hold secrets.
                exception_formatter=structlog.dev.plain_traceback,
            )
        ]
    return [
        structlog.processors.format_exc_info,
        structlog.processors.EventRenamer("message"),
        _put_first,
        structlog.processors.JSONRenderer(ensure_ascii=False, default=str),
    ]
