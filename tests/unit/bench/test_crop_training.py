"""Crops against a canvas: the same time for both, and rows that earlier records have too."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from augment import Task
from bench import crop
from bench.crop import Arm, measure_crop
from bench.report import Section

pytestmark = pytest.mark.usefixtures("one_thread")

RECORD = Path(__file__).parents[3] / "bench" / "results" / "2026-11-25-cpu-crop.json"
MINUTES = (0.02, 0.01)
TURN_S = 0.3
STEP_S = 1.0  # no step of a network this small takes longer, on a busy machine either
TINY = {
    "hidden_size": 16,
    "num_heads": 2,
    "H_layers": 1,
    "L_layers": 1,
    "H_cycles": 1,
    "L_cycles": 1,
    "puzzle_emb_ndim": 16,
    "halt_max_steps": 2,
    "forward_dtype": "float32",
}


@pytest.fixture(scope="module")
def turns() -> list[tuple[str, float, float]]:
    """Return the turns that are taken: the arm, the seconds it had, and those it was given."""
    return []


@pytest.fixture(scope="module")
def plot(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("crop") / "plot.png"


@pytest.fixture(scope="module")
def section(
    constant_tasks: tuple[Task, ...], turns: list[tuple[str, float, float]], plot: Path
) -> Section:
    train: Callable[[Arm, float], None] = Arm.train

    def train_noted(arm: Arm, seconds: float) -> None:
        turns.append((arm.name, arm.run.seconds, seconds))
        train(arm, seconds)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(crop, "ARCH", crop.ARCH | TINY)
        patch.setattr(crop, "TURN_S", TURN_S)
        patch.setattr(Arm, "train", train_noted)
        return measure_crop(
            plot,
            constant_tasks,
            3,
            4,
            MINUTES,
            seed=0,
            device="cpu",
            compiled=False,
            say=lambda line: None,
        )


def test_a_row_for_each_budget_and_network_with_the_columns_of_the_record(
    section: Section,
) -> None:
    recorded = json.loads(RECORD.read_text(encoding="utf-8"))["sections"][0]
    assert all(list(row) == list(recorded["rows"][0]) for row in section.rows)
    assert [(row["network"], row["minutes"]) for row in section.rows] == [
        (network, minutes) for minutes in sorted(MINUTES) for network in ("canvas", "crop")
    ]
    assert [row["network"] for row in recorded["rows"][:2]] == ["canvas", "crop"]
    assert {row["test inputs"] for row in section.rows} == {5}


def test_both_networks_are_trained_for_the_time_of_the_budget(section: Section) -> None:
    for row in section.rows:
        seconds = row["samples"] / row["samples/s"]
        assert 60 * row["minutes"] <= seconds < 60 * row["minutes"] + STEP_S


def test_they_take_turns_so_that_a_busy_machine_slows_both(
    section: Section, turns: list[tuple[str, float, float]]
) -> None:
    assert [name for name, _, _ in turns] == ["canvas", "crop"] * (len(turns) // 2)
    assert len(turns) >= 2 * 60 * max(MINUTES) / (TURN_S + STEP_S)
    for (_, canvas_s, _), (_, crop_s, given_s) in zip(turns[::2], turns[1::2], strict=True):
        assert given_s <= TURN_S
        assert abs(canvas_s - crop_s) < TURN_S + STEP_S


def test_a_step_on_crops_has_as_many_positions_as_one_on_the_canvas(section: Section) -> None:
    # One position of the row; the puzzles of 3 x 3 cells take the 4 x 4 square of the canvas.
    batch_sizes = {"canvas": 192, "crop": 192 * (1 + 9) // (1 + 16)}
    for row in section.rows:
        assert row["samples"] == row["steps"] * batch_sizes[row["network"]]


def test_the_title_the_notes_and_the_plot_say_what_was_compared(
    section: Section, plot: Path
) -> None:
    assert section.title == (
        "Training on 4 puzzles: a canvas of 3 x 3, or crops of 30 x 30, on cpu"
    )
    assert section.notes[0].startswith("4 variants, 192 samples a step on the canvas")
    assert "uncompiled, seed 0" in section.notes[0]
    assert plot.read_bytes().startswith(b"\x89PNG")
