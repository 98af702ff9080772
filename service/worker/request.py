"""What a job asks for, read from its request."""

from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from augment import Task, parse_json, parse_task
from hrm_core import Halting, Priority
from service.jobs import Job
from service.solving.solve import SolveOptions
from service.wire.errors import InputError
from voting import Ranking

Adapt = Literal["never", "auto", "always"]

DEFAULT_NAME = "puzzle"
PRIORITIES = {"interactive": Priority.INTERACTIVE, "batch": Priority.BATCH}


class _Options(BaseModel):
    """The member `options` of a request."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    checkpoint: str | None = None
    variants: int | None = Field(None, ge=1, le=10_000)
    attempts: int = Field(2, ge=1, le=10)
    halting: Literal["act", "fixed"] = "act"
    max_segments: int | None = Field(None, ge=1, le=64)
    ranking: Literal["count", "q_weighted"] = "count"
    seed: int = Field(0, ge=0, lt=2**63)
    stop_early: bool = True
    ensemble: list[str] = Field(default_factory=list, max_length=7)
    adapt: Adapt = "never"
    adapt_s: float | None = Field(None, gt=0, allow_inf_nan=False)
    adapt_steps: int | None = Field(None, ge=1, le=1_000_000)
    adapt_variants: int | None = Field(None, ge=1, le=1000)
    trace: bool = False
    # These two are the job layer's affair by now: the job's record tells what holds.
    priority: Literal["interactive", "batch"] = "interactive"
    deadline_s: float | None = None


@dataclass(frozen=True, slots=True)
class SolveRequest:
    """An owner's task, how to solve it, and the checkpoint asked for; None leaves the choice to us.

    `ensemble`: the checkpoints that vote beside it. `adapt`: which of them are adapted to the
    puzzle first, `auto` those without rows for it; within `adapt_s` and `adapt_steps`, whichever
    ends first, on `adapt_variants` of the puzzle.

    Units: adapt_s in seconds.
    """

    owner: str
    task: Task
    options: SolveOptions
    checkpoint: str | None
    ensemble: tuple[str, ...] = ()
    adapt: Adapt = "never"
    adapt_s: float | None = None
    adapt_steps: int | None = None
    adapt_variants: int | None = None


def read_request(job: Job) -> SolveRequest:
    """Read a job's request again: whoever checked it may have been of another version.

    Raises: InputError, AugmentError.
    """
    document = parse_json(job.request, "the request")
    if not isinstance(document, dict):
        raise InputError("the request is not a JSON object")
    try:
        options = _Options.model_validate(document.pop("options", None) or {})
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, ("options", *first["loc"])))
        raise InputError(f"{place}: {first['msg']}") from None
    return SolveRequest(
        job.owner,
        parse_task(document, DEFAULT_NAME),
        SolveOptions(
            num_variants=options.variants,
            num_attempts=options.attempts,
            halting=Halting(options.halting),
            max_segments=options.max_segments,
            ranking=Ranking(options.ranking),
            seed=options.seed,
            stop_early=options.stop_early,
            priority=PRIORITIES[job.priority],
            trace=options.trace,
        ),
        options.checkpoint,
        tuple(options.ensemble),
        options.adapt,
        options.adapt_s,
        options.adapt_steps,
        options.adapt_variants,
    )
