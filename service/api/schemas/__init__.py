"""The words on the wire: what requests may hold, and what answers hold.

Requests are checked with these models. Answers are not written by them, which would cost more than
all the rest of a request: they describe them in the OpenAPI document, and tests hold answers to it.
"""

from service.api.schemas.adapted import AdaptedLinks, AdaptedList, AdaptedOut
from service.api.schemas.answers import AnswerOut
from service.api.schemas.batches import BatchList, BatchOut
from service.api.schemas.checkpoints import (
    CheckpointLinks,
    CheckpointList,
    CheckpointOut,
    PuzzleDetail,
    PuzzleList,
    PuzzleOut,
)
from service.api.schemas.health import AliveOut, ReadyOut
from service.api.schemas.jobs import JobList, JobOut, JobSummary
from service.api.schemas.received import (
    BatchesQuery,
    JobsQuery,
    PuzzlesQuery,
    schemas,
)

__all__ = [
    "AdaptedLinks",
    "AdaptedList",
    "AdaptedOut",
    "AliveOut",
    "AnswerOut",
    "BatchList",
    "BatchOut",
    "BatchesQuery",
    "CheckpointLinks",
    "CheckpointList",
    "CheckpointOut",
    "JobList",
    "JobOut",
    "JobSummary",
    "JobsQuery",
    "PuzzleDetail",
    "PuzzleList",
    "PuzzleOut",
    "PuzzlesQuery",
    "ReadyOut",
    "schemas",
]
