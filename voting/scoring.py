"""Scoring: the three rules in use for ARC."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from augment import Grid
from voting.submission import Submission, SubmissionError


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
