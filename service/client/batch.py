"""Batches, as a service tells of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field

from service.client.job import Cursor, Failure


class BatchState(StrEnum):
    """Where a batch is: queued, running, then one of the two ends."""

    QUEUED = "queued"
    RUNNING = "running"
    FINISHED = "finished"
    CANCELLED = "cancelled"

    @property
    def is_final(self) -> bool:
        """Nothing more will happen by itself."""
        return self in (BatchState.FINISHED, BatchState.CANCELLED)


@dataclass(frozen=True, slots=True)
class BatchCounts:
    """How many puzzles of a batch are in each state; of `num_refused` no job was made."""

    num_puzzles: Annotated[int, Field(validation_alias="total")]
    num_queued: Annotated[int, Field(validation_alias="queued")]
    num_running: Annotated[int, Field(validation_alias="running")]
    num_adapting: Annotated[int, Field(validation_alias="adapting")]
    num_succeeded: Annotated[int, Field(validation_alias="succeeded")]
    num_failed: Annotated[int, Field(validation_alias="failed")]
    num_cancelled: Annotated[int, Field(validation_alias="cancelled")]
    num_refused: Annotated[int, Field(validation_alias="refused")]


@dataclass(frozen=True, slots=True)
class BatchPuzzle:
    """How a puzzle of a batch stands: as its job, or `refused`; then `failure` says why."""

    puzzle_id: Annotated[str, Field(validation_alias="puzzle")]
    state: str
    job_id: Annotated[str | None, Field(validation_alias="job")] = None
    failure: Annotated[Failure | None, Field(validation_alias="error")] = None


@dataclass(frozen=True, slots=True)
class BatchSummary:
    """How a batch stood when the service was asked, without its puzzles."""

    id: str
    state: BatchState
    name: str
    created_at: datetime
    counts: BatchCounts
    finished_at: datetime | None = None
    cancel_requested: bool = False


@dataclass(frozen=True, slots=True)
class Batch(BatchSummary):
    """A batch as it stood when the service was asked; its puzzles in the order of the file."""

    puzzles: tuple[BatchPuzzle, ...] = ()
    options: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class BatchPage:
    """Some batches, newest first; `next` is where the following page begins, None at the end."""

    batches: tuple[BatchSummary, ...]
    next: Cursor = None


@dataclass(frozen=True, slots=True)
class BatchProgress:
    """How far a batch is; `puzzle` is the one that has changed, where one has."""

    state: BatchState
    counts: BatchCounts
    puzzle: BatchPuzzle | None = None
