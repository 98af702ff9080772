"""The jobs of the engine loop: what each asks for, which checkpoint answers, and its stage."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum

from augment import Task, parse_json, parse_task
from hrm_core import DeviceMemoryError, Engine, Outcome, group_by_job
from service.jobs import CheckpointRecord, Job
from service.runtime.choice import Candidate as ServedCandidate
from service.runtime.choice import choose_checkpoint
from service.runtime.folders import default_checkpoint
from service.solving.members import Member
from service.solving.shards import OUTCOMES
from service.solving.solve import Solving
from service.wire.answer import Answer, Candidate
from service.wire.errors import InputError, UnknownCheckpoint
from service.wire.job import Progress, TestProgress
from service.wire.options import SolveOptions
from service.wire.task import DEFAULT_NAME
from service.worker.messages import JOB_ERRORS, REPORT_EVERY_S
from service.worker.opening import ServedCheckpoint
from voting import Ranking, Tally, rank

CANDIDATES_REPORTED = 3


@dataclass(frozen=True, slots=True)
class SolveRequest:
    """An owner's task, and how to solve it; a shard's checkpoint is given by its hash."""

    owner: str
    task: Task
    options: SolveOptions
    checkpoint_sha256: str | None = None


def read_request(job: Job) -> SolveRequest:
    """Check a job's task and options again: the version that queued it may be another one.

    Raises: InputError, AugmentError.
    """
    document = parse_json(job.task, "the task")
    if not isinstance(document, dict):
        raise InputError("the task is not a JSON object")
    document.pop("options", None)  # where jobs were written with them once; the job has them
    options = SolveOptions.read(job.options)
    task, sha256 = parse_task(document, DEFAULT_NAME), None
    if job.shard is not None:  # divided where the checkpoint had rows for it
        options = options.with_changes(checkpoint=None, adapt="never")
        sha256 = job.shard.checkpoint_sha256
    return SolveRequest(job.owner, task, options, sha256)


class CheckpointChooser:
    """Chooses checkpoints for jobs; `default` is the configured one, None for the usual one.

    `adapts`: whether this worker adapts checkpoints at all.
    """

    def __init__(
        self, served: Iterable[ServedCheckpoint], default: str | None, *, adapts: bool
    ) -> None:
        opened = tuple(served)
        self._candidates = tuple(ServedCandidate.of(one.record) for one in opened)
        self._hashes: Mapping[str, frozenset[str]] = {
            one.record.name: frozenset(puzzle.demonstrations_sha256 for puzzle in one.puzzles)
            for one in opened
        }
        # In the order given: without an `arc1` the first of them is the default.
        self._default = default_checkpoint(default, [one.record.name for one in opened])
        self._adapts = adapts
        self._names = {one.record.sha256: one.record.name for one in opened}

    def choose(self, request: SolveRequest) -> str:
        """Return the checkpoint that answers a job which names none.

        Beside an ensemble that is the default one, whatever it knows; so it is where the configured
        one is not served here, and the job then fails.

        Raises: UnknownPuzzle; CanvasExceeded; UnknownCheckpoint for that of a shard which was
        claimed before a reload.
        """
        if (sha256 := request.checkpoint_sha256) is not None:
            if sha256 not in self._names:
                raise UnknownCheckpoint(f"checkpoint {sha256} is served no longer")
            return self._names[sha256]
        default, options = self._default, request.options
        if default is not None and (options.ensemble or default not in self._hashes):
            return default
        puzzle = request.task.puzzle
        digest = puzzle.demonstrations_hash
        known_to = [name for name, hashes in self._hashes.items() if digest in hashes]
        adapt = options.adapt if self._adapts else "never"
        choice = choose_checkpoint(puzzle, self._candidates, known_to, adapt=adapt, default=default)
        return choice.checkpoint


class Stage(Enum):
    """How far the engine loop is with a job."""

    WAITING = "waiting"
    """Nothing was done about it yet."""
    ENROLLING = "enrolling"
    """Its checkpoints are enrolled one by one; each may have to be adapted first."""
    SOLVING = "solving"
    """Its members enter engines as there is room, and vote."""


@dataclass(slots=True, eq=False)
class ActiveJob:
    """A job in the engine loop.

    `checkpoints` are the names of those that vote, the main one first, and `members` those that are
    enrolled. `is_isolated`: no other job runs beside it. `is_admitted`: it has seen that they are
    served, and runs to its end on them. `request` is set while it is ENROLLING,
    `solving` before it is SOLVING.

    Units: times by the monotonic clock, in seconds.
    """

    job: Job
    deadline: float | None
    is_isolated: bool
    is_admitted: bool = False
    stage: Stage = Stage.WAITING
    started_at: float = 0.0
    reported_at: float = 0.0
    members: list[Member] = field(default_factory=list)
    checkpoints: tuple[str, ...] = ()
    request: SolveRequest = field(init=False)
    solving: Solving = field(init=False)

    @property
    def id(self) -> str:
        """The job's id."""
        return self.job.id

    @property
    def is_overdue(self) -> bool:
        """Whether the deadline has passed."""
        return self.deadline is not None and time.monotonic() >= self.deadline

    def resolve_request(self, choose: Callable[[SolveRequest], str]) -> None:
        """Read which checkpoints are to vote on what; `choose` finds the main one if none is named.

        Raises: InputError, AugmentError.
        """
        request = read_request(self.job)
        main = request.options.checkpoint or choose(request)
        checkpoints = (main, *request.options.ensemble)
        for name in checkpoints:
            if checkpoints.count(name) > 1:
                raise InputError(f"checkpoint {name!r} is to vote twice: name each one once")
        self.request, self.checkpoints = request, checkpoints

    @property
    def next_checkpoint(self) -> str | None:
        """The checkpoint to be enrolled next; None when all are."""
        num_enrolled = len(self.members)
        return self.checkpoints[num_enrolled] if num_enrolled < len(self.checkpoints) else None

    @property
    def queue_s(self) -> float:
        """Seconds from submission to the claim of this attempt, by the clock of Redis."""
        started_at = self.job.started_at or self.job.created_at
        return max(0.0, started_at - self.job.created_at - self.shards_s)

    @property
    def shards_s(self) -> float:
        """Seconds from the claim of a divided job to that of this part of it; else 0."""
        shard, started_at = self.job.shard, self.job.started_at
        return 0.0 if shard is None or started_at is None else started_at - shard.job_started_at

    @property
    def total_s(self) -> float:
        """Seconds from submission until now."""
        return self.queue_s + self.shards_s + time.monotonic() - self.started_at

    def new_report(self) -> bytes | None:
        """Return the votes so far, as JSON; None before any, or where the last is not a second old.

        Only the first few candidates are in it.
        """
        solving, now = self.solving, time.monotonic()
        if now - self.reported_at < REPORT_EVERY_S or not solving.has_outcomes:
            return None
        self.reported_at = now
        ranking = Ranking(solving.options.ranking)
        return Progress(
            **dict(solving.progress),
            tests=report_votes(solving.tallies, ranking),
        ).to_json()

    def answer(self, worker_id: str, records: Mapping[str, CheckpointRecord]) -> Answer:
        """Return the answer with the facts of the job, the worker and the checkpoints."""
        answer = self.solving.answer(self.request.task.expected)
        used = [records[name] for name in self.checkpoints]
        timings = answer.timings_s
        workers, shard = frozenset((worker_id,)), self.job.shard
        if shard is not None:
            timings = {**timings, "run": round(timings["run"] + self.shards_s, 6)}
            if self.solving.progress.outcomes == shard.votes.get(OUTCOMES, 0):
                workers = shard.workers  # else this worker repeated votes on a larger crop
        return answer.model_copy(
            update={
                "verified": answer.verified is not False
                and all(record.finding.is_verified for record in used),
                "warnings": (
                    *answer.warnings,
                    *(one.warning for one in used if one.warning is not None),
                ),
                "worker": worker_id,
                "workers": len(workers),
                "timings_s": {
                    "queue": round(self.queue_s, 6),
                    **timings,
                    "total": round(self.total_s, 6),
                },
            }
        )


