"""Bad input through the command line: exit 2, the place named, and nothing run."""

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

GIB = 2**30

WriteTask = Callable[..., Path]


@pytest.fixture
def write_task(task_folder: Path, tmp_path: Path) -> WriteTask:
    """Return what writes the task "bar" after a change to its document."""

    def write(change: Callable[[dict[str, Any]], object]) -> Path:
        document = json.loads((task_folder / "bar.json").read_text(encoding="utf-8"))
        change(document)
        path = tmp_path / "task.json"
        path.write_text(json.dumps(document), encoding="utf-8")
        return path

    return write


@pytest.fixture
def refusal(hrm_arc: Any, tiny_folder: Path) -> Callable[..., str]:
    """Return what solves a file with the tiny checkpoint, and gives the words it is refused in."""

    def solve(path: Path, *options: object, checkpoint: Path = tiny_folder) -> str:
        done = hrm_arc("solve", path, "--checkpoint", checkpoint, *options)
        assert done.code == 2
        assert done.out == ""
        return str(done.said)

    return solve


def test_a_ragged_grid(write_task: WriteTask, refusal: Callable[..., str]) -> None:
    path = write_task(lambda task: task["train"][0]["input"][1].append(0))

    words = refusal(path)

    assert f"{path}: train[0].input[1]: 4 columns, but the first row has 3" in words


def test_thirty_one_columns(write_task: WriteTask, refusal: Callable[..., str]) -> None:
    path = write_task(lambda task: task["train"][2].update(output=[[0] * 31]))

    assert "train[2].output[0]: 31 columns; a grid has 1..30" in refusal(path)


def test_colour_ten(write_task: WriteTask, refusal: Callable[..., str]) -> None:
    path = write_task(lambda task: task["test"][0].update(input=[[0, 10]]))

    assert "test[0].input[0][1]: 10 is not a colour 0..9" in refusal(path)


@pytest.mark.parametrize("cell", [1.5, 1.0])
def test_a_float_cell(write_task: WriteTask, refusal: Callable[..., str], cell: float) -> None:
    path = write_task(lambda task: task["train"][1].update(input=[[0], [cell]]))

    assert f"train[1].input[1][0]: {cell} is not a colour" in refusal(path)


def test_no_demonstrations(write_task: WriteTask, refusal: Callable[..., str]) -> None:
    path = write_task(lambda task: task.update(train=[]))

    assert "train: 0 demonstrations; a task has 1..10" in refusal(path)


def test_no_test(write_task: WriteTask, refusal: Callable[..., str]) -> None:
    path = write_task(lambda task: task.pop("test"))

    assert "test: is missing" in refusal(path)


def test_a_file_that_is_not_json(tmp_path: Path, refusal: Callable[..., str]) -> None:
    path = tmp_path / "task.json"
    path.write_text('{"train": [', encoding="utf-8")

    assert f"{path}: is not JSON: Expecting value (line 1, column 12)" in refusal(path)


def test_a_file_of_three_gigabytes_is_refused_unread(
    tmp_path: Path, refusal: Callable[..., str]
) -> None:
    path = tmp_path / "task.json"
    path.touch()
    os.truncate(path, 3 * GIB)
    started = time.process_time()

    words = refusal(path)

    assert f"{path}: is too large" in words
    assert time.process_time() - started < 1


