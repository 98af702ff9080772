"""A job whose members are not all enrolled yet."""

from dataclasses import dataclass, field

from service.jobs import Job
from service.solving.members import Member
from service.wire.errors import InputError
from service.worker.messages import Start
from service.worker.request import SolveRequest


@dataclass(slots=True, eq=False)
class Enrolling:
    """A job whose checkpoints, the main one first, find their rows for its puzzle one by one.

    Units: `taken_at` by the monotonic clock, in seconds.
    """

    start: Start
    request: SolveRequest
    checkpoints: tuple[str, ...]
    taken_at: float
    members: list[Member] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Refuse checkpoints named twice before any is touched.

        Raises: InputError.
        """
        for name in self.checkpoints:
            if self.checkpoints.count(name) > 1:
                raise InputError(f"checkpoint {name!r} is to vote twice: name each one once")

    @property
    def job(self) -> Job:
        """The job."""
        return self.start.job

    @property
    def deadline(self) -> float | None:
        """When the job is overdue, by the monotonic clock."""
        return self.start.deadline

    @property
    def is_alone(self) -> bool:
        """Whether no other job may run beside it."""
        return self.start.is_alone

    @property
    def next_checkpoint(self) -> str | None:
        """The checkpoint to be enrolled next; None when all are."""
        num_enrolled = len(self.members)
        return self.checkpoints[num_enrolled] if num_enrolled < len(self.checkpoints) else None
