"""What documents on batches hold."""

from typing import Literal

from pydantic import BaseModel, Field

from service.api.schemas.jobs import FailureOut
from service.wire.options import SolveOptions


class BatchCounts(BaseModel):
    """How many puzzles of a batch are in each state."""

    total: int
    queued: int
    running: int
    adapting: int
    succeeded: int
    failed: int
    cancelled: int
    refused: int = Field(description="No job was made of them; `error` says why.")


class BatchPuzzle(BaseModel):
    """How a puzzle of a batch stands."""

    puzzle: str = Field(description="Its id in the challenges file.")
    state: Literal["queued", "running", "adapting", "succeeded", "failed", "cancelled", "refused"]
    job: str | None = Field(description="Its job's id; null where it was refused.")
    error: FailureOut | None


class BatchLinks(BaseModel):
    """Where to go on."""

    self: str
    events: str
    submission: str


class BatchSummary(BaseModel):
    """How a batch stands, without its puzzles."""

    id: str
    state: Literal["queued", "running", "finished", "cancelled"]
    name: str
    created_at: str = Field(json_schema_extra={"format": "date-time"})
    finished_at: str | None = Field(json_schema_extra={"format": "date-time"})
    cancel_requested: bool
    counts: BatchCounts
    links: BatchLinks


class BatchOut(BatchSummary):
    """A batch as it stands: kept for as long as results are, once its last puzzle has ended."""

    options: SolveOptions
    puzzles: list[BatchPuzzle] = Field(description="In the order of the challenges file.")


class BatchList(BaseModel):
    """A page of batches, newest first."""

    batches: list[BatchSummary]
    next: str | None = Field(description="The address of the following page; null on the last.")