def report_votes(tallies: Iterable[Tally], ranking: Ranking) -> tuple[TestProgress, ...]:
    """Return the votes on each test input with their first few candidates."""
    return tuple(
        TestProgress(
            votes=tally.num_votes,
            abstained=tally.abstained,
            candidates=tuple(
                Candidate(grid=one.grid, count=one.count, share=one.share)
                for one in rank(tally, ranking)[:CANDIDATES_REPORTED]
            ),
        )
        for tally in tallies
    )


class JobTable:
    """The jobs of the engine loop by id; those of a stage in the order in which they reached it."""

    def __init__(self) -> None:
        self._jobs: dict[str, ActiveJob] = {}

    def __len__(self) -> int:
        return len(self._jobs)

    def __contains__(self, job_id: str) -> bool:
        return job_id in self._jobs

    def __getitem__(self, job_id: str) -> ActiveJob:
        return self._jobs[job_id]

    def __iter__(self) -> Iterator[ActiveJob]:
        """Iterate over a copy, so that jobs can be moved and removed meanwhile."""
        return iter(tuple(self._jobs.values()))

    @property
    def ids(self) -> frozenset[str]:
        """The ids of the jobs."""
        return frozenset(self._jobs)

    @property
    def needs_device(self) -> bool:
        """Whether one is being solved, or must run isolated, also from other workers."""
        return any(job.is_isolated or job.stage is Stage.SOLVING for job in self._jobs.values())

    @property
    def used_checkpoints(self) -> frozenset[str]:
        """The names of the checkpoints that jobs run on."""
        admitted = (job for job in self._jobs.values() if job.is_admitted)
        return frozenset(name for job in admitted for name in job.checkpoints)

    def add(self, job: ActiveJob) -> None:
        """Add a job."""
        self._jobs[job.id] = job

    def move(self, job: ActiveJob, stage: Stage) -> None:
        """Move a job to another stage, behind the jobs that are there."""
        del self._jobs[job.id]
        job.stage = stage
        self._jobs[job.id] = job

    def remove(self, job_id: str) -> None:
        """Remove a job, if it is here, and its samples from the engines."""
        job = self._jobs.pop(job_id, None)
        if job is not None and job.stage is Stage.SOLVING:
            job.solving.leave()

    def in_stage(self, stage: Stage) -> tuple[ActiveJob, ...]:
        """Return the jobs of a stage."""
        return tuple(job for job in self._jobs.values() if job.stage is stage)

    def in_engine(self, engine: Engine) -> tuple[ActiveJob, ...]:
        """Return the jobs with samples in an engine."""
        return tuple(job for job in self.in_stage(Stage.SOLVING) if engine in job.solving.engines)

    def receive(self, outcomes: Sequence[Outcome]) -> Iterator[tuple[ActiveJob, Exception]]:
        """Hand outcomes to the jobs that they belong to; yield those that fail, with the error.

        Raises: DeviceMemoryError, which concerns all jobs of the engine.
        """
        jobs = {job.solving: job for job in self.in_stage(Stage.SOLVING)}
        for solving, group in group_by_job(outcomes).items():
            try:
                solving.receive(group)
            except DeviceMemoryError:
                raise
            except JOB_ERRORS as error:
                yield jobs[solving], error

    def next_to_start(self) -> ActiveJob | None:
        """Return the first waiting job that may start beside those that have, or None."""
        started = [job for job in self._jobs.values() if job.stage is not Stage.WAITING]
        if any(job.is_isolated for job in started):
            return None
        waiting = self.in_stage(Stage.WAITING)
        return next((job for job in waiting if not (job.is_isolated and started)), None)
