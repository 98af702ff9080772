"""What the job layer keeps: jobs and events as they stand, and jobs and batches to be queued."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, cast

from service.wire.errors import QueueError
from service.wire.job import Failure, JobState
from service.wire.options import Priority

# Names of votes that are none: those of the workers that brought some.
_WORKER = "worker:"
# Jobs were written as one document once, with the options among the members of the task.
_FORMER_TASK = b"request"
_EVENT_ID = re.compile(r"([0-9]{1,19})(?:-([0-9]{1,19}))?")


@dataclass(frozen=True, slots=True, kw_only=True)
class NewWork:
    """What a job and a batch have in common that are to be queued.

    `options` is a JSON document, of a batch every job's. `fingerprint` distinguishes bodies of the
    same idempotency key. `share`: how many of this owner's jobs may wait; None for no limit.
    `traceparent`: the trace to go on with (W3C Trace Context); empty without one.

    Units: deadline_s in seconds from now, of a batch each job's.
    """

    owner: str
    name: str
    options: bytes
    fingerprint: str
    deadline_s: float | None = None
    idempotency_key: str | None = None
    share: int | None = None
    traceparent: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewJob(NewWork):
    """A job to be queued; `task` is a JSON document."""

    priority: Priority
    task: bytes


@dataclass(frozen=True, slots=True)
class Refused:
    """A puzzle of a batch that no job was made of: why, and the rows of its test inputs."""

    failure: Failure
    inputs: tuple[tuple[tuple[int, ...], ...], ...]

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> "Refused":
        """Read what `asdict` gives, from JSON."""
        inputs = tuple(tuple(map(tuple, rows)) for rows in document["inputs"])
        return cls(Failure(**document["failure"]), inputs)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewBatch(NewWork):
    """A batch to be queued: its puzzles by id, in order, as JSON documents of tasks or refusals."""

    puzzles: Mapping[str, bytes | Refused]


@dataclass(frozen=True, slots=True)
class Shard:
    """A part of a divided job: some of the `num_variants` that it draws, by their index.

    `split` names the division. Without variants it is the closing of the job: `votes` are those of
    the shards that were counted, as numbers by name, and `workers` have brought them.

    Units: job_started_at in seconds since 1970, when the job itself was claimed.
    """

    split: str
    checkpoint_sha256: str
    part: range
    num_variants: int
    job_started_at: float
    votes: Mapping[str, int]
    workers: frozenset[str]

    @classmethod
    def from_fields(cls, fields: Mapping[bytes, bytes], counts: Mapping[bytes, bytes]) -> "Shard":
        """Read a shard's fields with those of its job, and the counts for a closing."""
        return cls(
            split=_text(fields, b"split"),
            checkpoint_sha256=_text(fields, b"checkpoint"),
            part=range(*map(int, fields.get(b"range", b"0 0").split())),
            num_variants=int(fields[b"variants"]),
            job_started_at=_seconds(fields, b"job_started_ms") or 0.0,
            votes=votes_of(counts),
            workers=frozenset(
                name.decode().removeprefix(_WORKER)
                for name in counts
                if name.startswith(_WORKER.encode())
            ),
        )

    @property
    def is_closing(self) -> bool:
        """Whether the votes are in, and the job's answer is to be made of them."""
        return not self.part


