"""A job in the engine: its puzzle on the way, and the documents told about it."""

import time
from dataclasses import dataclass
from typing import Any

from service.jobs import Job
from service.jobs.record import json_bytes
from service.solving.answer import Answer
from service.solving.solve import Solving
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
        return json_bytes(
            {
                "outcomes": progress.num_outcomes,
                "asked": progress.num_asked,
                "decided": progress.num_decided,
                "test_inputs": progress.num_test_inputs,
                "tests": [
                    {
                        "votes": tally.num_votes,
                        "abstained": tally.abstained,
                        "candidates": [
                            {
                                "grid": candidate.grid.to_rows(),
                                "count": candidate.count,
                                "share": candidate.share,
                            }
                            for candidate in rank(tally, Ranking(solving.options.ranking))[
                                :CANDIDATES_REPORTED
                            ]
                        ],
                    }
                    for tally in solving.tallies
                ],
            }
        )

    def result(self, answer: Answer, worker_id: str) -> bytes:
        """Write the answer with what the job and the worker add to it."""
        document: dict[str, Any] = answer.document(self.request.task.expected)
        document["verified"] = self.is_verified
        document["warnings"] = self.warnings
        document["worker"] = worker_id
        document["timings_s"] = {
            "queue": round(self.queue_s, 6),
            **document["timings_s"],
            "total": round(self.total_s, 6),
        }
        return json_bytes(document)

    @property
    def queue_s(self) -> float:
        """Seconds from submission to the claim of this attempt, by the clock of Redis."""
        started_at = self.job.started_at or self.job.created_at
        return max(0.0, started_at - self.job.created_at)

    @property
    def total_s(self) -> float:
        """Seconds from submission until now."""
        return self.queue_s + time.monotonic() - self.taken_at
