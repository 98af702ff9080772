"""What must be right before a job is queued: its options, and checkpoints that know the puzzle."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from augment import KINDS, CanvasError, Puzzle, Task, pointer_from_path, task_document
from service.api.bodies import BatchBody
from service.api.context import Call, Context
from service.api.problems import Problem, invalid_request
from service.jobs import CheckpointRecord, Failure, NewBatch, NewJob, Refused
from service.runtime.choice import Candidate, choose_checkpoint
from service.runtime.settings import PREFIX, Settings
from service.submission.challenges import Challenge
from service.wire.errors import CanvasExceeded, KindUnserved, UnknownPuzzle
from service.wire.options import SolveOptions
from service.wire.problem import Fault

ADAPT_VARIANTS: Final = 64
_BUDGET: Final = ("adapt_s", "adapt_steps", "adapt_variants")


@dataclass(frozen=True, slots=True)
class ResolvedOptions:
    """How puzzles are to be solved: options with all that was left out filled in.

    `checkpoints` are those that vote, the main one first; none where it depends on the puzzle.
    """

    options: SolveOptions
    checkpoints: tuple[CheckpointRecord, ...]


async def make_job(
    call: Call, task: Task, options: SolveOptions, idempotency_key: str | None
) -> NewJob:
    """Make a job of a task, with the options filled in.

    Raises: Problem for a puzzle that no checkpoint knows and none is to be adapted to, or
    that does not fit, for options that do not go together, and while no worker is there;
    UnknownCheckpoint; QueueUnavailable.
    """
    resolved = await _resolve_options(options, call.context)
    await _check_puzzle(task.puzzle, resolved, call.context)
    options = resolved.options
    document = task_bytes(task)
    chosen = options.model_dump_json().encode()
    return NewJob(
        owner=call.owner,
        name=task.puzzle.name,
        priority=options.priority,
        task=document,
        options=chosen,
        fingerprint=sha256(b"\0".join((call.owner.encode(), document, chosen))).hexdigest(),
        deadline_s=options.deadline_s,
        idempotency_key=idempotency_key,
        share=call.context.share,
        traceparent=call.context.tracer.current.traceparent,
    )


async def make_batch(call: Call, asked: BatchBody, idempotency_key: str | None) -> NewBatch:
    """Make jobs of the puzzles that can be answered, and note of the others why they cannot.

    Raises: Problem for options that do not go together, and while no worker is there;
    UnknownCheckpoint; QueueUnavailable.
    """
    resolved = await _resolve_options(asked.options, call.context)
    options = resolved.options.model_dump_json().encode()
    digest = sha256(call.owner.encode() + b"\0" + asked.name.encode() + b"\0")
    digest.update(options)
    puzzles: dict[str, bytes | Refused] = {}
    for challenge in asked.challenges:
        document = b"" if challenge.task is None else task_bytes(challenge.task)
        failure = await _failure_of(challenge, resolved, call.context)
        if failure is None:
            puzzles[challenge.puzzle_id] = document
        else:
            inputs = tuple(tuple(map(tuple, grid.to_rows())) for grid in challenge.inputs)
            puzzles[challenge.puzzle_id] = Refused(failure, inputs)
        await asyncio.sleep(0)  # a thousand of them take a second: others go on in between
        # As ASCII: an id from a stranger's file may hold what UTF-8 cannot carry.
        digest.update(f"{challenge.puzzle_id!a} {challenge.fault!a}".encode())
        digest.update(document)
    return NewBatch(
        owner=call.owner,
        name=asked.name,
        options=options,
        puzzles=puzzles,
        fingerprint=digest.hexdigest(),
        deadline_s=resolved.options.deadline_s,
        idempotency_key=idempotency_key,
        share=call.context.share,
        traceparent=call.context.tracer.current.traceparent,
    )


def task_bytes(task: Task) -> bytes:
    """Return the JSON document that a worker reads as this task."""
    return json.dumps(task_document(task), separators=(",", ":")).encode()


async def _failure_of(
    challenge: Challenge, resolved: ResolvedOptions, context: Context
) -> Failure | None:
    """Return why no job can be made of a puzzle, None where one can."""
    if challenge.task is None:
        fault = challenge.fault
        detail = "it is broken" if fault is None else f"{fault.pointer}: {fault.problem}"
        return Failure("invalid_request", detail)
    try:
        await _check_puzzle(challenge.task.puzzle, resolved, context)
    except Problem as problem:
        return Failure(problem.code, problem.detail)
    return None


async def _resolve_options(options: SolveOptions, context: Context) -> ResolvedOptions:
    """Fill options in and find the checkpoints that they name.

    Where they name none, each puzzle has its own: the worker chooses it, as `_check_choice` does.
    """
    options = _fill_adaptation(options, context.settings)
    main = await context.fleet.choose(options.checkpoint)
    if options.checkpoint is None and not options.ensemble:
        return ResolvedOptions(options, ())
    checkpoints = [main]
    faults = []
    for index, name in enumerate(options.ensemble):
        if any(name == checkpoint.name for checkpoint in checkpoints):
            fault = f"checkpoint {name!r} votes already; a checkpoint has one vote"
            faults.append(Fault(fault, _pointer_to_member(index + 1)))
        else:
            checkpoints.append(await context.fleet.choose(name))
    if faults:
        raise invalid_request(faults)
    chosen = options.model_copy(update={"checkpoint": main.name})
    return ResolvedOptions(chosen, tuple(checkpoints))


def _pointer_to_member(index: int) -> str:
    """Return where the options name a checkpoint that votes."""
    return f"/options/ensemble/{index - 1}" if index else "/options/checkpoint"


def _fill_adaptation(options: SolveOptions, settings: Settings) -> SolveOptions:
    """Fill in whether to adapt, and what was left out of the budget; without it there is none."""
    if "adapt" not in options.model_fields_set:
        options = options.model_copy(update={"adapt": settings.default_adapt})
    if faults := _faults_of_budget(options, settings):
        raise invalid_request(
            [Fault(sentence, f"/options/{name}") for name, sentence in faults.items()]
        )
    if options.adapt == "never":
        return options
    cap_s = settings.adapt_max_s
    default_s = min(settings.adapt_default_s, cap_s) if options.adapt_steps is None else cap_s
    default_variants = min(ADAPT_VARIANTS, settings.adapt_max_variants)
    return options.model_copy(
        update={
            "adapt_s": default_s if options.adapt_s is None else options.adapt_s,
            "adapt_variants": options.adapt_variants or default_variants,
        }
    )


def _faults_of_budget(options: SolveOptions, settings: Settings) -> Mapping[str, str]:
    """Say what is wrong with which option: a budget without use, or above the operator's caps."""
    if options.adapt == "never":
        return {
            name: "is only of use with adapt: auto or always"
            for name in _BUDGET
            if getattr(options, name) is not None
        }
    if settings.adapt_max_s == 0:
        return {
            "adapt": f"this service does not adapt checkpoints ({PREFIX}ADAPT_MAX_S is 0): leave "
            "it out"
        }
    caps = {"adapt_s": settings.adapt_max_s, "adapt_variants": settings.adapt_max_variants}
    return {
        name: f"{asked:g} is more than this service allows: {cap:g} at the most"
        for name, cap in caps.items()
        if (asked := getattr(options, name)) is not None and asked > cap
    }


