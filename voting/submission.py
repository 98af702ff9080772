"""Submission files in Kaggle's form: `{id: [{"attempt_1": grid, "attempt_2": grid}, ...]}`."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn, TypeAlias

from augment import Grid, PuzzleError, write_atomically
from voting.tally import VotingError

Submission: TypeAlias = Mapping[str, tuple[tuple[Grid, ...], ...]]
"""The attempts, by task id and by index of the test input."""

MAX_BYTES = 256 * 2**20
_KEY = "attempt_"


class SubmissionError(VotingError):
    """A submission cannot be written, read or scored; `location` says where in it."""

    def __init__(self, location: str, problem: str) -> None:
        super().__init__(location, problem)
        self.location = location
        self.problem = problem

    def __str__(self) -> str:
        return f"{self.location}: {self.problem}"


def submission_document(
    answers: Mapping[str, Sequence[Sequence[Grid]]], num_attempts: int = 2
) -> dict[str, list[dict[str, list[list[int]]]]]:
    """Return answers as a JSON document: for each task and test input its attempts.

    The format requires every attempt, so where an answer has fewer, its first is repeated; where it
    has more, the first `num_attempts` are used.

    Raises: SubmissionError where a task has no test inputs or a test input no attempt.
    """
    return {
        task_id: [
            _attempts_document(f"{task_id}[{index}]", attempts, num_attempts)
            for index, attempts in enumerate(_not_empty(task_id, outputs))
        ]
        for task_id, outputs in answers.items()
    }


def write_submission(
    path: Path, answers: Mapping[str, Sequence[Sequence[Grid]]], num_attempts: int = 2
) -> None:
    """Write answers as a submission file.

    Raises: SubmissionError where an answer is missing or the file cannot be written.
    """
    document = submission_document(answers, num_attempts)
    try:
        write_atomically(path, [json.dumps(document)])
    except OSError as error:
        raise SubmissionError(str(path), f"cannot be written: {_reason(error)}") from error


def read_submission(path: Path) -> Submission:
    """Read a submission file of at most 256 MiB.

    Raises: SubmissionError, with the location of the first fault.
    """
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:  # before reading: a wrong file may be larger than the memory
            raise SubmissionError(
                str(path), f"is too large ({size:,} bytes; the limit is {MAX_BYTES // 2**20} MiB)"
            )
        document = json.loads(
            path.read_bytes(), parse_constant=_refuse_constant, object_pairs_hook=_object
        )
    except OSError as error:
        raise SubmissionError(str(path), f"cannot be read: {_reason(error)}") from error
    except (ValueError, RecursionError) as error:
        # Not JSON, not UTF-8, NaN, a key given twice, a number of thousands of digits.
        raise SubmissionError(str(path), f"is not usable JSON: {error}") from error
    return parse_submission(document)


def parse_submission(document: object) -> Submission:
    """Check a submission that was read from JSON.

    Raises: SubmissionError, with the location of the first fault.
    """
    if not isinstance(document, dict):
        raise SubmissionError("submission", "must be an object {id: [attempts, ...]}")
    return {
        str(task_id): tuple(
            _parse_attempts(f"{task_id}[{index}]", attempts)
            for index, attempts in enumerate(_not_empty(task_id, outputs))
        )
        for task_id, outputs in document.items()
    }


def _attempts_document(
    location: str, attempts: Sequence[Grid], num_attempts: int
) -> dict[str, list[list[int]]]:
    if not attempts:
        raise SubmissionError(location, "has no attempt; a submission needs at least one")
    chosen = [*attempts[:num_attempts], *[attempts[0]] * (num_attempts - len(attempts))]
    return {f"{_KEY}{number}": grid.to_rows() for number, grid in enumerate(chosen, start=1)}


def _parse_attempts(location: str, attempts: object) -> tuple[Grid, ...]:
    num_attempts = len(attempts) if isinstance(attempts, dict) else 0
    keys = [f"{_KEY}{number}" for number in range(1, num_attempts + 1)]
    if not isinstance(attempts, dict) or not keys or attempts.keys() != set(keys):
        raise SubmissionError(
            location, "must be an object of attempt_1, attempt_2, ... and no more"
        )
    try:
        return tuple(Grid.from_rows(attempts[key], key) for key in keys)
    except PuzzleError as error:
        raise SubmissionError(f"{location}.{error.location}", error.problem) from error


def _not_empty(task_id: str, outputs: Any) -> Sequence[Any]:
    if not isinstance(outputs, list | tuple) or not outputs:
        raise SubmissionError(task_id, "must be a list with the attempts of each test input")
    return outputs


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"the key {twice[:80]!r} occurs twice")
    return members


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


def _reason(error: OSError) -> str:
    return error.strerror or type(error).__name__
