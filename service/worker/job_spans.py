"""The spans of the jobs that a worker holds: one for each job, and one for each of its phases.

The phases: `enrol` finds rows, `adapt` waits for an adaptation, `engine` for an engine on the
device; `encode` makes samples, which wait in `seat` for slots and run in `segments`; `vote` ranks,
`deliver` writes how the job ended.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from threading import Lock
from typing import Literal

from hrm_core import Engine, Outcome
from service.jobs import Job
from service.runtime.tracing import NO_SPAN, Span, Tracer, Value
from service.solving.members import Member
from service.worker.job_table import ActiveJob

Phase = Literal["enrol", "adapt", "engine", "encode", "seat", "segments", "vote", "deliver"]


@dataclass(slots=True, eq=False)
class _Open:
    """The spans of a job that are not over; `checkpoint` is the one that the phase is about."""

    job: Span
    phase: Phase | None = None
    checkpoint: str | None = None
    span: Span = NO_SPAN


class JobSpans:
    """The spans of the jobs that a worker holds; thread-safe.

    What is said of a job that is not held has no effect, so without tracing nothing has.
    """

    def __init__(self, tracer: Tracer | None = None, worker_id: str = "") -> None:
        self._tracer, self._worker_id = tracer or Tracer(), worker_id
        self._open: dict[str, _Open] = {}
        self._lock = Lock()

    def begin(self, job: Job) -> None:
        """Begin the span of a job that was just claimed, and record how long it waited."""
        about: dict[str, Value] = {
            "job_id": job.id,
            "attempt": job.attempts,
            "worker": self._worker_id,
        }
        name = "solve shard"
        if job.shard is None:
            name = "solve"
            waited_s = max(0.0, (job.started_at or job.created_at) - job.created_at)
            self._tracer.begin("queue", job.traceparent, attributes=about, ago_s=waited_s).end()
        span = self._tracer.begin(name, job.traceparent, attributes=about, kind="consumer")
        if span is not NO_SPAN:
            with self._lock:
                self._open[job.id] = _Open(span)

    def enter(
        self, job_id: str, phase: Phase, *, checkpoint: str | None = None, ago_s: float = 0.0
    ) -> None:
        """End the phase of a job and begin another; nothing where it is in that one.

        Units: `ago_s`, how long it has been in the phase, in seconds.
        """
        with self._lock:
            mine = self._open.get(job_id)
            if mine is None or (mine.phase, mine.checkpoint) == (phase, checkpoint):
                return
            mine.span.end(ago_s=ago_s)
            mine.phase, mine.checkpoint = phase, checkpoint
            about = {"checkpoint": checkpoint}
            mine.span = self._tracer.begin(phase, mine.job, attributes=about, ago_s=ago_s)

    def note(self, job_id: str, **attributes: Value | None) -> None:
        """Set attributes of the phase that a job is in."""
        with self._lock:
            if (mine := self._open.get(job_id)) is not None:
                mine.span.note(**attributes)

    def note_member(self, job_id: str, member: Member) -> None:
        """Set how an enrolled checkpoint was adapted, if it was, as attributes of the phase."""
        if (made := member.adaptation) is not None:
            self.note(
                job_id,
                adapt_steps=made.steps,
                adapt_seconds=made.seconds,
                held_out_share=made.held_out_share,
                adapt_reused=made.reused,
            )

    def note_step(
        self, jobs: Iterable[ActiveJob], engine: Engine, outcomes: Iterable[Outcome], step_s: float
    ) -> None:
        """Let jobs enter `segments` that had their first samples seated by a step.

        Units: `step_s`, how long the step took, in seconds.
        """
        waiting = [job for job in jobs if self._is_in(job.id, "seat")]
        if waiting:
            seated = engine.seated_jobs | {outcome.job for outcome in outcomes}
            for job in waiting:
                if job.solving in seated:
                    self.enter(job.id, "segments", ago_s=step_s)

    def enter_vote(self, job: ActiveJob) -> None:
        """Set how much was computed for a job, as attributes of its phase, and enter `vote`."""
        solving = job.solving
        self.note(job.id, samples=solving.progress.outcomes, segments=solving.num_segments)
        self.enter(job.id, "vote")

    def leave(self, job_id: str, end: str, code: str | None) -> None:
        """Begin to deliver how a job left the engine; the code is that of a failure."""
        with self._lock:
            if (mine := self._open.get(job_id)) is not None:
                mine.job.note(end=end)
                if code is not None:
                    mine.span.fail(code)
                    mine.job.fail(code)
        self.enter(job_id, "deliver")

    def end(self, job_id: str) -> None:
        """End the spans of a job that is no longer held."""
        with self._lock:
            mine = self._open.pop(job_id, None)
        if mine is not None:
            if mine.phase != "deliver":
                mine.job.note(end="dropped")  # another worker's, ended elsewhere, or handed back
            mine.span.end()
            mine.job.end()

    def _is_in(self, job_id: str, phase: Phase) -> bool:
        mine = self._open.get(job_id)
        return mine is not None and mine.phase == phase
