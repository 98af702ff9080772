"""What must be right before a job is queued: a checkpoint that knows the puzzle, and fits it."""

from hashlib import sha256

from augment import CanvasError, Grid, Puzzle
from service.api.fleet import Fleet
from service.api.problems import Fault, Problem, Refused
from service.api.schemas import TaskIn
from service.errors import UnknownPuzzle
from service.jobs import CheckpointRecord, NewJob


async def admit(
    task: TaskIn,
    puzzle: Puzzle,
    *,
    owner: str,
    idempotency_key: str | None,
    share: int | None,
    fleet: Fleet,
) -> NewJob:
    """Make a job of a task, with the options filled in.

    Raises: Refused for a puzzle that the checkpoint does not know, or that does not fit it, and
    while no worker is there; UnknownCheckpoint; QueueUnavailable.
    """
    checkpoint = await fleet.choose(task.options.checkpoint)
    check_canvas(puzzle, checkpoint)
    if not await fleet.knows(checkpoint, puzzle.demonstrations_hash):
        raise await _unknown_puzzle(puzzle, checkpoint, fleet)
    options = task.options.model_copy(update={"checkpoint": checkpoint.name})
    request = task.model_copy(update={"options": options}).model_dump_json().encode()
    return NewJob(
        owner=owner,
        name=task.name,
        priority=options.priority,
        request=request,
        fingerprint=sha256(owner.encode() + b"\0" + request).hexdigest(),
        deadline_s=options.deadline_s,
        idempotency_key=idempotency_key,
        share=share,
    )


def check_canvas(puzzle: Puzzle, checkpoint: CheckpointRecord) -> None:
    """See that demonstrations and test inputs fit a checkpoint's canvas.

    Raises: Refused, naming the grids that do not.
    """
    grids: list[tuple[str, Grid]] = []
    for index, pair in enumerate(puzzle.train):
        grids.append((f"/train/{index}/input", pair.input))
        grids.append((f"/train/{index}/output", pair.output))
    grids += [(f"/test/{index}/input", grid) for index, grid in enumerate(puzzle.test)]
    faults = tuple(
        Fault(str(CanvasError(*grid.size, checkpoint.canvas)), pointer)
        for pointer, grid in grids
        if max(grid.size) > checkpoint.canvas
    )
    if faults:
        detail = (
            f"{len(faults)} of {len(grids)} grids do not fit the canvas of checkpoint "
            f"{checkpoint.name!r}, {checkpoint.canvas} x {checkpoint.canvas}: choose one with a "
            "larger canvas (GET /v1/checkpoints lists them)"
        )
        raise Refused(Problem("canvas_exceeded", detail, faults))


async def _unknown_puzzle(puzzle: Puzzle, checkpoint: CheckpointRecord, fleet: Fleet) -> Refused:
    puzzles_path = f"/v1/checkpoints/{checkpoint.name}/puzzles"
    others = (await fleet.look()).checkpoints.values()
    known_to = [
        other.name
        for other in others
        if other.name != checkpoint.name and await fleet.knows(other, puzzle.demonstrations_hash)
    ]
    mend = (
        f"Checkpoint(s) {', '.join(known_to)} know it: name one in /options/checkpoint"
        if known_to
        else "Any other puzzle needs adaptation (test-time training on its demonstrations) first"
    )
    error = UnknownPuzzle(
        f"checkpoint {checkpoint.name!r} has no trained rows for puzzle {puzzle.name!r}, which is "
        f"told by its demonstrations, not by its name. It knows {checkpoint.num_puzzles} puzzles, "
        f"listed at {puzzles_path}. {mend}"
    )
    members = {
        "checkpoint": checkpoint.name,
        "known_puzzles": checkpoint.num_puzzles,
        "puzzles": puzzles_path,
        "known_to": known_to,
    }
    return Refused(Problem("unknown_puzzle", str(error), members=members))
