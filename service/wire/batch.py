"""Batches: how the puzzles that were sent together stand."""

from enum import StrEnum
from typing import Literal

from pydantic import Field

from service.wire.document import Document, Time
from service.wire.job import Failure
from service.wire.options import SolveOptions


class BatchState(StrEnum):
    """The state of a batch: queued, running, then one of the two ends."""

    QUEUED = "queued"
    RUNNING = "running"
    FINISHED = "finished"
    CANCELLED = "cancelled"

    @property
    def is_final(self) -> bool:
        """Whether nothing more happens by itself."""
        return self in (BatchState.FINISHED, BatchState.CANCELLED)


class BatchCounts(Document):
    """How many puzzles of a batch are in each state."""

    total: int
    queued: int
    running: int
    adapting: int
    succeeded: int
    failed: int
    cancelled: int
    refused: int = Field(description="No job was made of them; `error` says why.")


class BatchPuzzle(Document):
    """How a puzzle of a batch stands."""

    puzzle: str = Field(description="Its id in the challenges file.")
    state: Literal["queued", "running", "adapting", "succeeded", "failed", "cancelled", "refused"]
    job: str | None = Field(default=None, description="Its job's id; null where it was refused.")
    error: Failure | None = None


class BatchLinks(Document):
    """The addresses of what belongs to a batch."""

    self: str
    events: str
    submission: str


class BatchSummary(Document):
    """How a batch stands, without its puzzles."""

    id: str
    state: BatchState
    name: str
    created_at: Time
    finished_at: Time | None = None
    cancel_requested: bool = False
    counts: BatchCounts
    links: BatchLinks | None = None


class Batch(BatchSummary):
    """A batch as it stands: kept for as long as results are, once its last puzzle has ended."""

    options: SolveOptions | None = None
    puzzles: tuple[BatchPuzzle, ...] = Field(
        default=(), description="In the order of the challenges file."
    )


class BatchList(Document):
    """A page of batches, newest first."""

    batches: tuple[BatchSummary, ...]
    next: str | None = Field(description="The address of the following page; null on the last.")


class BatchProgress(Document):
    """How far a batch is; `puzzle` is the one that has changed, where one has."""

    state: BatchState
    counts: BatchCounts
    puzzle: BatchPuzzle | None = None
