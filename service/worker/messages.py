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


@dataclass(frozen=True, slots=True)
class Remove:
    """Remove an adapted checkpoint, if it was made before that was asked for.

    Units: `when` in seconds since 1970.
    """

    entry_id: str
    when: float


@dataclass(frozen=True, slots=True)
class Suspend:
    """Adapt no longer: release the jobs that wait for it, keeping what was done."""


Order = Start | Cancel | Drop | Remove | Suspend | Stop

# --- from the engine, while a job goes on


@dataclass(frozen=True, slots=True)
class Progressed:
    """How far a job is, as a JSON document."""

    job_id: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Adapts:
    """A checkpoint is being adapted to a job's puzzle from now on."""

    job_id: str


@dataclass(frozen=True, slots=True)
class Runs:
    """A job that was being adapted for is being solved from now on."""

    job_id: str


@dataclass(frozen=True, slots=True)
class Advanced:
    """A job's work is kept where the next attempt finds it, so those before were not in vain."""

    job_id: str


Change = Adapts | Runs | Advanced

# --- from the engine, at the last


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


@dataclass(frozen=True, slots=True)
class Released:
    """A job left the engine unfinished, for another attempt, and that is not its fault."""

    job_id: str


Ended = Succeeded | Failed | Cancelled
End = Ended | Released

# Whatever the engine may hand over to be written.
Told = Progressed | Change | End
