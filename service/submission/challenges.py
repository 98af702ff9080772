"""Whole challenges files, in which one broken task does not spoil the rest."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from augment import (
    MAX_KAGGLE_BYTES,
    Grid,
    PuzzleError,
    Task,
    parse_challenges,
    read_json,
    read_solutions,
)
from service.wire.errors import InputError

NOTHING = Grid.from_rows([[0]])
"""The grid that stands for a test input that cannot be read."""


@dataclass(frozen=True, slots=True)
class Challenge:
    """One task of a challenges file; without `task` it is broken, and `fault` says where and why.

    `inputs` are its test inputs as far as they can be read: a submission answers each of them.
    """

    puzzle_id: str
    task: Task | None
    inputs: tuple[Grid, ...]
    fault: PuzzleError | None = None


def check_challenges(
    document: object, solutions: Mapping[str, Sequence[Grid]] | None = None
) -> tuple[Challenge, ...]:
    """Check the tasks of a challenges document one by one, in its order.

    Raises: InputError for what is no such document, or an empty one; PuzzleError for solutions that
    are not those of its tasks.
    """
    if not isinstance(document, dict):
        raise InputError("this is no challenges file: give one object {id: task, ...}")
    if not document:
        raise InputError("the challenges hold no task: give {id: task, ...} with one at least")
    if all(isinstance(document.get(field), list) for field in ("train", "test")):
        raise InputError("this is one task, not a challenges file: give {id: task, ...}")
    if solutions is not None:
        _check_ids(document, solutions)
    return tuple(
        _check(puzzle_id, entry, None if solutions is None else solutions[puzzle_id])
        for puzzle_id, entry in document.items()
    )


def challenges_of(tasks: Sequence[Task]) -> tuple[Challenge, ...]:
    """Take tasks that were checked before as the challenges of a file.

    Raises: InputError for two of one name, and for none.
    """
    if not tasks:
        raise InputError("the challenges hold no task: give one at least")
    names = [task.puzzle.name for task in tasks]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise InputError(
            f"two tasks are called {twice!r}, and a submission is filed by name: give each once"
        )
    return tuple(Challenge(task.puzzle.name, task, task.puzzle.test) for task in tasks)


def read_challenge_file(path: Path, solutions: Path | None = None) -> tuple[Challenge, ...]:
    """Read a Kaggle challenges file and, where given, the solutions file that belongs to it.

    Raises: TaskFileError for a file that is no JSON or holds an id twice; InputError and
    PuzzleError as `check_challenges`.
    """
    outputs = None if solutions is None else read_solutions(solutions)
    document = read_json(path, MAX_KAGGLE_BYTES)
    try:
        return check_challenges(document, outputs)
    except PuzzleError as error:
        raise error.within(str(solutions or path)) from None
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def fingerprint_of(challenges: Sequence[Challenge]) -> str:
    """Return sha256 over what a submission to these challenges depends on."""
    digest = sha256()
    for challenge in challenges:
        demonstrations = challenge.task.puzzle.demonstrations_hash if challenge.task else "broken"
        # As ASCII: an id from a stranger's file may hold what UTF-8 cannot carry.
        digest.update(f"{challenge.puzzle_id!a} {demonstrations}".encode())
        for grid in challenge.inputs:
            digest.update(bytes(grid.size) + grid.cells.tobytes())
    return digest.hexdigest()


def salvage_inputs(entry: object) -> tuple[Grid, ...]:
    """Read the test inputs of a broken task; NOTHING stands for those that cannot be read."""
    tests = entry.get("test") if isinstance(entry, dict) else None
    if not isinstance(tests, list) or not tests:
        return (NOTHING,)
    return tuple(map(_salvage, tests))


def _salvage(test: object) -> Grid:
    try:
        return Grid.from_rows(test.get("input") if isinstance(test, dict) else None)
    except PuzzleError:
        return NOTHING


def _check(puzzle_id: str, entry: object, solution: Sequence[Grid] | None) -> Challenge:
    """Check one task.

    Raises: PuzzleError for a solution that does not belong to it.
    """
    try:
        (task,) = parse_challenges({puzzle_id: entry})
    except PuzzleError as error:
        return Challenge(puzzle_id, None, _filled(salvage_inputs(entry), solution), error)
    if solution is not None:
        (task,) = parse_challenges({puzzle_id: entry}, {puzzle_id: solution})
    return Challenge(puzzle_id, task, task.puzzle.test)


def _filled(inputs: tuple[Grid, ...], solution: Sequence[Grid] | None) -> tuple[Grid, ...]:
    """Give a broken task as many test inputs as its solution says there are."""
    if solution is None:
        return inputs
    return (*inputs, *(NOTHING,) * len(solution))[: len(solution)]


def _check_ids(document: Mapping[str, object], solutions: Mapping[str, Sequence[Grid]]) -> None:
    mends = "give the solutions of the same challenges"
    for puzzle_id in document:
        if puzzle_id not in solutions:
            raise PuzzleError((puzzle_id,), f"is in the challenges alone; {mends}")
    for puzzle_id in solutions:
        if puzzle_id not in document:
            raise PuzzleError((puzzle_id,), f"is in the solutions alone; {mends}")