async def _check_puzzle(puzzle: Puzzle, resolved: ResolvedOptions, context: Context) -> None:
    """See that the checkpoints know a puzzle or are to be adapted to it, and that it fits them."""
    if not resolved.checkpoints:
        await _check_choice(puzzle, resolved.options, context)
    for index, checkpoint in enumerate(resolved.checkpoints):
        if checkpoint.kind != puzzle.kind:
            detail = (
                f"checkpoint {checkpoint.name!r} answers {KINDS[checkpoint.kind].title} puzzles, "
                "and this is not one: leave the checkpoint out, so that one of the right kind is "
                "taken"
            )
            raise Problem("unsolvable", detail, (Fault(detail, _pointer_to_member(index)),))
        _check_canvas(puzzle, checkpoint)
    if KINDS[puzzle.kind].has_own_rows and resolved.options.adapt == "never":
        for index, checkpoint in enumerate(resolved.checkpoints):
            if not await context.fleet.knows(checkpoint, puzzle.demonstrations_hash):
                pointer = _pointer_to_member(index)
                raise await _unknown_puzzle(puzzle, checkpoint, pointer, context)


async def _check_choice(puzzle: Puzzle, options: SolveOptions, context: Context) -> None:
    """See that some checkpoint knows a puzzle or is a base for it, as the worker will."""
    fleet = context.fleet
    default = await fleet.choose(None)
    served = (await fleet.look()).checkpoints
    candidates = [Candidate.of(record) for record in served.values()]
    digest = puzzle.demonstrations_hash
    # Most often the default one knows the puzzle, and no other has to be asked.
    is_known = puzzle.fits(default.canvas) and await fleet.knows(default, digest)
    known_to = [default.name] if is_known else await fleet.known_to(digest)
    try:
        choose_checkpoint(puzzle, candidates, known_to, adapt=options.adapt, default=default.name)
    except CanvasExceeded as error:
        faults = _misfits(puzzle, error.canvas)
        raise Problem("canvas_exceeded", str(error), faults) from None
    except KindUnserved as error:
        raise Problem(error.code, str(error)) from None
    except UnknownPuzzle:
        raise await _unknown_puzzle(puzzle, default, _pointer_to_member(0), context) from None


