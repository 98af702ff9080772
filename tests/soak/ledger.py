"""What was sent, what was acknowledged, and what callers saw: the truth that the audit knows."""

import json
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

SUCCEEDED = frozenset({"succeeded"})


@dataclass(slots=True)
class Accepted:
    """An acknowledged job.

    `question`: the known one that it asks, by its key; "" for others. `may_end`: the states it may
    end in, and codes of failures. `result`: what a caller saw first, and when.

    Units: seen_at by the monotonic clock.
    """

    question: str
    may_end: frozenset[str]
    num_queued: int = 1
    result: Any = None
    seen_at: float = 0.0


@dataclass(slots=True)
class Ledger:
    """Everything that callers know, filled by one thread.

    `num_in_doubt`: submissions without an answer that were not repeated. `ends`: how often the end
    of a job was announced, and when last.
    """

    jobs: dict[str, Accepted] = field(default_factory=dict)
    batches: dict[str, tuple[str, ...]] = field(default_factory=dict)
    surprises: list[str] = field(default_factory=list)
    replies: Counter[str] = field(default_factory=Counter)
    actions: Counter[str] = field(default_factory=Counter)
    num_in_doubt: int = 0
    ends: dict[str, list[float]] = field(default_factory=dict)

    def accept(
        self, job_id: str, question: str, may_end: frozenset[str], result: Any = None
    ) -> Accepted:
        """Note a job that was acknowledged."""
        known = self.jobs.setdefault(job_id, Accepted(question, may_end))
        known.may_end |= may_end
        self.see(job_id, result)
        return known

    def see(self, job_id: str, result: Any) -> None:
        """Note a result as a caller has it, the first time."""
        known = self.jobs.get(job_id)
        if result is not None and known is not None and known.result is None:
            known.result, known.seen_at = result, time.monotonic()

    def surprise(self, sentence: str) -> None:
        """Note what must not happen."""
        self.surprises.append(sentence)

    @property
    def num_jobs(self) -> int:
        """How many jobs were acknowledged."""
        return len(self.jobs)


def as_document(body: bytes) -> dict[str, Any]:
    """Read a reply's JSON object; an empty one for anything else."""
    try:
        found = json.loads(body)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
