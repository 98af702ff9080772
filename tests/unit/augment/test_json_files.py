"""Files that may be anything."""

import os
import time
from pathlib import Path

import pytest

from augment import AugmentError, TaskFileError, parse_json, read_challenges, read_task

TASK = '{"train": [{"input": [[1]], "output": [[2]]}], "test": [{"input": [[3]]}]}'


def refusal(path: Path) -> str:
    with pytest.raises(TaskFileError) as caught:
        read_task(path)
    assert str(caught.value) == f"{path}: {caught.value.problem}"
    return caught.value.problem


def written(folder: Path, content: bytes | str) -> Path:
    path = folder / "task.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_missing_file_is_refused(tmp_path: Path) -> None:
    assert refusal(tmp_path / "none.json") == "no such file; check the path"


def test_folder_is_refused(tmp_path: Path) -> None:
    assert refusal(tmp_path) == "is a folder; give the path of a JSON file"


def test_pipe_is_refused_without_waiting_for_it(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert refusal(tmp_path / "pipe") == "is no regular file; give the path of a JSON file"


def test_path_through_a_file_is_refused(tmp_path: Path) -> None:
    assert refusal(written(tmp_path, TASK) / "inner").startswith("cannot be read: ")


def test_path_with_a_zero_byte_is_refused() -> None:
    assert refusal(Path("a\0b")).startswith("cannot be read: ")


@pytest.mark.parametrize("read", [read_task, read_challenges])
def test_file_of_three_gigabytes_is_refused_before_it_is_read(tmp_path: Path, read: object) -> None:
    path = tmp_path / "huge.json"
    with path.open("wb") as file:
        file.truncate(3 * 10**9)
    start_s = time.monotonic()
    with pytest.raises(TaskFileError, match=r"too large \(3,000,000,000 bytes; the limit is"):
        read(path)  # type: ignore[operator]
    assert time.monotonic() - start_s < 0.5


def test_text_that_is_not_json_is_refused_with_line_and_column(tmp_path: Path) -> None:
    problem = refusal(written(tmp_path, '{"train":\n nonsense}'))
    assert problem == "is not JSON: Expecting value (line 2, column 2)"


def test_empty_file_is_refused(tmp_path: Path) -> None:
    assert refusal(written(tmp_path, "")) == "is not JSON: Expecting value (line 1, column 1)"


def test_invalid_utf8_is_refused_with_its_byte(tmp_path: Path) -> None:
    problem = refusal(written(tmp_path, b'{"name": "\xff"}'))
    assert problem == "is not UTF-8 (byte 10); save it as UTF-8"


def test_byte_order_mark_is_accepted(tmp_path: Path) -> None:
    task = read_task(written(tmp_path, b"\xef\xbb\xbf" + TASK.encode()))
    assert task.puzzle.test[0].to_rows() == [[3]]


@pytest.mark.parametrize("constant", ["NaN", "Infinity", "-Infinity"])
def test_constants_that_are_no_json_are_refused(tmp_path: Path, constant: str) -> None:
    problem = refusal(written(tmp_path, TASK.replace("[[3]]", f"[[{constant}]]")))
    assert problem == f"is not usable JSON: {constant} is not a JSON number; give a whole number"


def test_deep_nesting_is_refused(tmp_path: Path) -> None:
    problem = refusal(written(tmp_path, "[" * 200_000 + "]" * 200_000))
    assert problem == "is nested too deeply; a task needs five levels"


def test_number_of_thousands_of_digits_is_refused(tmp_path: Path) -> None:
    problem = refusal(written(tmp_path, TASK.replace("[[3]]", f"[[{'9' * 5000}]]")))
    assert problem == "holds a number of thousands of digits; a cell is 0..9"


def test_field_given_twice_is_refused(tmp_path: Path) -> None:
    problem = refusal(written(tmp_path, TASK.replace('"test"', '"train": [], "test"')))
    assert problem == "is not usable JSON: the key 'train' is there twice; remove one"


def test_id_given_twice_in_a_kaggle_file_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, f'{{"a": {TASK}, "b": {TASK}, "a": {TASK}}}')
    with pytest.raises(TaskFileError, match="the key 'a' is there twice; remove one"):
        read_challenges(path)


def test_parse_json_names_the_source_it_was_given() -> None:
    with pytest.raises(TaskFileError, match=r"^the request: is not JSON"):
        parse_json(b"{", "the request")


def test_errors_of_files_are_errors_of_the_room() -> None:
    assert issubclass(TaskFileError, AugmentError)
