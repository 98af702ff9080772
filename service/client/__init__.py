"""A client of the service: `Client`, and `AsyncClient` for asyncio.

Both drive the same core (`core.py`), which does no input or output.
"""

from service.client.answer import (
    AdaptationSummary,
    Answer,
    Candidate,
    MemberAnswer,
    MemberShare,
    TestAnswer,
    VariantTrace,
)
from service.client.async_client import AsyncClient
from service.client.batch import (
    Batch,
    BatchCounts,
    BatchPage,
    BatchProgress,
    BatchPuzzle,
    BatchState,
    BatchSummary,
)
from service.client.client import Client
from service.client.errors import (
    BadReply,
    BatchUnfinished,
    JobUnfinished,
    JobUnsuccessful,
    ServiceProblem,
    ServiceUnreachable,
)
from service.client.job import (
    AdaptationProgress,
    Adapted,
    Checkpoint,
    Failure,
    Job,
    JobPage,
    JobState,
    KnownPuzzle,
    Progress,
    PuzzlePage,
    TestProgress,
)
from service.client.retries import Retries
from service.wire.errors import ClientError
from service.wire.options import SolveOptions
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
    "Job",
    "JobPage",
    "JobState",
    "JobUnfinished",
    "JobUnsuccessful",
    "KnownPuzzle",
    "MemberAnswer",
    "MemberShare",
    "Progress",
    "PuzzlePage",
    "Retries",
    "ServiceProblem",
    "ServiceUnreachable",
    "SolveOptions",
    "TestAnswer",
    "TestProgress",
    "VariantTrace",
]
