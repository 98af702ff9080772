"""A job in the engine: its puzzle on the way, and the documents told about it."""

import time
from dataclasses import dataclass

from service.jobs import Job
from service.solving.solve import Solving
from service.wire.answer import Answer, Candidate
from service.wire.progress import Progress, TestProgress
from service.worker.request import SolveRequest
from voting import Ranking, rank

CANDIDATES_REPORTED = 3
REPORT_EVERY_S = 1.0


@dataclass(slots=True, eq=False)
class Running:
    """A job whose members are all enrolled; they enter their engines when there is a place.

    `is_verified`: the rows of all its checkpoints are known to belong to their names. `warnings`
    come with the answer.

    Units: times by the monotonic clock, in seconds.
    """

    job: Job
    request: SolveRequest
    solving: Solving
    is_verified: bool
    warnings: list[str]
    is_alone: bool
    deadline: float | None
    taken_at: float
    reported_at: float = 0.0

    @property
    def is_report_due(self) -> bool:
        """Whether the last report is a second old."""
        return time.monotonic() - self.reported_at >= REPORT_EVERY_S

    def report(self) -> bytes:
        """Tell how far the job is, with the first few candidates so far."""
        self.reported_at = time.monotonic()
        solving, progress = self.solving, self.solving.progress
        ranking = Ranking(solving.options.ranking)
        return Progress(
            outcomes=progress.num_outcomes,
            asked=progress.num_asked,
            decided=progress.num_decided,
            test_inputs=progress.num_test_inputs,
            tests=tuple(
                TestProgress(
                    votes=tally.num_votes,
                    abstained=tally.abstained,
                    candidates=tuple(
                        Candidate(grid=one.grid, count=one.count, share=one.share)
                        for one in rank(tally, ranking)[:CANDIDATES_REPORTED]
                    ),
                )
                for tally in solving.tallies
            ),
        ).to_json()

    def answer(self, worker_id: str) -> Answer:
        """Return the answer with what the job and the worker add to it."""
        answer = self.solving.answer(self.request.task.expected)
        return answer.model_copy(
            update={
                "verified": self.is_verified,
                "warnings": tuple(self.warnings),
                "worker": worker_id,
                "timings_s": {
                    "queue": round(self.queue_s, 6),
                    **answer.timings_s,
                    "total": round(self.total_s, 6),
                },
            }
        )

    @property
    def queue_s(self) -> float:
        """Seconds from submission to the claim of this attempt, by the clock of Redis."""
        started_at = self.job.started_at or self.job.created_at
        return max(0.0, started_at - self.job.created_at)

    @property
    def total_s(self) -> float:
        """Seconds from submission until now."""
        return self.queue_s + time.monotonic() - self.taken_at
