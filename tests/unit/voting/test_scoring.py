"""The three scoring rules on a case worked by hand, and ids that do not match."""

import pytest

from augment import Grid
from voting import Scores, SubmissionError, score

RIGHT = Grid.from_rows([[1, 2], [3, 4]])
WRONG = Grid.from_rows([[1, 2], [3, 5]])
RESHAPED = Grid.from_rows([[1, 2, 3, 4]])


def test_the_three_rules_differ_on_a_task_solved_in_part() -> None:
    submission = {
        "whole": ((WRONG, RIGHT), (RIGHT, WRONG)),
        "part": ((RIGHT, WRONG), (WRONG, RESHAPED), (WRONG, WRONG)),
        "none": ((WRONG, RESHAPED),),
    }
    solutions = {"whole": (RIGHT,) * 2, "part": (RIGHT,) * 3, "none": (RIGHT,)}

    # Outputs 3 of 6; tasks 1 of 3; (1 + 1/3 + 0) / 3 = 4/9.
    assert score(submission, solutions) == Scores(
        per_output=0.5,
        per_task=1 / 3,
        mean_fraction=4 / 9,
        num_outputs=6,
        num_tasks=3,
        solved_outputs=3,
        solved_tasks=1,
    )


def test_two_right_attempts_count_once() -> None:
    scores = score({"a1": ((RIGHT, RIGHT),)}, {"a1": (RIGHT,)})

    assert (scores.solved_outputs, scores.per_output) == (1, 1.0)


def test_outputs_are_compared_in_order() -> None:
    scores = score({"a1": ((WRONG,), (RIGHT,))}, {"a1": (RIGHT, WRONG)})

    assert scores.solved_outputs == 0


def test_tasks_missing_from_the_submission_are_named() -> None:
    solutions = {f"task{number}": (RIGHT,) for number in range(8)}

    with pytest.raises(SubmissionError, match=r"lacks task0, task1, .* and 3 more; answer every"):
        score({}, solutions)


def test_tasks_missing_from_the_solutions_are_named() -> None:
    with pytest.raises(SubmissionError, match="has b2, which the solutions lack"):
        score({"a1": ((RIGHT,),), "b2": ((RIGHT,),)}, {"a1": (RIGHT,)})


@pytest.mark.parametrize("answered", [0, 1, 3])
def test_another_number_of_outputs_is_named(answered: int) -> None:
    with pytest.raises(SubmissionError, match=f"a1: {answered} outputs are answered, .* hold 2"):
        score({"a1": ((RIGHT,),) * answered}, {"a1": (RIGHT, RIGHT)})


def test_solutions_without_tasks_are_refused() -> None:
    with pytest.raises(SubmissionError, match="nothing to score"):
        score({}, {})
