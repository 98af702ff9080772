"""What the clients do, without doing it: every operation as steps for a driver to take."""

import secrets
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from math import inf
from typing import Generic, TypeVar
from urllib.parse import quote

from service.client.errors import (
    BatchUnfinished,
    JobUnfinished,
    JobUnsuccessful,
    ServiceProblem,
    ServiceUnreachable,
)
from service.client.events import EventDecoder
from service.client.exchange import (
    HangUp,
    Listen,
    NextChunk,
    Pause,
    Reply,
    Report,
    Request,
    Steps,
)
from service.client.pages import BatchPage, JobPage, PuzzlePage
from service.client.replies import (
    read_adapted,
    read_batch,
    read_batch_progress,
    read_batches,
    read_checkpoints,
    read_job,
    read_jobs,
    read_progress,
    read_puzzles,
    read_state,
    read_submission,
)
from service.client.retries import Retries, send
from service.client.tasks import AnyChallenges, AnyTask, batch_body, request_body
from service.wire.answer import Answer
from service.wire.batch import Batch, BatchProgress, BatchState
from service.wire.checkpoint import Adapted, Checkpoint
from service.wire.job import Job, JobState, Progress
from service.wire.options import SolveOptions
from voting import Submission

# The service sends a sign of life every 15 s; what is silent for three of them is gone.
SILENCE_S = 45.0
# Proxies commonly cut a request off after a minute.
MAX_SOLVE_WAIT_S = 50.0
# So many streams in a row without an event, and the job is asked for from time to time instead.
MAX_MUTE_STREAMS = 3
LONGEST_POLL_PAUSE_S = 2.0
# A whole challenges file takes a while to be checked, and its submission to be put together.
BATCH_PATIENCE_S = 120.0
FINAL_STATES = frozenset(
    {str(state) for state in JobState if state.is_final}
    | {str(state) for state in BatchState if state.is_final}
)


Followed = TypeVar("Followed", Job, Batch)


@dataclass(frozen=True, slots=True)
class _Kind(Generic[Followed]):
    """What there is to know to follow a job or a batch: how it and its events are read."""

    path: str
    read: Callable[[Reply], Followed]
    read_progress: Callable[[str], Progress | BatchProgress]
    unfinished: Callable[[Followed, float], Exception]


@dataclass(frozen=True, slots=True)
class _Heard:
    """What a stream gave: the last event's id, and whether no byte came at all."""

    last_event_id: str
    is_mute: bool


