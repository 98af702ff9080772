"""What the job layer knows: jobs, events, workers and the puzzles they can answer."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any, Literal, cast
from urllib.parse import quote

from service.runtime.key_ring import LOCAL_OWNER
from service.wire.checkpoint import Adapted, AdaptedLinks, CheckpointRecord
from service.wire.errors import QueueError
from service.wire.job import Failure, JobState
from service.wire.options import Priority

_EVENT_ID = re.compile(r"([0-9]{1,19})(?:-([0-9]{1,19}))?")


@dataclass(frozen=True, slots=True)
class NewJob:
    """A job to be queued.

    `task` and `options` are JSON documents. `fingerprint` distinguishes bodies of the same
    idempotency key. `share`: how many of this owner's jobs may wait; None for no limit.

    Units: deadline_s in seconds from now.
    """

    owner: str
    name: str
    priority: Priority
    task: bytes
    options: bytes
    fingerprint: str
    deadline_s: float | None = None
    idempotency_key: str | None = None
    share: int | None = None


@dataclass(frozen=True, slots=True)
class Job:
    """A job as it stands. `task`, `options`, `progress` and `result` are JSON documents.

    In lists `task` and `result` are left out.

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
            # `request`: the task with its options, as jobs were written once.
            task=fields.get(b"task") or fields.get(b"request", b""),
            options=fields.get(b"options", b"{}"),
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
        return cls(job.last_event, job.id, "state", json_bytes(document), job.state.is_final)


def event_order(event_id: str) -> tuple[int, int]:
    """Return what events are ordered by: the numbers of an id, which grow.

    Raises: QueueError for an id that is none of an event.
    """
    found = _EVENT_ID.fullmatch(event_id)
    if found is None:
        raise QueueError(f"{event_id!r} is no id of an event: leave Last-Event-ID out")
    return int(found[1]), int(found[2] or 0)


@dataclass(frozen=True, slots=True)
class AdaptedRecord:
    """A checkpoint adapted to one puzzle, which a worker keeps.

    `owner` is the caller of the job that made it, `base` the checkpoint it was made from.
    `is_complete`: its training has ended; else it is a snapshot to continue from.

    Units: `seconds` of training, `num_bytes` on disk; times in seconds since 1970.
    """

    id: str
    base: str
    base_sha256: str
    puzzle_name: str
    demonstrations_hash: str
    num_variants: int
    num_steps: int
    seconds: float
    held_out_share: float | None
    num_bytes: int
    made_at: float
    used_at: float
    is_complete: bool
    owner: str = LOCAL_OWNER  # of records that workers of before write

    def document(self) -> Adapted:
        """Return what its owner may see."""
        return Adapted(
            id=self.id,
            base=self.base,
            base_sha256=self.base_sha256,
            puzzle=self.puzzle_name,
            demonstrations_sha256=self.demonstrations_hash,
            variants=self.num_variants,
            steps=self.num_steps,
            seconds=self.seconds,
            held_out_share=self.held_out_share,
            bytes=self.num_bytes,
            made_at=datetime.fromtimestamp(self.made_at, UTC),
            used_at=datetime.fromtimestamp(self.used_at, UTC),
            complete=self.is_complete,
            links=AdaptedLinks(self=f"/v1/adapted/{quote(self.id, safe='')}"),
        )


@dataclass(frozen=True, slots=True)
class WorkerRecord:
    """What a worker publishes of itself.

    Units: times in seconds since 1970; `seen_at` by the clock of Redis, written when read.
    """

    id: str
    host: str
    device: str
    state: Literal["starting", "ready", "stalled", "draining"]
    num_running: int
    num_slots: int | None
    checkpoints: tuple[CheckpointRecord, ...]
    started_at: float
    seen_at: float = 0.0
    adapted: tuple[AdaptedRecord, ...] = ()

    def to_json(self) -> bytes:
        """Write the record as JSON."""
        checkpoints = [checkpoint.model_dump(mode="json") for checkpoint in self.checkpoints]
        return json_bytes(asdict(replace(self, checkpoints=())) | {"checkpoints": checkpoints})

    @classmethod
    def from_json(cls, data: bytes, seen_at: float) -> "WorkerRecord":
        """Read a record written by `to_json`."""
        document = json.loads(data)
        # Workers of the version before wrote `num_rows` and the like; both may run for a while.
        document["checkpoints"] = tuple(
            CheckpointRecord.model_validate(
                {name.removeprefix("num_"): value for name, value in entry.items()}
            )
            for entry in document["checkpoints"]
        )
        document["adapted"] = tuple(AdaptedRecord(**entry) for entry in document.get("adapted", ()))
        return cls(**(document | {"seen_at": seen_at}))


def json_bytes(document: object) -> bytes:
    """Write a JSON document without blanks."""
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()


def pairs(flat: Sequence[bytes]) -> dict[bytes, bytes]:
    """Read a hash as scripts give it: names and values in turn."""
    return dict(zip(flat[::2], flat[1::2], strict=True))


def _text(fields: Mapping[bytes, bytes], name: bytes) -> str:
    return fields.get(name, b"").decode()


def _seconds(fields: Mapping[bytes, bytes], name: bytes) -> float | None:
    return int(fields[name]) / 1000 if name in fields else None
