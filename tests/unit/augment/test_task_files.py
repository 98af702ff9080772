"""Task documents and Kaggle documents."""

import copy
import json
import pickle
from pathlib import Path
from typing import Any

import pytest

from augment import (
    Grid,
    PuzzleError,
    parse_challenges,
    parse_solutions,
    parse_task,
    read_challenges,
    read_solutions,
    read_task,
    task_document,
)


def document(**changes: object) -> dict[str, Any]:
    return {
        "train": [{"input": [[1, 2]], "output": [[3]]}],
        "test": [{"input": [[4]]}, {"input": [[5]], "output": [[6]]}],
        **changes,
    }


def refusal(value: object, name: str = "p") -> str:
    with pytest.raises(PuzzleError) as caught:
        parse_task(value, name)
    return str(caught.value)


def test_task_holds_demonstrations_test_inputs_and_known_outputs() -> None:
    task = parse_task(document(), "p")
    assert task.puzzle.name == "p"
    assert [(pair.input.to_rows(), pair.output.to_rows()) for pair in task.puzzle.train] == [
        ([[1, 2]], [[3]])
    ]
    assert [grid.to_rows() for grid in task.puzzle.test] == [[[4]], [[5]]]
    assert task.expected == (None, Grid.from_rows([[6]]))


def test_puzzle_holds_no_test_output() -> None:
    with_output = parse_task(document(), "p").puzzle
    without = parse_task(document(test=[{"input": [[4]]}, {"input": [[5]]}]), "p").puzzle
    assert with_output == without


@pytest.mark.parametrize(
    ("inside", "name"),
    [
        ({}, "stem"),
        ({"name": "n"}, "n"),
        ({"id": "i"}, "i"),
        ({"id": "i", "name": "n"}, "n"),
    ],
)
def test_name_inside_a_task_wins_over_the_given_one(inside: dict[str, str], name: str) -> None:
    assert parse_task(document(**inside), "stem").puzzle.name == name


def test_document_of_a_task_reads_as_the_same_task() -> None:
    task = parse_task(document(), "p")
    assert parse_task(json.loads(json.dumps(task_document(task))), "other") == task


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"extra": 1}, "extra: unknown field; known are train, test, name, id"),
        ({"train": []}, "train: 0 demonstrations; a task has 1..10"),
        ({"train": [document()["train"][0]] * 11}, "train: 11 demonstrations; a task has 1..10"),
        ({"train": {}}, "train: is not a list; give 1..10 demonstrations"),
        ({"train": [5]}, "train[0]: is not an object; give one with input, output"),
        ({"train": [{"input": [[1]]}]}, "train[0].output: is missing; add it"),
        (
            {"train": [{"input": [[1]], "output": [[1]], "note": 1}]},
            "train[0].note: unknown field; known are input, output",
        ),
        ({"test": []}, "test: 0 test inputs; a task has 1..10"),
        ({"test": [{"input": [[1]]}] * 11}, "test: 11 test inputs; a task has 1..10"),
        ({"test": [{"output": [[1]]}]}, "test[0].input: is missing; add it"),
        (
            {"test": [{"input": [[1]], "output": None}]},
            "test[0].output: null is not a grid; give a list of rows",
        ),
        ({"name": 5}, "name: is not text; give the puzzle's name"),
        ({"name": ""}, "name: 0 characters; a name has 1..200"),
        ({"id": "x" * 201}, "id: 201 characters; a name has 1..200"),
        (
            {"name": "a\nb"},
            "name: contains an unprintable character; choose another name",
        ),
        (
            {"name": "\ud800"},
            "name: contains an unprintable character; choose another name",
        ),
        ({"name": "<blank>"}, "name: <blank> is reserved for the blank row; choose another name"),
    ],
)
def test_faults_of_a_task_are_named_with_path_and_hint(
    changes: dict[str, object], sentence: str
) -> None:
    assert refusal(document(**changes)) == sentence


@pytest.mark.parametrize("field", ["train", "test"])
def test_missing_field_is_refused(field: str) -> None:
    value = document()
    del value[field]
    assert refusal(value) == f"{field}: is missing; add it"


@pytest.mark.parametrize("value", [None, [], "text", 5])
def test_document_that_is_no_object_is_refused(value: object) -> None:
    assert refusal(value) == "task: is not an object; give one with train, test"


def train_input(rows: object) -> dict[str, Any]:
    return document(train=[{"input": rows, "output": [[1]]}])


def test_ragged_grid_is_refused() -> None:
    sentence = refusal(train_input([[1, 2], [3, 4], [5]]))
    problem = "1 columns, but the first row has 2; make all rows equally long"
    assert sentence == f"train[0].input[2]: {problem}"


def test_grid_of_31_columns_is_refused() -> None:
    sentence = refusal(train_input([[0] * 31]))
    assert sentence == "train[0].input[0]: 31 columns; a grid has 1..30"


def test_colour_10_is_refused() -> None:
    sentence = refusal(train_input([[0, 1], [2, 10]]))
    assert sentence == "train[0].input[1][1]: 10 is not a colour 0..9"


def test_float_cell_is_refused_even_where_it_is_whole() -> None:
    sentence = refusal(train_input([[0, 1.0]]))
    assert sentence == "train[0].input[0][1]: 1.0 is not a colour; give a whole number 0..9"


def test_bool_cell_is_refused() -> None:
    sentence = refusal(train_input([[0, True]]))
    assert sentence == "train[0].input[0][1]: true is not a colour; give a whole number 0..9"


