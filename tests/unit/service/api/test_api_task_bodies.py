"""Bodies: what is a task is read, and every fault is reported with a pointer to its place."""

import json
import re
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest

from augment import (
    MAX_COLOUR,
    MAX_DEMONSTRATIONS,
    MAX_NAME_LENGTH,
    MAX_SIDE,
    MAX_TEST_INPUTS,
    PuzzleError,
    TaskFileError,
    parse_task,
)
from service.api.admission import task_bytes
from service.api.bodies import MAX_VALUES, parse_task_body
from service.api.examples import TASK, TASK_WITH_OPTIONS
from service.api.problems import Problem, problem_of
from service.wire.options import SolveOptions
from service.wire.problem import MAX_FAULTS, pointer_of


def body_of(document: object) -> bytes:
    return json.dumps(document).encode()


def changed(change: Callable[[dict[str, Any]], object]) -> bytes:
    document = deepcopy(TASK_WITH_OPTIONS)
    change(document)
    return body_of(document)


def refusal(body: bytes) -> Problem:
    with pytest.raises((Problem, TaskFileError)) as refused:
        parse_task_body(body)
    return problem_of(refused.value)


def test_a_task_file_as_it_is_becomes_a_puzzle_with_the_usual_options() -> None:
    task, options = parse_task_body(body_of(TASK))
    assert task == parse_task(TASK, "puzzle")
    assert options == SolveOptions()


def test_options_and_expected_outputs_are_taken() -> None:
    document = deepcopy(TASK_WITH_OPTIONS)
    document["test"][0]["output"] = [[1, 2]]
    task, options = parse_task_body(body_of(document))
    assert (task.puzzle.name, options.variants, options.stop_early) == ("6150a2bd", 64, False)
    assert [grid and grid.to_rows() for grid in task.expected] == [[[1, 2]]]


def test_an_expected_output_of_null_is_none() -> None:
    document = deepcopy(TASK)
    document["test"][0]["output"] = None
    task, _ = parse_task_body(body_of(document))
    assert task.expected == (None,)


def test_what_is_stored_for_the_worker_is_a_task_again() -> None:
    task, _ = parse_task_body(body_of(TASK))
    assert parse_task(json.loads(task_bytes(task)), "other") == task


def test_a_byte_order_mark_is_no_fault() -> None:
    task, _ = parse_task_body(b"\xef\xbb\xbf" + body_of(TASK))
    assert len(task.puzzle.train) == 2


@pytest.mark.parametrize(
    ("change", "pointer", "said"),
    [
        (lambda t: t["test"][0]["input"][1].__setitem__(2, 10), "/test/0/input/1/2", "0..9"),
        (lambda t: t["train"][1]["output"][0].__setitem__(0, -1), "/train/1/output/0/0", "0..9"),
        (lambda t: t["test"][0]["input"][1].__setitem__(2, False), "/test/0/input/1/2", "colour"),
        (lambda t: t["test"][0]["input"][1].__setitem__(2, "3"), "/test/0/input/1/2", "colour"),
        (lambda t: t["test"][0]["input"][1].__setitem__(2, 3.5), "/test/0/input/1/2", "colour"),
        (lambda t: t["test"][0]["input"][1].__setitem__(2, None), "/test/0/input/1/2", "colour"),
        (lambda t: t["test"][0]["input"].__setitem__(1, 5), "/test/0/input/1", "not a row"),
        (lambda t: t["test"][0].__setitem__("input", {}), "/test/0/input", "not a grid"),
        (lambda t: t["test"][0].__setitem__("input", []), "/test/0/input", "0 rows|at least"),
        (lambda t: t["test"][0].__setitem__("input", [[0]] * 31), "/test/0/input", "31 rows"),
        (lambda t: t["test"][0].__setitem__("input", [[0] * 31]), "/test/0/input/0", "31 columns"),
        (lambda t: t["test"][0]["input"][2].append(1), "/test/0/input/2", "equally long"),
        (lambda t: t["train"][0].pop("output"), "/train/0/output", "is missing"),
        (lambda t: t.pop("test"), "/test", "is missing"),
        (lambda t: t.__setitem__("train", []), "/train", "at least|0 demonstrations"),
        (lambda t: t.__setitem__("test", t["test"] * 11), "/test", "11 test inputs"),
        (lambda t: t.__setitem__("test", 1), "/test", "not a list"),
        (lambda t: t.__setitem__("id", "x"), "/id", "known are train, test, name, options"),
        (lambda t: t["train"][0].__setitem__("note", 1), "/train/0/note", "known are input, out"),
        (lambda t: t["options"].__setitem__("sed", 1), "/options/sed", "known are checkpoint"),
        (lambda t: t.__setitem__("a/b~c", 1), "/a~1b~0c", "not known"),
        (lambda t: t.__setitem__("name", ""), "/name", "at least|0 characters"),
        (lambda t: t.__setitem__("name", "x" * 201), "/name", "200"),
        (lambda t: t.__setitem__("name", "a\nb"), "/name", "unprintable"),
        (lambda t: t.__setitem__("name", "<blank>"), "/name", "blank row"),
        (lambda t: t["options"].__setitem__("seed", 2**63), "/options/seed", "less than"),
        (lambda t: t["options"].__setitem__("seed", 1.0), "/options/seed", "integer"),
        (lambda t: t["options"].__setitem__("variants", 0), "/options/variants", "greater than"),
        (lambda t: t["options"].__setitem__("halting", "no"), "/options/halting", "'act'"),
        (lambda t: t["options"].__setitem__("stop_early", 1), "/options/stop_early", "boolean"),
        (lambda t: t["options"].__setitem__("deadline_s", 0), "/options/deadline_s", "greater"),
        (lambda t: t.__setitem__("options", []), "/options", "not an object"),
        (lambda t: t["options"].__setitem__("checkpoint", "\ud800"), "/options/checkpoint", "str"),
    ],
)
def test_a_fault_is_reported_with_its_place(
    change: Callable[[dict[str, Any]], object], pointer: str, said: str
) -> None:
    problem = refusal(changed(change))
    assert (problem.code, problem.status) == ("invalid_request", 422)
    assert [fault.pointer for fault in problem.faults] == [pointer]
    assert any(part in problem.faults[0].detail for part in said.split("|"))
    assert pointer in problem.detail


