"""Submission files, out and in."""

import json
from pathlib import Path

import pytest

from augment import Grid
from voting import (
    SubmissionError,
    parse_submission,
    read_submission,
    submission_document,
)

ONE = Grid.from_rows([[1]])
TWO = Grid.from_rows([[2, 2]])
THREE = Grid.from_rows([[3], [3]])


def test_a_submission_is_what_kaggle_expects() -> None:
    assert submission_document({"a1": [[ONE, TWO], [THREE, ONE]]}) == {
        "a1": [
            {"attempt_1": [[1]], "attempt_2": [[2, 2]]},
            {"attempt_1": [[3], [3]], "attempt_2": [[1]]},
        ]
    }


def test_a_missing_second_attempt_repeats_the_first() -> None:
    assert submission_document({"a1": [[TWO]]}) == {
        "a1": [{"attempt_1": [[2, 2]], "attempt_2": [[2, 2]]}]
    }


def test_attempts_beyond_the_asked_number_are_left_out() -> None:
    document = submission_document({"a1": [[ONE, TWO, THREE]]}, num_attempts=1)

    assert document == {"a1": [{"attempt_1": [[1]]}]}


def test_a_submission_comes_back_as_it_was_written(tmp_path: Path) -> None:
    answers = {"a1": ((ONE, TWO), (THREE, THREE)), "b2": ((TWO, ONE),)}

    path = tmp_path / "submission.json"
    path.write_text(json.dumps(submission_document(answers)))

    assert read_submission(path) == answers


def test_a_test_input_without_attempts_is_refused_by_its_place() -> None:
    with pytest.raises(SubmissionError, match=r"a1\[1\]: has no attempt"):
        submission_document({"a1": [[ONE], []]})


@pytest.mark.parametrize(
    ("document", "sentence"),
    [
        ([], "submission: must be an object"),
        ({"a1": {}}, "a1: must be a list"),
        ({"a1": []}, "a1: must be a list"),
        ({"a1": [[]]}, "a1[0]: must be an object of attempt_1"),
        ({"a1": [{}]}, "a1[0]: must be an object of attempt_1"),
        ({"a1": [{"attempt_2": [[1]]}]}, "a1[0]: must be an object of attempt_1"),
        ({"a1": [{"attempt_1": [[1]], "note": 1}]}, "a1[0]: must be an object of attempt_1"),
        ({"a1": [{"attempt_1": [[1]], "attempt_2": [[1, 11]]}]}, "a1[0].attempt_2[0][1]: 11 is"),
        ({"a1": [{"attempt_1": []}]}, "a1[0].attempt_1: 0 rows"),
    ],
)
def test_a_faulty_submission_is_refused_by_its_place(document: object, sentence: str) -> None:
    with pytest.raises(SubmissionError) as caught:
        parse_submission(document)

    assert str(caught.value).startswith(sentence)


@pytest.mark.parametrize(
    "content", [b"{", b"\xff", b'{"a1": NaN}', b'{"a1": 1, "a1": 2}', b"[" * 100_000]
)
def test_a_file_that_is_no_usable_json_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "submission.json"
    path.write_bytes(content)

    with pytest.raises(SubmissionError, match=r"submission\.json: is (not|nested)"):
        read_submission(path)


def test_a_huge_file_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "submission.json"
    with path.open("wb") as file:
        file.truncate(3 * 2**30)  # sparse: takes no room

    with pytest.raises(SubmissionError, match="too large"):
        read_submission(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SubmissionError, match=r"none\.json: no such file"):
        read_submission(tmp_path / "none.json")
