"""Submissions in Kaggle's form, `{id: [{"attempt_1": grid, ...}, ...]}`, and their scores."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
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


@dataclass(frozen=True, slots=True)
class Scores:
    """The scores of a submission under each rule; an output counts if any attempt is right.

    Units: `per_output`, `per_task` and `mean_fraction` are fractions, 0..1.

    Source: `per_output` is Kaggle's rule (the share of test outputs), `per_task` that of
    ARC-AGI-2's readme and of HRM (the share of tasks with every output right), `mean_fraction` that
    of TRM (the mean over tasks of the share of their outputs).
    """

    per_output: float
    per_task: float
    mean_fraction: float
    num_outputs: int
    num_tasks: int
    solved_outputs: int
    solved_tasks: int


def score(submission: Submission, solutions: Mapping[str, Sequence[Grid]]) -> Scores:
    """Score a submission against the solutions of exactly its tasks.

    Raises: SubmissionError where tasks or outputs are missing on either side.
    """
    _check_ids(submission, solutions)
    solved = {
        task_id: [
            expected in attempts
            for attempts, expected in zip(submission[task_id], outputs, strict=True)
        ]
        for task_id, outputs in solutions.items()
    }
    num_tasks = len(solved)
    num_outputs = sum(map(len, solved.values()))
    solved_outputs = sum(map(sum, solved.values()))
    solved_tasks = sum(map(all, solved.values()))
    # Fractions, so that the mean does not depend on the order of the tasks.
    fractions = sum((Fraction(sum(right), len(right)) for right in solved.values()), Fraction(0))
    return Scores(
        per_output=solved_outputs / num_outputs,
        per_task=solved_tasks / num_tasks,
        mean_fraction=float(fractions / num_tasks),
        num_outputs=num_outputs,
        num_tasks=num_tasks,
        solved_outputs=solved_outputs,
        solved_tasks=solved_tasks,
    )


def _check_ids(submission: Submission, solutions: Mapping[str, Sequence[Grid]]) -> None:
    if not solutions:
        raise SubmissionError("solutions", "hold no tasks, so there is nothing to score")
    missing = solutions.keys() - submission.keys()
    if missing:
        raise SubmissionError("submission", f"lacks {_some(missing)}; answer every task")
    unknown = submission.keys() - solutions.keys()
    if unknown:
        raise SubmissionError("submission", f"has {_some(unknown)}, which the solutions lack")
    for task_id, outputs in solutions.items():
        if not outputs or len(submission[task_id]) != len(outputs):
            answered = len(submission[task_id])
            problem = f"{answered} outputs are answered, but the solutions hold {len(outputs)}"
            raise SubmissionError(task_id, problem)


def _some(ids: set[str]) -> str:
    """Name a few of many ids."""
    first = ", ".join(sorted(ids)[:5])
    return first if len(ids) <= 5 else f"{first} and {len(ids) - 5} more"