def test_the_error_of_a_wrapped_task_shows_the_right_shape() -> None:
    problem = refusal(json.dumps({"task": TASK, "options": {"seed": 1}}).encode())
    assert (problem.status, [fault.pointer for fault in problem.faults]) == (422, ["/task"])
    shape = re.search(r"as in (\{.*\})", problem.detail)
    assert shape is not None
    task, options = parse_task_body(shape[1].encode())
    assert (len(task.puzzle.train), options.given) == (1, {"variants": 8})


def test_all_wrong_cells_are_reported_up_to_a_number() -> None:
    problem = refusal(changed(lambda t: t["test"][0].__setitem__("input", [[10, 3, -1]])))
    assert [f.pointer for f in problem.faults] == ["/test/0/input/0/0", "/test/0/input/0/2"]
    many = refusal(changed(lambda t: t["test"][0].__setitem__("input", [[77] * 30] * 30)))
    assert len(many.document()["errors"]) == MAX_FAULTS
    assert many.detail.startswith("more than 20 places are wrong. The first: /test/0/input/0/0: ")


def test_faults_of_options_and_of_grids_are_reported_together() -> None:
    document = deepcopy(TASK_WITH_OPTIONS) | {"note": 1}
    document["test"][0]["input"][0][0] = 10
    document["options"] |= {"seed": -1, "sed": 1}
    pointers = [fault.pointer for fault in refusal(body_of(document)).faults]
    assert pointers == ["/note", "/options/seed", "/options/sed", "/test/0/input/0/0"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"not json",
        b'{"train": [}',
        b'{"name": "\xff\xfe"}',
        b'{"train": NaN}',
        b'{"name": 1, "name": 2}',
        b"[" * 100_000,
        b'{"train":' * 5_000,
        b'{"options": {"seed": ' + b"9" * 5_000 + b"}}",
    ],
    ids=lambda body: repr(body[:20]),
)
def test_what_is_no_json_is_distinguished_from_what_is_no_task(body: bytes) -> None:
    problem = refusal(body)
    assert problem.code in ("invalid_json", "invalid_request")
    assert problem.status in (400, 422)
    if len(body) < 50_000:
        assert problem.code == "invalid_json"


@pytest.mark.parametrize("body", [b"[]", b"null", b"1", b'"train"'])
def test_json_that_is_no_object_is_refused(body: bytes) -> None:
    assert refusal(body).code == "invalid_request"


def test_more_values_than_a_task_can_have_are_refused_unread() -> None:
    problem = refusal(b'{"test":[' + b"[0]," * MAX_VALUES + b"0]}")
    assert "values" in problem.detail
    assert [fault.pointer for fault in problem.faults] == [""]


def test_the_largest_task_is_taken() -> None:
    grid = [[9] * MAX_SIDE] * MAX_SIDE
    pair = {"input": grid, "output": grid}
    document = {"train": [pair] * MAX_DEMONSTRATIONS, "test": [pair] * MAX_TEST_INPUTS}
    document["name"] = "," * MAX_NAME_LENGTH
    task, _ = parse_task_body(body_of(document))
    assert (len(task.puzzle.test), len(task.puzzle.train)) == (MAX_TEST_INPUTS, MAX_DEMONSTRATIONS)


@pytest.mark.parametrize(
    "document",
    [
        {"train": TASK["train"] * 6, "test": TASK["test"]},
        {"train": TASK["train"], "test": TASK["test"] * (MAX_TEST_INPUTS + 1)},
        {"train": TASK["train"], "test": [{"input": [[0]] * (MAX_SIDE + 1)}]},
        {"train": TASK["train"], "test": [{"input": [[0] * (MAX_SIDE + 1)]}]},
        {"train": TASK["train"], "test": [{"input": [[MAX_COLOUR + 1]]}]},
        {"train": TASK["train"], "test": TASK["test"], "name": "n" * (MAX_NAME_LENGTH + 1)},
    ],
)
def test_the_documented_bounds_are_those_of_task_files(document: dict[str, Any]) -> None:
    problem = refusal(body_of(document))
    with pytest.raises(PuzzleError) as error:
        parse_task(document, "puzzle")
    assert problem.faults[0].pointer == error.value.pointer


def test_pointers_escape_what_has_a_meaning_in_them() -> None:
    assert pointer_of(()) == ""
    assert pointer_of(("a/b", 0, "~c")) == "/a~1b/0/~0c"
