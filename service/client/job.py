"""Jobs, checkpoints and puzzles, as a service tells of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any
from urllib.parse import parse_qs, urlsplit

from pydantic import BeforeValidator, Field

from service.client.answer import Answer, Candidate


def _cursor_of(address: object) -> str | None:
    """Read the cursor out of a next page's address."""
    if not isinstance(address, str):
        return None
    return next(iter(parse_qs(urlsplit(address).query).get("cursor", ())), None)


Cursor = Annotated[str | None, BeforeValidator(_cursor_of)]


class JobState(StrEnum):
    """Where a job is in its life: queued, active, then one of the three ends.

    Active is running, or adapting while a checkpoint is trained on the puzzle first.
    """

    QUEUED = "queued"
    RUNNING = "running"
    ADAPTING = "adapting"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_final(self) -> bool:
        """Nothing more will happen by itself."""
        return self not in (JobState.QUEUED, JobState.RUNNING, JobState.ADAPTING)


@dataclass(frozen=True, slots=True)
class TestProgress:
    """The vote on one test input so far."""

    __test__ = False  # not a test class, whatever its name makes pytest think

    num_votes: Annotated[int, Field(validation_alias="votes")]
    num_abstained: Annotated[int, Field(validation_alias="abstained")]
    candidates: tuple[Candidate, ...] = ()


@dataclass(frozen=True, slots=True)
class AdaptationProgress:
    """How far the adaptation of a checkpoint is.

    `phase` is waiting, rows, all or last. `right_share`, of the variants learned from, and
    `held_out_share`, of those held out: None until they are taken, or where they cannot be.

    Units: `used_share` of the budget; `seconds` of training.
    """

    checkpoint: str
    phase: str
    used_share: float
    num_steps: Annotated[int, Field(validation_alias="steps")]
    seconds: float
    loss: float | None = None
    right_share: float | None = None
    held_out_share: float | None = None
    held_out_note: str | None = None


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a job is: outcomes handed in, of those asked for, and test inputs decided.

    `adaptation`: while the job is adapting, when nothing is asked for yet.
    """

    num_outcomes: Annotated[int, Field(validation_alias="outcomes")]
    num_asked: Annotated[int, Field(validation_alias="asked")]
    num_decided: Annotated[int, Field(validation_alias="decided")]
    num_test_inputs: Annotated[int, Field(validation_alias="test_inputs")]
    tests: tuple[TestProgress, ...] = ()
    adaptation: AdaptationProgress | None = None


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a job failed: a code for programs, a sentence for people."""

    code: str
    detail: str


@dataclass(frozen=True, slots=True)
class Job:
    """A job as it stood when the service was asked.

    `attempts`: how often it was begun. `answer` of a job that succeeded, `failure` of one that
    failed; both are None in lists.
    """

    id: str
    state: JobState
    name: str
    priority: str
    created_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None
    attempts: int = 0
    cancel_requested: bool = False
    options: Mapping[str, Any] | None = None
    progress: Progress | None = None
    answer: Annotated[Answer | None, Field(validation_alias="result")] = None
    failure: Annotated[Failure | None, Field(validation_alias="error")] = None


@dataclass(frozen=True, slots=True)
class JobPage:
    """Some jobs, the newest first; `next` is where the following page begins, None at the end."""

    jobs: tuple[Job, ...]
    next: Cursor = None


@dataclass(frozen=True, slots=True)
class Adapted:
    """A checkpoint adapted to one puzzle, which a worker keeps for the next job of that puzzle.

    `base` is the checkpoint it was made from. `is_complete`: else it is a snapshot, from which its
    job goes on.

    Units: `seconds` of training, `num_bytes` on disk.
    """

    id: str
    base: str
    base_sha256: str
    puzzle_name: Annotated[str, Field(validation_alias="puzzle")]
    demonstrations_hash: Annotated[str, Field(validation_alias="demonstrations_sha256")]
    num_variants: Annotated[int, Field(validation_alias="variants")]
    num_steps: Annotated[int, Field(validation_alias="steps")]
    seconds: float
    num_bytes: Annotated[int, Field(validation_alias="bytes")]
    made_at: datetime
    used_at: datetime
    is_complete: Annotated[bool, Field(validation_alias="complete")]
    held_out_share: float | None = None


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A checkpoint that the service answers with.

    `finding` is its self-test's in a word, `verdict` in a sentence. `is_default`: it answers where
    a job names none.
    """

    name: str
    sha256: str
    architecture: str
    canvas: int
    num_parameters: Annotated[int, Field(validation_alias="parameters")]
    num_rows: Annotated[int, Field(validation_alias="rows")]
    num_puzzles: Annotated[int, Field(validation_alias="puzzles")]
    halt_max_steps: int
    is_verified: Annotated[bool, Field(validation_alias="verified")]
    verdict: str
    finding: str = ""
    is_default: Annotated[bool, Field(validation_alias="default")] = False
    num_workers: Annotated[int | None, Field(validation_alias="workers")] = None


@dataclass(frozen=True, slots=True)
class KnownPuzzle:
    """A puzzle that a checkpoint has rows for, known by its demonstrations."""

    name: str
    demonstrations_hash: Annotated[str, Field(validation_alias="demonstrations_sha256")]
    num_variants: Annotated[int, Field(validation_alias="variants")]


@dataclass(frozen=True, slots=True)
class PuzzlePage:
    """Some of a checkpoint's `total` puzzles; `next` is where the following page begins."""

    puzzles: tuple[KnownPuzzle, ...]
    total: int
    next: Cursor = None
