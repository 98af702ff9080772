"""Jobs: how a puzzle that was sent stands."""

from dataclasses import dataclass
from enum import StrEnum

from pydantic import Field

from service.wire.answer import Answer
from service.wire.document import Document, Time
from service.wire.options import Priority, SolveOptions
from service.wire.progress import Progress, ProgressSummary


class JobState(StrEnum):
    """The state of a job: queued, active, then one of the three ends.

    Active is running, or adapting while a checkpoint is trained on the puzzle first.
    """

    QUEUED = "queued"
    RUNNING = "running"
    ADAPTING = "adapting"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_final(self) -> bool:
        """Whether nothing more happens by itself."""
        return self not in (JobState.QUEUED, JobState.RUNNING, JobState.ADAPTING)


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a job failed: a code for programs, a sentence for people."""

    code: str
    detail: str


class JobLinks(Document):
    """The addresses of what belongs to a job."""

    self: str
    events: str
    task: str


class JobSummary(Document):
    """A job in a list: without its answer and its votes."""

    id: str
    state: JobState
    name: str
    priority: Priority
    created_at: Time
    started_at: Time | None = None
    finished_at: Time | None = None
    attempts: int = Field(default=0, description="How often a worker began on it.")
    cancel_requested: bool = False
    options: SolveOptions | None = None
    progress: ProgressSummary | None = None
    error: Failure | None = None
    links: JobLinks | None = None


class Job(JobSummary):
    """A job as it stands."""

    progress: Progress | None = None
    result: Answer | None = None


class JobList(Document):
    """A page of jobs, newest first."""

    jobs: tuple[JobSummary, ...]
    next: str | None = Field(description="The address of the next page.")