def test_pointer_leads_to_the_fault() -> None:
    with pytest.raises(PuzzleError) as caught:
        parse_task(train_input([[0, 11]]), "p")
    assert caught.value.pointer == "/train/0/input/0/1"


def test_pointer_escapes_slash_and_tilde() -> None:
    with pytest.raises(PuzzleError) as caught:
        parse_task(document(**{"a/b~c": 1}), "p")
    assert caught.value.pointer == "/a~1b~0c"


def test_place_of_an_unprintable_field_can_be_encoded_and_logged() -> None:
    with pytest.raises(PuzzleError) as caught:
        parse_task(document(**{"\ud800\n": 1}), "p")
    assert (str(caught.value) + caught.value.pointer).isprintable()


def test_puzzle_error_survives_pickling() -> None:
    error = PuzzleError("train[0].input[3][2]", "11 is not a colour 0..9").within("a.json")
    twin = pickle.loads(pickle.dumps(error))
    assert str(twin) == "a.json: train[0].input[3][2]: 11 is not a colour 0..9"
    assert twin.pointer == "/train/0/input/3/2"


def test_stem_of_a_file_names_its_task(tmp_path: Path) -> None:
    path = tmp_path / "007bbfb7.json"
    path.write_text(json.dumps(document()))
    assert read_task(path).puzzle.name == "007bbfb7"
    assert read_task(str(path)).puzzle.name == "007bbfb7"


def test_fault_in_a_file_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps(document(extra=1)))
    with pytest.raises(PuzzleError) as caught:
        read_task(path)
    assert str(caught.value).startswith(f"{path}: extra: unknown field")
    assert caught.value.location == "extra"


# Kaggle files


def challenges() -> dict[str, Any]:
    hidden = [{"input": [[4]]}, {"input": [[5]]}]
    return {"b": document(test=hidden), "a": document(test=copy.deepcopy(hidden))}


SOLUTIONS = {"b": [[[6]], [[7]]], "a": [[[8]], [[9]]]}


def kaggle_refusal(value: object, solutions: object = None) -> str:
    with pytest.raises(PuzzleError) as caught:
        parse_challenges(value, None if solutions is None else parse_solutions(solutions))
    return str(caught.value)


def test_challenges_keep_the_order_of_their_document() -> None:
    assert [task.puzzle.name for task in parse_challenges(challenges())] == ["b", "a"]


def test_challenges_without_solutions_expect_nothing() -> None:
    assert [task.expected for task in parse_challenges(challenges())] == [(None, None)] * 2


def test_solutions_are_joined_to_challenges_by_id() -> None:
    tasks = parse_challenges(challenges(), parse_solutions(SOLUTIONS))
    outputs = [[grid.to_rows() for grid in task.expected if grid] for task in tasks]
    assert outputs == [[[[6]], [[7]]], [[[8]], [[9]]]]


def test_id_of_a_challenge_wins_over_a_name_inside() -> None:
    (task,) = parse_challenges({"key": document(name="other")})
    assert task.puzzle.name == "key"


def test_fault_in_a_challenge_begins_with_its_id() -> None:
    value = challenges()
    value["a"]["train"][0]["input"] = [[11]]
    assert kaggle_refusal(value) == "a.train[0].input[0][0]: 11 is not a colour 0..9"


def test_pointer_keeps_an_id_with_dots_whole() -> None:
    with pytest.raises(PuzzleError) as caught:
        parse_challenges({"a.b[0]": {}})
    assert caught.value.pointer == "/a.b[0]/train"


def test_challenges_that_are_no_object_are_refused() -> None:
    assert kaggle_refusal([]) == "task: is not an object; give {id: task, ...}"


def test_solutions_that_are_no_object_are_refused() -> None:
    with pytest.raises(PuzzleError, match=r"is not an object; give \{id: \[grid, \.\.\.\]"):
        parse_solutions([])


def test_solution_without_challenge_is_refused() -> None:
    value = challenges()
    del value["a"]
    problem = "is in the solutions, but not in the challenges; give files that match"
    assert kaggle_refusal(value, SOLUTIONS) == f"a: {problem}"


def test_challenge_without_solution_is_refused() -> None:
    problem = "has no solution; give the solutions of the same challenges"
    assert kaggle_refusal(challenges(), {"b": SOLUTIONS["b"]}) == f"a: {problem}"


def test_wrong_number_of_solutions_is_refused() -> None:
    solutions = {**SOLUTIONS, "a": [[[8]]]}
    problem = "2 test inputs, but the solutions hold 1 outputs; give one for each"
    assert kaggle_refusal(challenges(), solutions) == f"a.test: {problem}"


def test_output_that_contradicts_the_solutions_is_refused() -> None:
    value = challenges()
    value["a"]["test"][1]["output"] = [[1]]
    problem = "differs from the solutions file; remove one of the two"
    assert kaggle_refusal(value, SOLUTIONS) == f"a.test[1].output: {problem}"


def test_kaggle_files_are_read_together(tmp_path: Path) -> None:
    (tmp_path / "c.json").write_text(json.dumps(challenges()))
    (tmp_path / "s.json").write_text(json.dumps(SOLUTIONS))
    tasks = read_challenges(tmp_path / "c.json", tmp_path / "s.json")
    assert tasks == parse_challenges(challenges(), read_solutions(tmp_path / "s.json"))


def test_fault_in_a_kaggle_file_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "s.json"
    path.write_text('{"a": [[[10]]]}')
    with pytest.raises(PuzzleError) as caught:
        read_solutions(path)
    assert str(caught.value) == f"{path}: a[0][0][0]: 10 is not a colour 0..9"
