"""A client of the service: `Client`, and `AsyncClient` for asyncio.

Both have the methods of `operations.py`, which do no input or output, and a driver that does.
"""

from service.client.errors import (
    BadReply,
    BatchUnfinished,
    JobUnfinished,
    JobUnsuccessful,
    ServiceProblem,
    ServiceUnreachable,
)
from service.client.exchange import Retries
from service.client.following import JobEvent
from service.client.messages import BatchPage, JobPage, PuzzlePage
from service.client.operations import AsyncClient, Client
from service.wire.answer import (
    AdaptationSummary,
    Answer,
    Candidate,
    MemberAnswer,
    MemberShare,
    RankedCandidate,
    TestAnswer,
    VariantTrace,
)
from service.wire.batch import (
    Batch,
    BatchCounts,
    BatchProgress,
    BatchPuzzle,
    BatchState,
    BatchSummary,
)
from service.wire.checkpoint import Adapted, Checkpoint, KnownPuzzle
from service.wire.errors import ClientError
from service.wire.job import AdaptationProgress, Failure, Job, JobState, Progress, TestProgress
from service.wire.options import InvalidOptions, SolveOptions
from service.wire.problem import Fault

__all__ = [
    "AdaptationProgress",
    "AdaptationSummary",
    "Adapted",
    "Answer",
    "AsyncClient",
    "BadReply",
    "Batch",
    "BatchCounts",
    "BatchPage",
    "BatchProgress",
    "BatchPuzzle",
    "BatchState",
    "BatchSummary",
    "BatchUnfinished",
    "Candidate",
    "Checkpoint",
    "Client",
    "ClientError",
    "Failure",
    "Fault",
    "InvalidOptions",
    "Job",
    "JobEvent",
    "JobPage",
    "JobState",
    "JobUnfinished",
    "JobUnsuccessful",
    "KnownPuzzle",
    "MemberAnswer",
    "MemberShare",
    "Progress",
    "PuzzlePage",
    "RankedCandidate",
    "Retries",
    "ServiceProblem",
    "ServiceUnreachable",
    "SolveOptions",
    "TestAnswer",
    "TestProgress",
    "VariantTrace",
]
