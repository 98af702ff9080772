"""Jobs and their life in Redis."""

from service.jobs.batches import Batch, BatchEntry, BatchStore, SubmittedBatch, summarise
from service.jobs.claims import Claims
from service.jobs.feed import EventFeed
from service.jobs.record import Event, Job, NewBatch, NewJob, Refused, event_order
from service.jobs.served import AdaptedRecord, WorkerRecord
from service.jobs.store import Depth, JobStore, Submitted
from service.wire.checkpoint import CheckpointRecord, KnownPuzzle
from service.wire.job import Failure, JobState

__all__ = [
    "AdaptedRecord",
    "Batch",
    "BatchEntry",
    "BatchStore",
    "CheckpointRecord",
    "Claims",
    "Depth",
    "Event",
    "EventFeed",
    "Failure",
    "Job",
    "JobState",
    "JobStore",
    "KnownPuzzle",
    "NewBatch",
    "NewJob",
    "Refused",
    "Submitted",
    "SubmittedBatch",
    "WorkerRecord",
    "event_order",
    "summarise",
]