@dataclass(frozen=True, slots=True)
class Job:
    """A job as it stands. `task`, `options`, `progress` and `result` are JSON documents.

    In lists `task` and `result` are left out. What a worker claims may be a `shard` of a job, with
    the shard's id, attempts and times.

    Units: times in seconds since 1970, by the clock of Redis.
    """

    id: str
    owner: str
    name: str
    state: JobState
    priority: Priority
    task: bytes
    options: bytes
    created_at: float
    started_at: float | None
    finished_at: float | None
    deadline_at: float | None
    attempts: int
    worker: str | None
    cancel_requested: bool
    progress: bytes | None
    result: bytes | None
    failure: Failure | None
    last_event: str
    traceparent: str = ""
    shard: Shard | None = None

    @classmethod
    def from_fields(cls, job_id: str, fields: Mapping[bytes, bytes]) -> "Job":
        """Read a record's fields."""
        code = _text(fields, b"failure_code")
        return cls(
            id=job_id,
            owner=_text(fields, b"owner"),
            name=_text(fields, b"name"),
            state=JobState(_text(fields, b"state")),
            priority=cast(Priority, _text(fields, b"priority")),
            task=fields.get(b"task") or fields.get(_FORMER_TASK, b""),
            options=fields.get(b"options") or _options_in(fields.get(_FORMER_TASK, b"")),
            created_at=_seconds(fields, b"created_ms") or 0.0,
            started_at=_seconds(fields, b"started_ms"),
            finished_at=_seconds(fields, b"finished_ms"),
            deadline_at=_seconds(fields, b"deadline_ms"),
            attempts=int(fields.get(b"attempts", 0)),
            worker=_text(fields, b"worker") or None,
            cancel_requested=b"cancel" in fields,
            progress=fields.get(b"progress"),
            result=fields.get(b"result"),
            failure=Failure(code, _text(fields, b"failure_detail")) if code else None,
            last_event=_text(fields, b"last_event"),
            traceparent=_text(fields, b"traceparent"),
        )


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to a job.

    Each has the whole state, so seeing one twice is harmless.

    `data` is a JSON document. `is_last`: the job has ended.
    """

    id: str
    job_id: str
    kind: Literal["state", "progress"]
    data: bytes
    is_last: bool

    @classmethod
    def from_fields(cls, event_id: bytes, fields: Mapping[bytes, bytes]) -> "Event":
        """Read an entry of the stream of events."""
        return cls(
            id=event_id.decode(),
            job_id=_text(fields, b"job"),
            kind=cast(Literal["state", "progress"], _text(fields, b"kind")),
            data=fields[b"data"],
            is_last=fields[b"last"] == b"1",
        )

    @classmethod
    def of_state(cls, job: Job) -> "Event":
        """Return a job's present state as an event."""
        document: dict[str, Any] = {"id": job.id, "state": job.state, "attempts": job.attempts}
        if job.failure is not None:
            document["error"] = asdict(job.failure)
        data = json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()
        return cls(job.last_event, job.id, "state", data, job.state.is_final)


def event_order(event_id: str) -> tuple[int, int]:
    """Return what events are ordered by: the numbers of an id, which grow.

    Raises: QueueError for an id that is none of an event.
    """
    found = _EVENT_ID.fullmatch(event_id)
    if found is None:
        raise QueueError(f"{event_id!r} is no id of an event: leave Last-Event-ID out")
    return int(found[1]), int(found[2] or 0)


def entry_job_id(fields: Mapping[bytes, bytes]) -> str:
    """Read the job of a stream's entry; of one that another program wrote, the id of no job."""
    return fields.get(b"job", b"").decode(errors="replace")


def pairs(flat: Sequence[bytes]) -> dict[bytes, bytes]:
    """Read a hash as scripts give it: names and values in turn."""
    return dict(zip(flat[::2], flat[1::2], strict=True))


def votes_of(counts: Mapping[bytes, bytes]) -> dict[str, int]:
    """Read the votes of a divided job, without who brought them."""
    names = {name.decode(): int(number) for name, number in counts.items()}
    return {name: number for name, number in names.items() if not name.startswith(_WORKER)}


def _options_in(task: bytes) -> bytes:
    """Return the options among a task's members; of none, or of a broken document, no options."""
    try:
        return json.dumps(json.loads(task or b"{}")["options"]).encode()
    except (ValueError, KeyError, TypeError, RecursionError):
        return b"{}"


def _text(fields: Mapping[bytes, bytes], name: bytes) -> str:
    return fields.get(name, b"").decode()


def _seconds(fields: Mapping[bytes, bytes], name: bytes) -> float | None:
    return int(fields[name]) / 1000 if name in fields else None
