"""How a job or a batch is followed to its end, by server-sent events and by asking.

The libraries at hand hide the comments of a stream, which are all that comes while a job waits in
the queue: a reader that sees only events cannot look at its clock in between.

Source: https://html.spec.whatwg.org/multipage/server-sent-events.html, 9.2.6.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar
from urllib.parse import quote

from service.client.errors import BatchUnfinished, JobUnfinished, ServiceUnreachable
from service.client.exchange import (
    Emit,
    HangUp,
    Listen,
    NextChunk,
    Pause,
    Report,
    Retries,
    Steps,
    ask,
)
from service.client.messages import Request, read, read_object
from service.runtime.timing import backoff_s
from service.wire.batch import Batch, BatchProgress, BatchState
from service.wire.job import Job, JobState, Progress

# The service sends a sign of life every 15 s; what is silent for three of them is gone.
SILENCE_S = 45.0
# So many streams in a row without an event, and the job is asked for from time to time instead.
MAX_MUTE_STREAMS = 3
LONGEST_POLL_PAUSE_S = 2.0
FINAL_STATES = frozenset(
    {str(state) for state in JobState if state.is_final}
    | {str(state) for state in BatchState if state.is_final}
)
Followed = TypeVar("Followed", Job, Batch)


@dataclass(frozen=True, slots=True)
class Kind(Generic[Followed]):
    """What there is to know to follow jobs or batches: how they and their events are read."""

    folder: str
    model: type[Followed]
    progress: type[Progress | BatchProgress]
    unfinished: Callable[[Followed, float], Exception]

    def path(self, named: Followed | str) -> str:
        """Return the path of a job or batch, or of the one with an id."""
        return f"{self.folder}/{quote(named if isinstance(named, str) else named.id, safe='')}"


JOB = Kind("/v1/jobs", Job, Progress, JobUnfinished)
BATCH = Kind("/v1/batches", Batch, BatchProgress, BatchUnfinished)


@dataclass(frozen=True, slots=True)
class JobEvent:
    """Something that happened to a job: it is in another state, or further on.

    `progress` comes with events of that kind, `job` with the last one: the whole job, with the
    answer in `result`.
    """

    kind: Literal["state", "progress"]
    state: JobState
    progress: Progress | None = None
    job: Job | None = None


@dataclass(slots=True)
class Following(Generic[Followed]):
    """Follows one job or batch until it ends, or until `deadline`, `wait_s` after the call.

    `emits`: what happens to a job before its end is emitted.

    Units: seconds; `deadline` by `clock`.
    """

    kind: Kind[Followed]
    path: str
    wait_s: float | None
    deadline: float
    on_progress: Callable[[Any], Any] | None
    retries: Retries
    clock: Callable[[], float]
    emits: bool = False
    last_event_id: str = ""
    _state: JobState | None = None
    _ended: Followed | None = None

    def follow(self) -> Steps[Followed]:
        """Listen for as long as the stream lasts, ask how it stands, and begin again until it ends.

        So a dropped stream is resumed where it broke off, and where there are no streams (a proxy
        that holds them back, say) what remains is asking.

        Raises: JobUnfinished, BatchUnfinished.
        """
        num_mute = num_pauses = 0
        while True:
            if num_mute < MAX_MUTE_STREAMS and self.clock() < self.deadline:
                is_mute = yield from self._listen()
                num_mute = num_mute + 1 if is_mute else 0
                num_pauses = num_pauses if is_mute else 0
            if self._ended is not None:
                return self._ended
            found = yield from ask(self.kind.model, Request("GET", self.path), self.retries)
            if found.state.is_final:
                return found
            yield from self._emit_state(str(found.state))
            remaining_s = self.deadline - self.clock()
            if remaining_s <= 0:
                raise self.kind.unfinished(found, self.wait_s or 0.0)
            num_pauses += 1
            pause_s = backoff_s(num_pauses, self.retries.first_pause_s, LONGEST_POLL_PAUSE_S)
            yield Pause(min(pause_s, remaining_s))

    def _listen(self) -> Steps[bool]:
        """Hear events until the job, batch or stream ends; return whether no byte came at all."""
        headers = {"Accept": "text/event-stream"}
        if self.last_event_id:
            headers["Last-Event-ID"] = self.last_event_id
        silence_s = min(SILENCE_S, self.deadline - self.clock())
        is_mute = True
        try:
            chunks = yield Listen(Request("GET", f"{self.path}/events", headers), silence_s)
            decoder = EventDecoder()
            is_over = chunks is None  # why it is refused, the address itself will show
            while not is_over and (chunk := (yield NextChunk(chunks))) is not None:
                is_mute = False
                for event in decoder.feed(chunk):
                    self.last_event_id = event.id or self.last_event_id
                    is_last = yield from self._take(event)
                    is_over = is_over or is_last
                # A stream may keep silent for longer than is left to wait: open a shorter one.
                is_over = is_over or self.clock() + silence_s / 2 > self.deadline
        except ServiceUnreachable:
            pass  # the stream broke: the caller asks how it stands
        yield HangUp()
        return is_mute

    def _take(self, event: "StreamEvent") -> Steps[bool]:
        """Pass an event on; return whether it is the last one."""
        if event.kind == "progress" and (self.on_progress is not None or self.emits):
            progress = read(self.kind.progress, event.data)
            if self.on_progress is not None:
                yield Report(self.on_progress, progress)
            if self.emits and isinstance(progress, Progress):
                yield Emit(JobEvent("progress", self._state or JobState.RUNNING, progress))
        if event.kind != "state":
            return False
        document = read_object(event.data)
        state = str(document.get("state"))
        if state not in FINAL_STATES:
            yield from self._emit_state(state)
            return False
        # Services of before name the state only: the job is then asked for.
        if "created_at" in document:
            self._ended = read(self.kind.model, event.data)
        return True

    def _emit_state(self, state: str) -> Steps[None]:
        """Emit a job's state where it is a new one; one of a later version is left out."""
        if self.emits and state in set(JobState) and state != self._state:
            self._state = JobState(state)
            yield Emit(JobEvent("state", self._state))


@dataclass(frozen=True, slots=True)
class StreamEvent:
    """One event; `id` is the last one the stream has named."""

    id: str
    kind: str
    data: str


class EventDecoder:
    """Puts events together from the chunks of one stream."""

    def __init__(self) -> None:
        self._rest = b""
        self._id = ""
        self._kind = ""
        self._data: list[str] = []

    def feed(self, chunk: bytes) -> list[StreamEvent]:
        """Take a chunk and return the events that it completes."""
        lines = (self._rest + chunk).splitlines(keepends=True)
        # A carriage return may be the first half of a line's end.
        self._rest = lines.pop() if lines and not lines[-1].endswith(b"\n") else b""
        events = []
        for line in lines:
            event = self._take(line.rstrip(b"\r\n").decode("utf-8", "replace"))
            if event is not None:
                events.append(event)
        return events

    def _take(self, line: str) -> StreamEvent | None:
        if not line:
            event = StreamEvent(self._id, self._kind or "message", "\n".join(self._data))
            is_event = bool(self._data)
            self._kind, self._data = "", []
            return event if is_event else None
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "id" and "\0" not in value:
            self._id = value
        elif name == "event":
            self._kind = value
        elif name == "data":
            self._data.append(value)
        return None
