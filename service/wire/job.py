"""Jobs: how a puzzle that was sent stands, how far it is and the votes so far."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from pydantic import Field

from service.wire.answer import Answer, Candidate, HeldOutNote, HeldOutShare
from service.wire.document import Document, Time, is_none
from service.wire.options import Priority, SolveOptions

AdaptationPhase = Literal["waiting", "rows", "all", "last"]


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


class TestProgress(Document):
    """The vote on one test input so far."""

    __test__ = False  # not a test class, whatever its name makes pytest think

    votes: int
    abstained: int
    candidates: tuple[Candidate, ...] = ()


class AdaptationProgress(Document):
    """How far the adaptation of a checkpoint is."""

    checkpoint: str = Field(description="The one that is adapted.")
    phase: AdaptationPhase = Field(
        description="`waiting` for the device; only `rows` are trained; `all` weights are; "
        "`last`: with falling rates, on what was held out too."
    )
    used_share: float = Field(description="The part of the budget that is used.")
    steps: int
    seconds: float = Field(description="Of training.")
    loss: float | None = None
    right_share: float | None = Field(
        default=None, description="Of the variants learned from, those right."
    )
    held_out_share: HeldOutShare = None
    held_out_note: HeldOutNote = None
    puzzles: int = Field(default=1, description="Puzzles that it is adapted to together.")
    devices: int = Field(default=1, description="Devices that it is trained on at present.")
    expected_s: float | None = Field(
        default=None,
        description="Seconds of training that the whole takes by the steps measured last, at the "
        "most: it may end early. Null until known.",
    )
    remaining_s: float | None = Field(
        default=None,
        description="What is left of it, with the adaptations that go first. Other jobs of the "
        "worker make it up to three times as long.",
    )


class ProgressSummary(Document):
    """How far a job is."""

    outcomes: int = Field(description="Variants that have answered.")
    asked: int = Field(description="Variants that were asked.")
    decided: int = Field(description="Test inputs with settled attempts.")
    test_inputs: int
    adaptation: AdaptationProgress | None = Field(
        default=None, exclude_if=is_none, description="While the job is `adapting`."
    )


class Progress(ProgressSummary):
    """How far a job is, with the votes so far."""

    tests: tuple[TestProgress, ...] = ()

    def to_json(self) -> bytes:
        """Return the progress as JSON."""
        return self.model_dump_json().encode()


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
    attempts: int = Field(
        default=0,
        description="How often it was delivered to a worker (the option `attempts` is another "
        "thing: the answers wanted).",
    )
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
