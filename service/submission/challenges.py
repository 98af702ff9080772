"""Whole challenges files, in which a broken task does not affect the others."""

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
"""The grid in place of a test input that cannot be read."""


@dataclass(frozen=True, slots=True)
class Challenge:
    """One task of a challenges file; `task` is None for a broken one, and `fault` says why.

    `inputs` are its test inputs, as far as they can be read: a submission answers each of them.
    """

    puzzle_id: str
    task: Task | None
    inputs: tuple[Grid, ...]
    fault: PuzzleError | None = None


@dataclass(frozen=True, slots=True)
class ChallengeSet:
    """The challenges of one file or set, with their solutions where all of them are known."""

    title: str
    challenges: tuple[Challenge, ...]
    solutions: Mapping[str, tuple[Grid, ...]] | None

    @classmethod
    def of(
        cls,
        title: str,
        challenges: tuple[Challenge, ...],
        solutions: Mapping[str, tuple[Grid, ...]] | None = None,
    ) -> "ChallengeSet":
        """Make a set; without `solutions` the tasks' expected outputs are taken, where known."""
        return cls(title, challenges, solutions or _expected_outputs(challenges))

    @property
    def fingerprint(self) -> str:
        """The sha256 of everything that a submission to these challenges depends on."""
        digest = sha256()
        for one in self.challenges:
            demonstrations = one.task.puzzle.demonstrations_hash if one.task else "broken"
            # As ASCII: an id from an unknown file may hold what UTF-8 cannot encode.
            digest.update(f"{one.puzzle_id!a} {demonstrations}".encode())
            for grid in one.inputs:
                digest.update(bytes(grid.size) + grid.cells.tobytes())
        return digest.hexdigest()


def check_challenges(
    document: object, solutions: Mapping[str, Sequence[Grid]] | None = None
) -> tuple[Challenge, ...]:
    """Check the tasks of a challenges document one by one, in its order.

    Raises: InputError for an empty document or another one; PuzzleError for solutions that do not
    match its tasks.
    """
    if not isinstance(document, dict):
        raise InputError("this is not a challenges file: give one object {id: task, ...}")
    if not document:
        raise InputError("the challenges hold no task: give {id: task, ...} with at least one")
    if all(isinstance(document.get(field), list) for field in ("train", "test")):
        raise InputError("this is one task, not a challenges file: give {id: task, ...}")
    if solutions is not None:
        _check_ids(document, solutions)
    return tuple(
        _check(puzzle_id, entry, None if solutions is None else solutions[puzzle_id])
        for puzzle_id, entry in document.items()
    )


def challenges_of(tasks: Sequence[Task]) -> tuple[Challenge, ...]:
    """Return checked tasks as challenges.

    Raises: InputError for two tasks of the same name, and for none.
    """
    if not tasks:
        raise InputError("the challenges hold no task: give at least one")
    names = [task.puzzle.name for task in tasks]
    for name in names:
        if names.count(name) > 1:
            raise InputError(
                f"two tasks are called {name!r}, and a submission identifies them by name: give "
                "each once"
            )
    return tuple(Challenge(task.puzzle.name, task, task.puzzle.test) for task in tasks)


def read_challenge_file(path: Path, solutions: Path | None = None) -> ChallengeSet:
    """Read a Kaggle challenges file and, where given, its solutions file.

    Raises: TaskFileError for a file that is not JSON or holds an id twice; InputError and
    PuzzleError as `check_challenges`.
    """
    outputs = None if solutions is None else read_solutions(solutions)
    document = read_json(path, MAX_KAGGLE_BYTES)
    try:
        return ChallengeSet.of(path.name, check_challenges(document, outputs), outputs)
    except PuzzleError as error:
        raise error.within(str(solutions or path)) from None
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def _salvage_inputs(entry: object) -> tuple[Grid, ...]:
    """Read the test inputs of a broken task, with NOTHING for those that cannot be read."""
    tests = entry.get("test") if isinstance(entry, dict) else None
    if not isinstance(tests, list) or not tests:
        return (NOTHING,)
    return tuple(map(_salvage, tests))


def _salvage(test: object) -> Grid:
    try:
        return Grid.from_rows(test.get("input") if isinstance(test, dict) else None)
    except PuzzleError:
        return NOTHING


def _expected_outputs(challenges: Sequence[Challenge]) -> Mapping[str, tuple[Grid, ...]] | None:
    """Return the expected outputs of all tasks; None where one is not known."""
    known = {}
    for one in challenges:
        expected = () if one.task is None else one.task.expected
        outputs = tuple(grid for grid in expected if grid is not None)
        if len(outputs) != len(one.inputs):
            return None
        known[one.puzzle_id] = outputs
    return known


def _check(puzzle_id: str, entry: object, solution: Sequence[Grid] | None) -> Challenge:
    """Check one task.

    Raises: PuzzleError for a solution that does not match it.
    """
    try:
        (task,) = parse_challenges({puzzle_id: entry})
    except PuzzleError as error:
        inputs = _salvage_inputs(entry)
        if solution is not None:  # it has an output for each test input
            inputs = (*inputs, *(NOTHING,) * len(solution))[: len(solution)]
        return Challenge(puzzle_id, None, inputs, error)
    if solution is not None:
        (task,) = parse_challenges({puzzle_id: entry}, {puzzle_id: solution})
    return Challenge(puzzle_id, task, task.puzzle.test)


def _check_ids(document: Mapping[str, object], solutions: Mapping[str, Sequence[Grid]]) -> None:
    hint = "give the solutions of the same challenges"
    for puzzle_id in document:
        if puzzle_id not in solutions:
            raise PuzzleError((puzzle_id,), f"is in the challenges only; {hint}")
    for puzzle_id in solutions:
        if puzzle_id not in document:
            raise PuzzleError((puzzle_id,), f"is in the solutions only; {hint}")
