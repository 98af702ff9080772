"""The messages between a worker's threads: commands to the engine loop, and events from it."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from augment import AugmentError, CanvasError
from hrm_core import CheckpointError, HRMCoreError
from service.jobs import Failure, Job, Shard
from service.wire.errors import CanvasExceeded, InputError, UnknownCheckpoint, UnknownPuzzle
from service.wire.options import SolveOptions
from voting import VotingError

# The first kind that fits gives the code. Any other exception is a fault of the engine or of the
# service, and ends the process.
CODES: tuple[tuple[type[Exception], str], ...] = (
    (UnknownPuzzle, "unknown_puzzle"),
    (UnknownCheckpoint, "unknown_checkpoint"),
    (CanvasError, "canvas_exceeded"),
    (CanvasExceeded, "canvas_exceeded"),
    (InputError, "unsolvable"),
    (AugmentError, "unsolvable"),
    (VotingError, "unsolvable"),
    (CheckpointError, "unsolvable"),
    (HRMCoreError, "engine_failed"),
)
JOB_ERRORS = tuple(kind for kind, _ in CODES)
# The least time between two reports of progress.
REPORT_EVERY_S = 1.0


@dataclass(frozen=True, slots=True)
class StartJob:
    """Run a job; `is_isolated`: with no other job beside it.

    Units: `deadline` by the monotonic clock, in seconds.
    """

    job: Job
    deadline: float | None = None
    is_isolated: bool = False


@dataclass(frozen=True, slots=True)
class StopJob:
    """Stop a job: as cancelled, or without an event when it is no longer held (`is_lost`)."""

    job_id: str
    is_lost: bool = False


@dataclass(frozen=True, slots=True)
class RemoveAdapted:
    """Remove an adapted checkpoint that was made before its removal was requested.

    Units: `requested_at` in seconds since 1970.
    """

    entry_id: str
    requested_at: float


@dataclass(frozen=True, slots=True)
class ReloadCheckpoints:
    """Serve what is in the checkpoint folders now.

    Units: `requested_at` in seconds since 1970; 0 for a request by a signal.
    """

    requested_at: float = 0.0


class Control(Enum):
    """A command to the loop as a whole."""

    SUSPEND = "suspend"
    """Stop adapting: save what was done, and release the jobs that wait for it."""
    STOP = "stop"
    """End the loop after the step at hand."""


EngineCommand = StartJob | StopJob | RemoveAdapted | ReloadCheckpoints | Control


class Change(Enum):
    """What happened to a job that has neither a result nor a failure."""

    ADAPTING = "adapting"
    """A checkpoint is being adapted to its puzzle."""
    RUNNING = "running"
    """The adaptation is over, and the job is being solved."""
    ADVANCED = "advanced"
    """A snapshot was saved for the next attempt, so the attempts so far are not charged."""
    CANCELLED = "cancelled"
    """It left the engine because that was requested."""
    RELEASED = "released"
    """It left the engine unfinished, to be queued again without charge."""


@dataclass(frozen=True, slots=True)
class Changed:
    """A job changed its state, or left without a result."""

    job_id: str
    change: Change


@dataclass(frozen=True, slots=True)
class Progressed:
    """The progress of a job, as a JSON document."""

    job_id: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Succeeded:
    """The result of a job, as a JSON document.

    Units: `total_s` in seconds since its submission.
    """

    job_id: str
    result: bytes
    total_s: float


@dataclass(frozen=True, slots=True)
class Failed:
    """The reason why a job has no result."""

    job_id: str
    failure: Failure

    @classmethod
    def from_error(cls, job_id: str, error: Exception, checkpoint: str | None = None) -> "Failed":
        """Report one of JOB_ERRORS; their messages are written for callers.

        `checkpoint` is the one that the error concerns, to be named where the job has several.
        """
        code = next(code for kind, code in CODES if isinstance(error, kind))
        detail = str(error) if checkpoint is None else f"{checkpoint}: {error}"
        return cls(job_id, Failure(code, detail))


@dataclass(frozen=True, slots=True)
class Divided:
    """A job left the engine, to be divided by the `num_variants` that vote.

    `progress` is what it begins with, as a JSON document.
    """

    job_id: str
    checkpoint_sha256: str
    parts: tuple[range, ...]
    num_variants: int
    progress: bytes


@dataclass(frozen=True, slots=True)
class Voted:
    """The votes of a shard as numbers by name, of a job with these options and test inputs."""

    job_id: str
    shard: Shard
    votes: Mapping[str, int]
    options: SolveOptions
    num_inputs: int


WorkerEvent = Progressed | Changed | Succeeded | Failed | Divided | Voted
