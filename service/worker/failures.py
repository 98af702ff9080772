"""Which errors end a job alone, and the code each is told under."""

from augment import AugmentError, CanvasError
from hrm_core import CheckpointError, HRMCoreError
from service.jobs import Failure
from service.wire.errors import InputError, UnknownCheckpoint, UnknownPuzzle
from voting import VotingError

# The first that fits is told. Whatever else is raised is a fault of the engine or of ours.
CODES: tuple[tuple[type[Exception], str], ...] = (
    (UnknownPuzzle, "unknown_puzzle"),
    (UnknownCheckpoint, "unknown_checkpoint"),
    (CanvasError, "canvas_exceeded"),
    (InputError, "unsolvable"),
    (AugmentError, "unsolvable"),
    (VotingError, "unsolvable"),
    (CheckpointError, "unsolvable"),
    (HRMCoreError, "engine_failed"),
)
JOB_ERRORS = tuple(kind for kind, _ in CODES)


def failure_of(error: Exception, checkpoint: str | None = None) -> Failure:
    """Tell one of JOB_ERRORS as a job's failure; their sentences are written for callers.

    `checkpoint`: the one it happened with, to be named where the job has several.
    """
    code = next(code for kind, code in CODES if isinstance(error, kind))
    return Failure(code, str(error) if checkpoint is None else f"{checkpoint}: {error}")


def deadline_exceeded(when: str) -> Failure:
    """Tell that a job's deadline passed, and when: before or while it ran."""
    return Failure("deadline_exceeded", f"the deadline passed {when}")
