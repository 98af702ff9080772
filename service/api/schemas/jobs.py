"""What documents on jobs hold."""

from pydantic import BaseModel, Field

from service.api.schemas.answers import AnswerOut, ProgressOut, SummaryProgress
from service.api.schemas.values import State
from service.wire.options import Priority, SolveOptions


class FailureOut(BaseModel):
    """Why a job failed."""

    code: str
    detail: str


class JobLinks(BaseModel):
    """Where to go on."""

    self: str
    events: str
    task: str


class JobSummary(BaseModel):
    """A job in a list: without its answer and its votes."""

    id: str
    state: State
    name: str
    priority: Priority
    created_at: str = Field(json_schema_extra={"format": "date-time"})
    started_at: str | None = Field(json_schema_extra={"format": "date-time"})
    finished_at: str | None = Field(json_schema_extra={"format": "date-time"})
    attempts: int = Field(description="How often a worker began on it.")
    cancel_requested: bool
    options: SolveOptions
    progress: SummaryProgress | None
    error: FailureOut | None
    links: JobLinks


class JobOut(JobSummary):
    """A job as it stands."""

    progress: ProgressOut | None
    result: AnswerOut | None


class JobList(BaseModel):
    """A page of jobs, newest first."""

    jobs: list[JobSummary]
    next: str | None = Field(description="The address of the next page.")
