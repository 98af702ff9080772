"""Jobs and their life in Redis."""

from service.jobs.batch import Batch, BatchEntry, BatchJob, NewBatch, Refused, summarise
from service.jobs.batches import BatchPage, BatchStore, SubmittedBatch
from service.jobs.claims import Claim, Claims, Renewal
from service.jobs.feed import EventFeed
from service.jobs.record import AdaptedRecord, Event, Job, NewJob, WorkerRecord, event_order
from service.jobs.served import PuzzlePage, ServedStore
from service.jobs.store import Depth, JobStore, Page, Submitted
from service.wire.checkpoint import CheckpointRecord, KnownPuzzle
from service.wire.job import Failure, JobState

__all__ = [
    "AdaptedRecord",
    "Batch",
    "BatchEntry",
    "BatchJob",
    "BatchPage",
    "BatchStore",
    "CheckpointRecord",
    "Claim",
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
    "Page",
    "PuzzlePage",
    "Refused",
    "Renewal",
    "ServedStore",
    "Submitted",
    "SubmittedBatch",
    "WorkerRecord",
    "event_order",
    "summarise",
]
