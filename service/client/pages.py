"""Pages of lists, and where the following page begins."""

from dataclasses import dataclass
from typing import Annotated
from urllib.parse import parse_qs, urlsplit

from pydantic import BeforeValidator

from service.wire.batch import BatchSummary
from service.wire.checkpoint import KnownPuzzle
from service.wire.job import Job


def _cursor_of(address: object) -> str | None:
    """Read the cursor out of a next page's address."""
    if not isinstance(address, str):
        return None
    return next(iter(parse_qs(urlsplit(address).query).get("cursor", ())), None)


Cursor = Annotated[str | None, BeforeValidator(_cursor_of)]


@dataclass(frozen=True, slots=True)
class JobPage:
    """Some jobs, the newest first; `next` is where the following page begins, None at the end."""

    jobs: tuple[Job, ...]
    next: Cursor = None


@dataclass(frozen=True, slots=True)
class BatchPage:
    """Some batches, newest first; `next` is where the following page begins, None at the end."""

    batches: tuple[BatchSummary, ...]
    next: Cursor = None


@dataclass(frozen=True, slots=True)
class PuzzlePage:
    """Some of a checkpoint's `total` puzzles; `next` is where the following page begins."""

    puzzles: tuple[KnownPuzzle, ...]
    total: int
    next: Cursor = None