class Core:
    """Builds requests, reads replies, tries again, follows jobs; performs nothing itself."""

    def __init__(self, retries: Retries, clock: Callable[[], float] = time.monotonic) -> None:
        self._retries, self._clock = retries, clock
        self._polls = Retries(retries.most, retries.first_pause_s, LONGEST_POLL_PAUSE_S)

    def submit(
        self, task: AnyTask, options: Mapping[str, object], idempotency_key: str | None = None
    ) -> Steps[Job]:
        """Make a job."""
        return (yield from self._submit("/v1/jobs", task, options, idempotency_key, 0.0))

    def solve(
        self,
        task: AnyTask,
        options: Mapping[str, object],
        *,
        wait_s: float | None,
        wants_progress: bool,
    ) -> Steps[Answer]:
        """Make a job and wait for its answer; `wants_progress`: on the way, read its progress too.

        Raises: JobUnsuccessful, JobUnfinished.
        """
        deadline = self._deadline(wait_s)
        if wants_progress or (wait_s is not None and wait_s < 1):
            job = yield from self.submit(task, options)
        else:
            patience_s = MAX_SOLVE_WAIT_S if wait_s is None else min(wait_s, MAX_SOLVE_WAIT_S)
            try:
                job = yield from self._submit("/v1/solve", task, options, None, patience_s)
            except ServiceProblem as problem:
                if problem.job_id is None:
                    raise
                job = yield from self.get(problem.job_id)  # it was made, and failed
        if not job.state.is_final:
            job = yield from self._follow(_job(job.id), wait_s, deadline)
        if job.result is None:
            raise JobUnsuccessful(job)
        return job.result

    def get(self, job_id: str) -> Steps[Job]:
        """Ask for a job."""
        return read_job((yield from self._send(Request("GET", _job_path(job_id)))))

    def wait(self, job_id: str, wait_s: float | None) -> Steps[Job]:
        """Follow a job to its end.

        Raises: JobUnfinished.
        """
        return (yield from self._follow(_job(job_id), wait_s, self._deadline(wait_s)))

    def cancel(self, job_id: str) -> Steps[Job]:
        """Cancel a job; one that has ended stays as it is."""
        return read_job((yield from self._send(Request("DELETE", _job_path(job_id)))))

    def list(self, states: Iterable[str], after: str | None, limit: int | None) -> Steps[JobPage]:
        """Ask for one's jobs, the newest first."""
        query = (*(("state", str(state)) for state in states), *_page_query(after, limit))
        return read_jobs((yield from self._send(Request("GET", "/v1/jobs", query=query))))

    def submit_batch(
        self,
        challenges: AnyChallenges,
        options: Mapping[str, object],
        name: str | None = None,
        idempotency_key: str | None = None,
    ) -> Steps[Batch]:
        """Make a batch."""
        headers = _posting(idempotency_key)
        body = batch_body(challenges, SolveOptions.read(options), name)
        request = Request("POST", "/v1/batches", headers, content=body, patience_s=BATCH_PATIENCE_S)
        return read_batch((yield from self._send(request)))

    def get_batch(self, batch_id: str) -> Steps[Batch]:
        """Ask for a batch."""
        return read_batch((yield from self._send(Request("GET", _batch_path(batch_id)))))

    def list_batches(self, after: str | None, limit: int | None) -> Steps[BatchPage]:
        """Ask for one's batches, the newest first."""
        request = Request("GET", "/v1/batches", query=_page_query(after, limit))
        return read_batches((yield from self._send(request)))

    def wait_batch(self, batch_id: str, wait_s: float | None) -> Steps[Batch]:
        """Follow a batch to its end.

        Raises: BatchUnfinished.
        """
        return (yield from self._follow(_batch(batch_id), wait_s, self._deadline(wait_s)))

    def cancel_batch(self, batch_id: str) -> Steps[Batch]:
        """Cancel the jobs of a batch that have not ended."""
        return read_batch((yield from self._send(Request("DELETE", _batch_path(batch_id)))))

    def submission(self, batch_id: str) -> Steps[Submission]:
        """Ask for a batch's submission, as far as it is."""
        path = f"{_batch_path(batch_id)}/submission.json"
        request = Request("GET", path, patience_s=BATCH_PATIENCE_S)
        return read_submission((yield from self._send(request)))

    def checkpoints(self) -> Steps[tuple[Checkpoint, ...]]:
        """Ask for the checkpoints served."""
        return read_checkpoints((yield from self._send(Request("GET", "/v1/checkpoints"))))

    def puzzles(self, checkpoint: str, after: str | None, limit: int | None) -> Steps[PuzzlePage]:
        """Ask for the puzzles a checkpoint knows."""
        path = f"/v1/checkpoints/{quote(checkpoint, safe='')}/puzzles"
        request = Request("GET", path, query=_page_query(after, limit))
        return read_puzzles((yield from self._send(request)))

    def adapted(self) -> Steps[tuple[Adapted, ...]]:
        """Ask for the caller's adapted checkpoints that are kept."""
        return read_adapted((yield from self._send(Request("GET", "/v1/adapted"))))

    def remove_adapted(self, adapted_id: str) -> Steps[None]:
        """Remove an adapted checkpoint."""
        yield from self._send(Request("DELETE", f"/v1/adapted/{quote(adapted_id, safe='')}"))

    def _deadline(self, wait_s: float | None) -> float:
        return inf if wait_s is None else self._clock() + wait_s

    def _send(self, request: Request) -> Steps[Reply]:
        return send(request, self._retries)

    def _submit(
        self,
        path: str,
        task: AnyTask,
        options: Mapping[str, object],
        idempotency_key: str | None,
        patience_s: float,
    ) -> Steps[Job]:
        headers = _posting(idempotency_key)
        if patience_s:
            headers["Prefer"] = f"wait={int(patience_s)}"
        body = request_body(task, SolveOptions.read(options))
        request = Request("POST", path, headers, content=body, patience_s=patience_s)
        return read_job((yield from self._send(request)))

    def _follow(
        self, kind: _Kind[Followed], wait_s: float | None, deadline: float
    ) -> Steps[Followed]:
        """Listen for as long as the stream lasts, ask how it stands, and begin again until it ends.

        So a dropped stream is resumed where it broke off, and where there are no streams (a proxy
        that holds them back, say) what remains is asking.
        """
        last_event_id = ""
        num_mute = num_pauses = 0
        while True:
            if num_mute < MAX_MUTE_STREAMS and self._clock() < deadline:
                heard = yield from self._listen(kind, last_event_id, deadline)
                last_event_id = heard.last_event_id
                num_mute = num_mute + 1 if heard.is_mute else 0
                num_pauses = num_pauses if heard.is_mute else 0
            found = kind.read((yield from self._send(Request("GET", kind.path))))
            if found.state.is_final:
                return found
            remaining_s = deadline - self._clock()
            if remaining_s <= 0:
                raise kind.unfinished(found, wait_s or 0.0)
            num_pauses = min(num_pauses + 1, self._polls.most)
            pause_s = self._polls.pause_s(num_pauses)
            yield Pause(min(LONGEST_POLL_PAUSE_S if pause_s is None else pause_s, remaining_s))

    def _listen(self, kind: _Kind[Followed], last_event_id: str, deadline: float) -> Steps[_Heard]:
        """Hear the events until their job or batch ends, or the stream does."""
        headers = {"Accept": "text/event-stream"}
        if last_event_id:
            headers["Last-Event-ID"] = last_event_id
        silence_s = min(SILENCE_S, deadline - self._clock())
        is_mute = True
        try:
            refusal: Reply | None = yield Listen(
                Request("GET", f"{kind.path}/events", headers), silence_s
            )
            decoder = EventDecoder()
            is_over = refusal is not None  # why, the address itself will show
            while not is_over and (chunk := (yield NextChunk())) is not None:
                is_mute = False
                for event in decoder.feed(chunk):
                    last_event_id = event.id or last_event_id
                    if event.kind == "progress":
                        yield Report(kind.read_progress(event.data))
                    elif event.kind == "state":
                        is_over = is_over or _is_final(read_state(event.data))
                # A stream may keep silent for longer than is left to wait: open a shorter one.
                is_over = is_over or self._clock() + silence_s / 2 > deadline
        except ServiceUnreachable:
            pass  # the stream broke: the caller asks how it stands
        yield HangUp()
        return _Heard(last_event_id, is_mute)


def _is_final(state: str) -> bool:
    return state in FINAL_STATES


def _job(job_id: str) -> _Kind[Job]:
    return _Kind(_job_path(job_id), read_job, read_progress, JobUnfinished)


def _batch(batch_id: str) -> _Kind[Batch]:
    return _Kind(_batch_path(batch_id), read_batch, read_batch_progress, BatchUnfinished)


def _posting(idempotency_key: str | None) -> dict[str, str]:
    # A key for every job, made before the first try: a try that lost its reply made the job
    # already, and the next one must find it.
    return {
        "Content-Type": "application/json",
        "Idempotency-Key": idempotency_key or secrets.token_urlsafe(24),
    }


def _batch_path(batch_id: str) -> str:
    return f"/v1/batches/{quote(batch_id, safe='')}"


def _job_path(job_id: str) -> str:
    return f"/v1/jobs/{quote(job_id, safe='')}"


def _page_query(after: str | None, limit: int | None) -> tuple[tuple[str, str], ...]:
    query = {"cursor": after, "limit": limit}
    return tuple((name, str(value)) for name, value in query.items() if value is not None)
