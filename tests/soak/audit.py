"""The audit: what callers were promised, compared with how their jobs have ended."""

import json
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx

from soak.caller import FINAL
from soak.chaos import Chaos
from soak.load import Load
from soak.puzzles import Question
from soak.stack import Stack

# Valkey writes its file before it answers, but may put that off while the disk is busy.
UNWRITTEN_S = 3.0
SHOWN = 3
CUT_OFF = "timeout graceful shutdown exceeded"


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the audit; `passed` is None where there was nothing to judge."""

    name: str
    passed: bool | None
    detail: str


def line(name: str, faults: Iterable[str], detail: str = "") -> Line:
    """Return a line that passes without faults."""
    found = list(faults)
    if not found:
        return Line(name, True, detail)
    shown = "; ".join(found[:SHOWN])
    return Line(name, False, f"{len(found)}: {shown}")


class JobAudit:
    """The jobs of a load, as the service has them once all have ended."""

    def __init__(
        self, stack: Stack, load: Load, chaos: Chaos, questions: Iterable[Question]
    ) -> None:
        self._ledger, self._answers, self._chaos = load.ledger, load.answers, chaos
        self._questions = {one.key: one for one in questions}
        self._http = httpx.Client(base_url=stack.url, timeout=60.0)
        self.documents: dict[str, dict[str, Any]] = {}
        self._first: dict[str, bytes] = {}

    def read(self) -> None:
        """Read every acknowledged job."""
        for job_id in self._ledger.jobs:
            response = self._get(f"/v1/jobs/{job_id}")
            if response.status_code == 200:
                self._first[job_id] = response.content
                self.documents[job_id] = response.json()

    def lines(self) -> Iterator[Line]:
        """Judge what was read."""
        ledger, num = self._ledger, len(self._ledger.jobs)
        missing = [job_id for job_id in ledger.jobs if job_id not in self.documents]
        yield line("every acknowledged job is there", missing, f"{num} jobs")
        yield line("every job has ended", self._open(), f"{len(self.documents)} jobs")
        yield line("each ended in a way that it may", self._wrong_ends(), self._count_ends())
        yield line("the end of each was announced once", self._repeated_ends(), self._unheard())
        yield line("known puzzles have the undisturbed answer", self._wrong_answers())
        yield line("a result never changes", self._changed_results())
        yield line("results fetched twice are equal", self._unequal_bytes())
        yield line("batches count their jobs", self._wrong_batches(), f"{len(ledger.batches)}")
        yield line("no reply but the documented ones", ledger.surprises, self._common_replies())

    def _open(self) -> Iterator[str]:
        for job_id, document in self.documents.items():
            if document["state"] not in FINAL:
                yield f"{job_id} is {document['state']}"

    def _wrong_ends(self) -> Iterator[str]:
        for job_id, document in self.documents.items():
            state, error = document["state"], document.get("error") or {}
            end = error.get("code") if state == "failed" else state
            if state in FINAL and end not in self._ledger.jobs[job_id].may_end:
                yield f"{job_id} ({document['name']}) ended as {end}: {error.get('detail')}"

    def _count_ends(self) -> str:
        ends: dict[str, int] = {}
        for document in self.documents.values():
            end = (document.get("error") or {}).get("code", document["state"])
            ends[end] = ends.get(end, 0) + 1
        return ", ".join(f"{number} {end}" for end, number in sorted(ends.items()))

    def _repeated_ends(self) -> Iterator[str]:
        for job_id, known in self._ledger.jobs.items():
            heard = self._ledger.ends.get(job_id, [])
            kept = [moment for moment in heard if not self._was_lost(moment)]
            if len(kept) > known.num_queued:
                yield f"{job_id} ended {len(heard)} times, queued {known.num_queued} times"

    def _unheard(self) -> str:
        num = sum(job_id not in self._ledger.ends for job_id in self._ledger.jobs)
        return f"{num} not heard while Valkey was away" if num else "all heard"

    def _wrong_answers(self) -> Iterator[str]:
        for job_id, known in self._ledger.jobs.items():
            result = self.documents.get(job_id, {}).get("result")
            if not known.question or result is None:
                continue
            facts = self._questions[known.question].facts_of(result)
            if json.dumps(facts) != self._answers[known.question]:
                yield f"{job_id} ({known.question}): {json.dumps(facts)[:200]}"

    def _changed_results(self) -> Iterator[str]:
        for job_id, known in self._ledger.jobs.items():
            if known.result is None or self._was_lost(known.seen_at):
                continue
            if self.documents.get(job_id, {}).get("result") != known.result:
                yield f"{job_id}, seen first at {known.seen_at:.0f}"

    def _unequal_bytes(self) -> Iterator[str]:
        for job_id, first in self._first.items():
            if self._get(f"/v1/jobs/{job_id}").content != first:
                yield job_id

    def _wrong_batches(self) -> Iterator[str]:
        for batch_id, job_ids in self._ledger.batches.items():
            batch = self._get(f"/v1/batches/{batch_id}").json()
            states = [self.documents.get(one, {}).get("state") for one in job_ids]
            counts = batch.get("counts", {})
            for state in FINAL:
                if counts.get(state) != states.count(state):
                    yield f"{batch_id}: {counts}, but {states.count(state)} jobs are {state}"
            if batch.get("state") not in ("finished", "cancelled"):
                yield f"{batch_id} is {batch.get('state')}"

    def _common_replies(self) -> str:
        common = self._ledger.replies.most_common(8)
        return ", ".join(f"{number} {name}" for name, number in common)

    def _was_lost(self, moment: float) -> bool:
        """Whether what was seen at a moment may have been lost with Valkey soon after."""
        return any(0 <= kill - moment <= UNWRITTEN_S for kill in self._chaos.server_kills)

    def _get(self, path: str) -> httpx.Response:
        for _ in range(20):
            response = self._http.get(path)
            if response.status_code < 500:
                return response
            time.sleep(0.5)
        return response


def logged_errors(stack: Stack) -> Iterator[str]:
    """Name what the parts logged as errors, except for the end of requests that a stop cut off."""
    for part in stack.parts:
        text = part.log_path.read_text(encoding="utf-8", errors="replace")
        for logged in text.splitlines():
            is_error = '"level": "error"' in logged or '"level": "critical"' in logged
            if (is_error or logged.startswith("Traceback")) and CUT_OFF not in logged:
                yield f"{part.name}: {logged[:300]}"
