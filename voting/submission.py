"""Submission files in Kaggle's form: `{id: [{"attempt_1": grid, "attempt_2": grid}, ...]}`."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from augment import MAX_KAGGLE_BYTES, Grid, PuzzleError, TaskFileError, read_json
from voting.tally import VotingError

Submission: TypeAlias = Mapping[str, tuple[tuple[Grid, ...], ...]]
"""The attempts, by task id and by index of the test input."""

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


def read_submission(path: Path) -> Submission:
    """Read a submission file.

    Raises: SubmissionError, with the location of the first fault.
    """
    try:
        document = read_json(path, MAX_KAGGLE_BYTES)
    except TaskFileError as error:
        raise SubmissionError(str(path), error.problem) from error
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
