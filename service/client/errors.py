"""The errors of the client.

::

    ClientError (service.wire.errors)
    ├── ServiceUnreachable  no answer came
    ├── ServiceProblem      the service refused, and says why
    ├── BadReply            what answered is no hrm-arc service, or not one of this version
    ├── JobUnfinished       the time to wait passed; the job goes on
    ├── BatchUnfinished     the time to wait passed; the batch goes on
    └── JobUnsuccessful     the job failed, or was cancelled
"""

from service.wire.batch import Batch
from service.wire.errors import ClientError
from service.wire.job import Job, JobState
from service.wire.problem import Fault


class ServiceUnreachable(ClientError):  # noqa: N818 - a state, not a mistake
    """No answer came from the service."""


class ServiceProblem(ClientError):  # noqa: N818 - RFC 9457's word for it
    """The service refused a request.

    `code` is a word for programs, `detail` a sentence for people, `faults` what is wrong with the
    body. `job_id`: the job that it is about, where there is one.

    Units: retry_after_s in seconds; None where the service names no time.
    """

    def __init__(
        self,
        *,
        status: int,
        code: str,
        detail: str,
        faults: tuple[Fault, ...] = (),
        retry_after_s: float | None = None,
        job_id: str | None = None,
    ) -> None:
        # The detail may name a fault already, by its pointer.
        untold = [fault for fault in faults if fault.detail not in detail]
        sentence = detail
        for fault in faults:
            sentence = sentence.replace(f"{fault.place}: ", f"{fault.place_in_words}: ")
        places = "".join(f"; {fault.place_in_words}: {fault.detail}" for fault in untold)
        super().__init__(f"the service refused ({status} {code}): {sentence}{places}")
        self.status = status
        self.code = code
        self.detail = detail
        self.faults = faults
        self.retry_after_s = retry_after_s
        self.job_id = job_id

    @property
    def pointers(self) -> tuple[str, ...]:
        """Where the faults are, as JSON pointers into the body."""
        return tuple(fault.pointer for fault in self.faults if fault.pointer is not None)


class BadReply(ClientError):  # noqa: N818 - of the other side
    """What came back is no answer of an hrm-arc service.

    `status` is the HTTP status it came with.
    """

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(
            f"{sentence} (status {status}): is this the address of an hrm-arc service?"
        )
        self.status = status


class JobUnfinished(ClientError):  # noqa: N818 - a state, not a mistake
    """The time to wait passed before the job ended. It goes on; wait again, or cancel it."""

    def __init__(self, job: Job, wait_s: float) -> None:
        super().__init__(
            f"job {job.id} is {job.state} after {wait_s:g} s: wait longer, or cancel it"
        )
        self.job = job


class BatchUnfinished(ClientError):  # noqa: N818 - a state, not a mistake
    """The time to wait passed before the batch ended. It goes on; wait again, or cancel it."""

    def __init__(self, batch: Batch, wait_s: float) -> None:
        super().__init__(
            f"batch {batch.id} is {batch.state} after {wait_s:g} s: wait longer, or cancel it"
        )
        self.batch = batch


class JobUnsuccessful(ClientError):  # noqa: N818 - a state, not a mistake
    """A job that was to be answered failed or was cancelled.

    `code` and `detail` are the failure's; "cancelled" for a cancelled one.
    """

    def __init__(self, job: Job) -> None:
        if job.error is not None:
            code, detail = job.error.code, job.error.detail
        elif job.state is JobState.CANCELLED:
            code, detail = "cancelled", "it was cancelled"
        else:
            code, detail = str(job.state), "the service gives no reason"
        super().__init__(f"job {job.id} ({job.name}) {job.state} ({code}): {detail}")
        self.job = job
        self.code = code
        self.detail = detail
