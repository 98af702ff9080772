"""A client of the service: `Client`, and `AsyncClient` for asyncio.

Both have the methods of `operations.py`, which do no input or output, and a driver that does.
"""

from service.client.errors import BadReply as BadReply
from service.client.errors import BatchUnfinished as BatchUnfinished
from service.client.errors import JobUnfinished as JobUnfinished
from service.client.errors import JobUnsuccessful as JobUnsuccessful
from service.client.errors import ServiceProblem as ServiceProblem
from service.client.errors import ServiceUnreachable as ServiceUnreachable
from service.client.exchange import Retries as Retries
from service.client.following import JobEvent as JobEvent
from service.client.messages import BatchPage as BatchPage
from service.client.messages import JobPage as JobPage
from service.client.messages import PuzzlePage as PuzzlePage
from service.client.operations import AsyncClient as AsyncClient
from service.client.operations import Client as Client
from service.wire.answer import AdaptationSummary as AdaptationSummary
from service.wire.answer import Answer as Answer
from service.wire.answer import Candidate as Candidate
from service.wire.answer import MemberAnswer as MemberAnswer
from service.wire.answer import MemberShare as MemberShare
from service.wire.answer import RankedCandidate as RankedCandidate
from service.wire.answer import TestAnswer as TestAnswer
from service.wire.answer import VariantTrace as VariantTrace
from service.wire.batch import Batch as Batch
from service.wire.batch import BatchCounts as BatchCounts
from service.wire.batch import BatchProgress as BatchProgress
from service.wire.batch import BatchPuzzle as BatchPuzzle
from service.wire.batch import BatchState as BatchState
from service.wire.batch import BatchSummary as BatchSummary
from service.wire.checkpoint import Adapted as Adapted
from service.wire.checkpoint import Checkpoint as Checkpoint
from service.wire.checkpoint import CheckpointList as CheckpointList
from service.wire.checkpoint import KnownPuzzle as KnownPuzzle
from service.wire.checkpoint import PuzzleDetail as PuzzleDetail
from service.wire.errors import ClientError as ClientError
from service.wire.job import AdaptationProgress as AdaptationProgress
from service.wire.job import Failure as Failure
from service.wire.job import Job as Job
from service.wire.job import JobState as JobState
from service.wire.job import Progress as Progress
from service.wire.job import TestProgress as TestProgress
from service.wire.options import InvalidOptions as InvalidOptions
from service.wire.options import SolveOptions as SolveOptions
from service.wire.problem import Fault as Fault
