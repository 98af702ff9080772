"""What the worker's threads tell each other."""

from dataclasses import dataclass

from service.jobs import Failure, Job

# --- to the engine


@dataclass(frozen=True, slots=True)
class Start:
    """Run a job; `is_alone`: with no other beside it.

    Units: `deadline` by the monotonic clock.
    """

    job: Job
    deadline: float | None = None
    is_alone: bool = False


@dataclass(frozen=True, slots=True)
class Cancel:
    """End a job as cancelled."""

    job_id: str


@dataclass(frozen=True, slots=True)
class Drop:
    """Forget a job that is another worker's by now."""

    job_id: str


@dataclass(frozen=True, slots=True)
class Stop:
    """End the thread after the step it is in."""


Order = Start | Cancel | Drop | Stop

# --- from the engine


@dataclass(frozen=True, slots=True)
class Progressed:
    """How far a job is, as a JSON document."""

    job_id: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Succeeded:
    """A job's result, as a JSON document.

    Units: `total_s` in seconds since its submission.
    """

    job_id: str
    result: bytes
    total_s: float


@dataclass(frozen=True, slots=True)
class Failed:
    """Why a job has no result."""

    job_id: str
    failure: Failure


@dataclass(frozen=True, slots=True)
class Cancelled:
    """A job left the engine because it was asked to."""

    job_id: str


End = Succeeded | Failed | Cancelled