def _check_canvas(puzzle: Puzzle, checkpoint: CheckpointRecord) -> None:
    """See that demonstrations and test inputs fit a checkpoint's canvas."""
    faults = _misfits(puzzle, checkpoint.canvas)
    if faults:
        detail = (
            f"{len(faults)} of {len(puzzle.grids)} grids do not fit the canvas of checkpoint "
            f"{checkpoint.name!r}, {checkpoint.canvas} x {checkpoint.canvas}: leave the checkpoint "
            "out, so that one with a larger canvas is taken where there is one, or choose it "
            "yourself (GET /v1/checkpoints lists them)"
        )
        raise Problem("canvas_exceeded", detail, faults)


def _misfits(puzzle: Puzzle, canvas: int) -> tuple[Fault, ...]:
    return tuple(
        Fault(str(CanvasError(*grid.size, canvas)), pointer_from_path(path))
        for path, grid in puzzle.misfits(canvas)
    )


async def _unknown_puzzle(
    puzzle: Puzzle, checkpoint: CheckpointRecord, pointer: str, context: Context
) -> Problem:
    """Make the refusal of a puzzle that a checkpoint does not know and is not adapted to."""
    puzzles_path = f"/v1/checkpoints/{checkpoint.name}/puzzles"
    served = (await context.fleet.look()).checkpoints.values()
    known_to = sorted(await context.fleet.known_to(puzzle.demonstrations_hash))
    needs = "needs adaptation (test-time training on its demonstrations) first"
    if known_to:
        hint = f"Checkpoint(s) {', '.join(known_to)} know it: name one in {pointer}"
    elif context.settings.adapt_max_s == 0 or not any(Candidate.of(one).is_base for one in served):
        hint = f"Any other puzzle {needs}, which this service does not do"
    else:
        hint = f'Any other puzzle {needs}: "auto" in /options/adapt asks for it'
    fault = f"checkpoint {checkpoint.name!r} has no trained rows for puzzle {puzzle.name!r}"
    detail = (
        f"{fault}, which is identified by its demonstrations, not by its name. It knows "
        f"{checkpoint.puzzles} puzzles, listed at {puzzles_path}. {hint}"
    )
    members = {
        "checkpoint": checkpoint.name,
        "known_puzzles": checkpoint.puzzles,
        "puzzles": puzzles_path,
        "known_to": known_to,
    }
    return Problem("unknown_puzzle", detail, (Fault(fault, pointer),), members=members)
