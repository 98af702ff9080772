"""The errors of the service; each carries the `code` that callers are answered with."""


class ServiceError(Exception):
    """An error of the service: what could not be done, and how to correct it.

    `code` is the problem that a request which meets the error is answered with; `internal` for
    those that only a start, a command or a worker can meet.
    """

    code = "internal"


class InputError(ServiceError):
    """The person's input cannot be used as given."""


class DatasetError(InputError):
    """The puzzles make no training set."""


class AdaptationError(InputError):
    """A base cannot be adapted to these puzzles, or not like this."""


class PuzzleIndexError(InputError):
    """A checkpoint's puzzles.json is missing or damaged."""


class AlignmentError(InputError):
    """The alignment self-test has too little to go on."""


class SettingsError(InputError):
    """A setting is unknown or has no use as given."""


class EnrolmentError(InputError):
    """The checkpoint cannot answer the puzzle."""

    code = "unsolvable"


class KindUnserved(EnrolmentError):  # noqa: N818 - what was found
    """No checkpoint answers puzzles of this kind."""


class UnknownPuzzle(EnrolmentError):  # noqa: N818 - the wire's own word for it
    """The checkpoint has no trained rows for the puzzle."""

    code = "unknown_puzzle"


class CanvasExceeded(EnrolmentError):  # noqa: N818 - the wire's own word for it
    """The puzzle fits no checkpoint that could answer it; `canvas` is the largest one's."""

    code = "canvas_exceeded"

    def __init__(self, sentence: str, canvas: int) -> None:
        super().__init__(sentence)
        self.canvas = canvas


class UnknownCheckpoint(EnrolmentError):  # noqa: N818 - the wire's own word for it
    """Nobody serves a checkpoint of that name."""

    code = "unknown_checkpoint"


class QueueError(ServiceError):
    """The job layer could not do what was asked."""

    code = "invalid_request"  # a cursor or an event id that was never given out


class QueueUnavailable(QueueError):  # noqa: N818 - a state, not a mistake
    """Redis cannot be reached, or takes no writes: nothing was queued."""

    code = "queue_unavailable"


class SubmissionInDoubt(QueueUnavailable):
    """Redis went away during a submission, which may have been queued all the same."""


class NotDurable(QueueUnavailable):
    """A submission is queued, but not known to be on disk; `id` is the job's or the batch's."""

    code = "not_durable"

    def __init__(self, queued_id: str, reason: str) -> None:
        super().__init__(f"{queued_id} is queued, but not known to be on disk: {reason}")
        self.id = queued_id


class PuzzlesUnpublished(QueueError):  # noqa: N818 - a state, not a mistake
    """The list of the puzzles that a checkpoint knows is missing."""

    code = "not_ready"

    def __init__(self, checkpoint_name: str) -> None:
        super().__init__(
            f"the list of puzzles that checkpoint {checkpoint_name!r} knows is missing: its worker "
            "publishes it again within seconds, so try again in a moment"
        )


class QueueFull(QueueError):  # noqa: N818 - a state, not a mistake
    """No place for another job now.

    Units: retry_after_s in seconds. `is_share`: the caller's own part of the queue is full, not all
    of it.
    """

    code = "queue_full"

    def __init__(self, sentence: str, *, retry_after_s: int, is_share: bool) -> None:
        super().__init__(sentence)
        self.retry_after_s = retry_after_s
        self.code = "queue_share_exceeded" if is_share else "queue_full"


class BatchTooLarge(QueueError):  # noqa: N818 - the wire's own word for it
    """A batch has more jobs than may wait, even when nothing else does."""

    code = "batch_too_large"


class IdempotencyConflict(QueueError):  # noqa: N818 - the wire's own word for it
    """The idempotency key was used before, with another body."""

    code = "idempotency_conflict"


class JobNotFound(QueueError):  # noqa: N818 - the wire's own word for it
    """No such job, or no longer."""

    code = "job_not_found"

    def __init__(self, job_id: str) -> None:
        super().__init__(f"job {job_id[:64]!r} does not exist or has expired")


class BatchNotFound(QueueError):  # noqa: N818 - the wire's own word for it
    """No such batch, or no longer."""

    code = "batch_not_found"

    def __init__(self, batch_id: str) -> None:
        super().__init__(f"batch {batch_id[:64]!r} does not exist or has expired")


class AdaptedNotFound(QueueError):  # noqa: N818 - the wire's own word for it
    """No worker keeps such an adapted checkpoint."""

    code = "adapted_not_found"

    def __init__(self, adapted_id: str) -> None:
        super().__init__(
            f"adapted checkpoint {adapted_id[:80]!r} does not exist, was removed, or is kept by a "
            "worker that is not there now (GET /v1/adapted lists those there are)"
        )


class EmbeddedServerError(ServiceError):
    """The embedded Valkey server does not run."""


class ClientError(ServiceError):
    """A service answered a client with an error, or not at all."""


class HubError(ServiceError):
    """A checkpoint folder could not be fetched from the Hugging Face hub."""


class PictureError(ServiceError):
    """A picture of a puzzle could not be drawn or written."""
