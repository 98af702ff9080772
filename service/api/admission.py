"""What must be right before a job is queued: checkpoints that know the puzzle, and fit it."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

from augment import CanvasError, Puzzle, Task, pointer_from_path, task_document
from service.api.adapting import fill_budget
from service.api.fleet import Fleet
from service.api.problems import Problem, Refused, invalid_request
from service.jobs import CheckpointRecord, NewJob
from service.runtime.settings import Settings
from service.wire.errors import UnknownPuzzle
from service.wire.options import SolveOptions
from service.wire.problem import Fault


@dataclass(frozen=True, slots=True)
class _Asked:
    """A checkpoint that is to vote, and the option that names it."""

    checkpoint: CheckpointRecord
    pointer: str


@dataclass(frozen=True, slots=True)
class ResolvedOptions:
    """How puzzles are to be solved: options with all that was left out filled in."""

    options: SolveOptions
    asked: tuple[_Asked, ...]


async def admit(
    task: Task,
    options: SolveOptions,
    *,
    owner: str,
    idempotency_key: str | None,
    share: int | None,
    fleet: Fleet,
    settings: Settings,
) -> NewJob:
    """Make a job of a task, with the options filled in.

    Raises: Refused for a puzzle that a checkpoint does not know and is not to be adapted to, or
    that does not fit it, for options that do not go together, and while no worker is there;
    UnknownCheckpoint; QueueUnavailable.
    """
    resolved = await resolve_options(options, fleet, settings)
    await check_puzzle(task.puzzle, resolved, fleet, settings)
    options = resolved.options
    document = task_bytes(task)
    chosen = options.model_dump_json().encode()
    return NewJob(
        owner=owner,
        name=task.puzzle.name,
        priority=options.priority,
        task=document,
        options=chosen,
        fingerprint=sha256(b"\0".join((owner.encode(), document, chosen))).hexdigest(),
        deadline_s=options.deadline_s,
        idempotency_key=idempotency_key,
        share=share,
    )


def task_bytes(task: Task) -> bytes:
    """Return the JSON document that a worker reads as this task."""
    return json.dumps(task_document(task), separators=(",", ":")).encode()


async def resolve_options(
    options: SolveOptions, fleet: Fleet, settings: Settings
) -> ResolvedOptions:
    """Fill options in and find the checkpoints that they name.

    Raises: Refused for options that do not go together, and while no worker is there;
    UnknownCheckpoint; QueueUnavailable.
    """
    options = fill_budget(options, settings)
    asked = tuple(await _choose(options, fleet))
    return ResolvedOptions(
        options.model_copy(update={"checkpoint": asked[0].checkpoint.name}), asked
    )


async def check_puzzle(
    puzzle: Puzzle, resolved: ResolvedOptions, fleet: Fleet, settings: Settings
) -> None:
    """See that the checkpoints know a puzzle or are to be adapted to it, and that it fits them.

    Raises: Refused; QueueUnavailable.
    """
    for one in resolved.asked:
        check_canvas(puzzle, one.checkpoint)
    if resolved.options.adapt == "never":
        for one in resolved.asked:
            if not await fleet.knows(one.checkpoint, puzzle.demonstrations_hash):
                raise await _unknown_puzzle(puzzle, one, fleet, settings)


def check_canvas(puzzle: Puzzle, checkpoint: CheckpointRecord) -> None:
    """See that demonstrations and test inputs fit a checkpoint's canvas.

    Raises: Refused, naming the grids that do not.
    """
    faults = tuple(
        Fault(str(CanvasError(*grid.size, checkpoint.canvas)), pointer_from_path(path))
        for path, grid in puzzle.misfits(checkpoint.canvas)
    )
    if faults:
        detail = (
            f"{len(faults)} of {len(puzzle.grids)} grids do not fit the canvas of checkpoint "
            f"{checkpoint.name!r}, {checkpoint.canvas} x {checkpoint.canvas}: choose one with a "
            "larger canvas (GET /v1/checkpoints lists them)"
        )
        raise Refused(Problem("canvas_exceeded", detail, faults))


async def _choose(options: SolveOptions, fleet: Fleet) -> Sequence[_Asked]:
    """Find the checkpoints that are to vote, the main one first."""
    asked = [_Asked(await fleet.choose(options.checkpoint), "/options/checkpoint")]
    faults = []
    for index, name in enumerate(options.ensemble):
        pointer = f"/options/ensemble/{index}"
        if any(name == one.checkpoint.name for one in asked):
            faults.append(
                Fault(f"checkpoint {name!r} votes already; a checkpoint has one vote", pointer)
            )
        else:
            asked.append(_Asked(await fleet.choose(name), pointer))
    if faults:
        raise invalid_request(faults)
    return asked


async def _unknown_puzzle(
    puzzle: Puzzle, asked: _Asked, fleet: Fleet, settings: Settings
) -> Refused:
    checkpoint = asked.checkpoint
    puzzles_path = f"/v1/checkpoints/{checkpoint.name}/puzzles"
    others = (await fleet.look()).checkpoints.values()
    known_to = [
        other.name
        for other in others
        if other.name != checkpoint.name and await fleet.knows(other, puzzle.demonstrations_hash)
    ]
    needs = "needs adaptation (test-time training on its demonstrations) first"
    if known_to:
        hint = f"Checkpoint(s) {', '.join(known_to)} know it: name one in {asked.pointer}"
    elif settings.adapt_max_s == 0:
        hint = f"Any other puzzle {needs}, which this service does not do"
    else:
        hint = f'Any other puzzle {needs}: "auto" in /options/adapt asks for it'
    fault = f"checkpoint {checkpoint.name!r} has no trained rows for puzzle {puzzle.name!r}"
    error = UnknownPuzzle(
        f"{fault}, which is identified by its demonstrations, not by its name. It knows "
        f"{checkpoint.puzzles} puzzles, listed at {puzzles_path}. {hint}"
    )
    members = {
        "checkpoint": checkpoint.name,
        "known_puzzles": checkpoint.puzzles,
        "puzzles": puzzles_path,
        "known_to": known_to,
    }
    problem = Problem("unknown_puzzle", str(error), (Fault(fault, asked.pointer),), members=members)
    return Refused(problem)