class MakesFolder:
    """Ask the unpickler to make a folder: what a hostile file of weights would do, and worse."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return os.mkdir, (str(self.path),)


def test_code_in_place_of_weights_is_not_run(
    tiny_copy: Path, task_folder: Path, tmp_path: Path, refusal: Callable[..., str]
) -> None:
    torch.save({"weights": MakesFolder(tmp_path / "made")}, tiny_copy / "step_300")

    words = refusal(task_folder / "bar.json", checkpoint=tiny_copy)

    assert "step_300: it contains something other than tensors" in words
    assert not (tmp_path / "made").exists()
    torch.load(tiny_copy / "step_300", weights_only=False)
    assert (tmp_path / "made").exists(), "the file would have done nothing anyway"


def test_more_names_than_rows(
    tiny_copy: Path, task_folder: Path, refusal: Callable[..., str]
) -> None:
    path = tiny_copy / "identifiers.json"
    names = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps([*names, "one-more"]), encoding="utf-8")

    words = refusal(task_folder / "bar.json", checkpoint=tiny_copy)

    assert "identifiers.json: 26 names, but the table has 25 rows" in words


def test_a_checkpoint_for_sudoku(
    golden_folder: Path, task_folder: Path, refusal: Callable[..., str]
) -> None:
    words = refusal(task_folder / "bar.json", checkpoint=golden_folder / "trm-mlp")

    assert "answers Sudoku puzzles, and puzzle 'bar' is not one" in words


def test_a_checkpoint_for_mazes(
    tiny_copy: Path, task_folder: Path, refusal: Callable[..., str]
) -> None:
    weights = torch.load(tiny_copy / "step_300", weights_only=True)
    for name in weights:
        if name.endswith(("embed_tokens.embedding_weight", "lm_head.weight")):
            weights[name] = weights[name][:6].clone()
    torch.save(weights, tiny_copy / "step_300")
    dataset = json.loads((tiny_copy / "dataset.json").read_text(encoding="utf-8"))
    (tiny_copy / "dataset.json").write_text(json.dumps(dataset | {"vocab_size": 6}))

    words = refusal(task_folder / "bar.json", checkpoint=tiny_copy)

    assert "answers maze puzzles, and puzzle 'bar' is not one" in words


def test_a_checkpoint_without_its_yaml(
    tiny_copy: Path, task_folder: Path, refusal: Callable[..., str]
) -> None:
    (tiny_copy / "all_config.yaml").unlink()

    words = refusal(task_folder / "bar.json", checkpoint=tiny_copy)

    assert f"{tiny_copy / 'all_config.yaml'}: missing" in words


def test_a_checkpoint_without_its_names(
    tiny_copy: Path, task_folder: Path, refusal: Callable[..., str]
) -> None:
    (tiny_copy / "identifiers.json").unlink()

    assert "no identifiers.json" in refusal(task_folder / "bar.json", checkpoint=tiny_copy)


def test_a_damaged_index(tiny_copy: Path, task_folder: Path, refusal: Callable[..., str]) -> None:
    (tiny_copy / "puzzles.json").write_text("{", encoding="utf-8")

    words = refusal(task_folder / "bar.json", checkpoint=tiny_copy)

    assert f"{tiny_copy / 'puzzles.json'} is damaged" in words


def test_a_checkpoint_folder_that_is_not_there(
    tmp_path: Path, task_folder: Path, refusal: Callable[..., str]
) -> None:
    words = refusal(task_folder / "bar.json", checkpoint=tmp_path / "none")

    assert f"{tmp_path / 'none'}: no such folder" in words


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("--slots", 0, "--slots"),
        ("--variants", 0, "--variants"),
        ("--seed", -1, "--seed"),
        ("--halt", "never", "--halt"),
        ("--device", "tpu", "unknown device 'tpu'"),
        ("--device", "cuda:99", "'cuda:99' is not present"),
        ("--precision", "int8", "unknown precision 'int8'"),
        ("--attention", "guess", "guess"),
        ("--canvas", 5, "--canvas says 25"),
    ],
)
def test_an_option_without_sense(
    task_folder: Path, refusal: Callable[..., str], option: str, value: object, words: str
) -> None:
    assert words in refusal(task_folder / "bar.json", option, value)


def test_an_image_that_cannot_be_written_costs_no_answer(
    hrm_arc: Any, tiny_folder: Path, task_folder: Path, tmp_path: Path
) -> None:
    path = tmp_path / "none" / "answer.png"

    done = hrm_arc("solve", task_folder / "bar.json", "--checkpoint", tiny_folder, "--image", path)

    assert done.code == 2
    assert "answer.png" in done.said
    assert "right: attempt 1" in done.out
