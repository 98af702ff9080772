"""A driver that takes steps with outcomes laid out beforehand, a client of it, and documents."""

import json
from dataclasses import dataclass, field
from typing import Any

import httpx

from service.client import Retries
from service.client.exchange import Effect, Emit, HangUp, Listen, Pause, Report, Send, Steps
from service.client.messages import Request
from service.client.operations import Operations

RETRIES = Retries(most=3, first_pause_s=0.1, longest_pause_s=10.0)
STREAM = "chunks"  # what listening gives where a stream opens, in place of its chunks


@dataclass
class Drive:
    """Takes steps: what is sent, listened to and read takes the next outcome; the rest is noted.

    A pause moves `now`, the time that a client made with `clock` sees.
    """

    outcomes: list[Any] = field(default_factory=list)
    effects: list[Effect] = field(default_factory=list)
    emitted: list[Any] = field(default_factory=list)
    now: float = 0.0

    def clock(self) -> float:
        return self.now

    def take(self, steps: Steps[Any]) -> Any:
        outcome: Any = None
        while True:
            try:
                if isinstance(outcome, Exception):
                    effect = steps.throw(outcome)
                else:
                    effect = steps.send(outcome)
            except StopIteration as done:
                return done.value
            self.effects.append(effect)
            match effect:
                case Pause(seconds):
                    self.now += seconds
                    outcome = None
                case Report(listener, progress):
                    outcome = listener(progress)
                case HangUp():
                    outcome = None
                case Emit(value):
                    self.emitted.append(value)
                    outcome = None
                case _:
                    outcome = self.outcomes.pop(0)
            if isinstance(effect, Listen) and isinstance(outcome, httpx.Response):
                outcome = None  # refused

    def of(self, kind: type) -> list[Any]:
        return [effect for effect in self.effects if isinstance(effect, kind)]

    @property
    def requests(self) -> list[Request]:
        return [effect.request for effect in self.of(Send)]

    @property
    def pauses_s(self) -> list[float]:
        return [effect.seconds for effect in self.of(Pause)]


class DrivenClient(Operations):
    """A client without network and clock."""

    def __init__(self, drive: Drive) -> None:
        self._drive, self._retries, self._clock = drive, RETRIES, drive.clock

    def _take(self, steps: Steps[Any]) -> Any:
        return self._drive.take(steps)

    def _iterate(self, steps: Steps[None]) -> list[Any]:
        self._drive.take(steps)
        return self._drive.emitted


def reply(document: Any, status: int = 200, **headers: str) -> httpx.Response:
    """Make a JSON reply; underscores in the names of headers become hyphens."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.Response(status, headers=named, content=json.dumps(document).encode())


def problem(status: int, code: str, detail: str = "no", **more: Any) -> httpx.Response:
    """Make a problem; `retry_after` becomes its header."""
    headers = {"retry_after": str(more.pop("retry_after"))} if "retry_after" in more else {}
    document = {"type": f"urn:hrm-arc:problem:{code}", "title": code, "status": status}
    return reply(document | {"code": code, "detail": detail} | more, status, **headers)


def job_document(state: str = "queued", **more: Any) -> dict[str, Any]:
    """Write a job in that state."""
    document: dict[str, Any] = {
        "id": "j1",
        "state": state,
        "name": "square",
        "priority": "interactive",
        "created_at": "2026-11-22T05:00:00.000Z",
        "started_at": None,
        "finished_at": None,
        "attempts": 1,
        "cancel_requested": False,
        "options": {"seed": 0},
        "progress": None,
        "result": answer_document() if state == "succeeded" else None,
        "error": {"code": "engine_failed", "detail": "it broke"} if state == "failed" else None,
        "links": {
            "self": "/v1/jobs/j1",
            "events": "/v1/jobs/j1/events",
            "task": "/v1/jobs/j1/task",
        },
    }
    return document | more


def answer_document() -> dict[str, Any]:
    """Write an answer with one test input."""
    return {
        "puzzle": "square",
        "enrolled_as": "square",
        "enrolment": "trained",
        "adaptation": None,
        "checkpoint": "demo",
        "checkpoint_sha256": "ab" * 32,
        "halting": "act",
        "max_segments": 8,
        "ranking": "count",
        "seed": 0,
        "stop_early": True,
        "device": "cpu",
        "precision": "float32",
        "attention": "sdpa",
        "slots": 4,
        "members": [member_document("demo")],
        "tests": [
            {
                "attempts": [[[1, 1], [1, 1]]],
                "candidates": [
                    {"grid": [[1, 1], [1, 1]], "count": 5, "share": 1.0, "mean_q_halt": 0.75}
                ],
                "distinct_candidates": 1,
                "votes": 5,
                "abstained": 1,
                "variants_used": 6,
                "variants_asked": 6,
                "segments": 12,
                "decided_early": False,
                "shares": [share_document("demo", 5)],
                "expected": [[1, 1], [1, 1]],
                "right": True,
            }
        ],
        "timings_s": {"queue": 0.01, "run": 0.5},
        "verified": True,
    }


def member_document(checkpoint: str, **more: Any) -> dict[str, Any]:
    """Write the record of a checkpoint that voted."""
    document: dict[str, Any] = {
        "checkpoint": checkpoint,
        "checkpoint_sha256": "ab" * 32,
        "enrolled_as": "square",
        "enrolment": "trained",
        "adaptation": None,
        "max_segments": 8,
        "precision": "float32",
        "attention": "sdpa",
        "slots": 4,
    }
    return document | more


def share_document(checkpoint: str, votes: int) -> dict[str, Any]:
    """Write a checkpoint's part in a vote."""
    return {
        "checkpoint": checkpoint,
        "votes": votes,
        "abstained": 1,
        "variants_used": votes + 1,
        "variants_asked": votes + 1,
        "segments": 12,
        "share": 1.0,
        "side": 8,
    }


def adapting_document(**more: Any) -> dict[str, Any]:
    """Write the progress of a job that adapts."""
    adaptation = {
        "checkpoint": "base",
        "phase": "all",
        "used_share": 0.4,
        "steps": 120,
        "seconds": 33.1,
        "loss": None,
        "right_share": 0.2,
        "held_out_share": 0.25,
        "held_out_note": "one of three",
    }
    return {
        "outcomes": 0,
        "asked": 0,
        "decided": 0,
        "test_inputs": 1,
        "tests": [],
        "adaptation": adaptation | more,
    }


def event(number: int, kind: str, data: Any) -> bytes:
    """Write an event of a stream."""
    return f"id: {number}-0\nevent: {kind}\ndata: {json.dumps(data)}\n\n".encode()


def progress_document(outcomes: int) -> dict[str, Any]:
    """Write the progress of a job with so many outcomes of 8."""
    candidate = {"grid": [[2]], "count": outcomes, "share": 1.0}
    return {
        "outcomes": outcomes,
        "asked": 8,
        "decided": 0,
        "test_inputs": 1,
        "tests": [{"votes": outcomes, "abstained": 0, "candidates": [candidate]}],
    }
