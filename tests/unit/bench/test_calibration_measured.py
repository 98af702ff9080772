"""The measurement of calibration: confidence against known outputs, with and without a fit."""

import shutil
from pathlib import Path

import pytest
from calibrations import calibration_document

from augment import Task
from bench.calibration import (
    CONFIDENCE,
    VOTES,
    Judged,
    Reading,
    measure_calibration,
)
from hrm_core import open_checkpoint
from service.solving.confidence import Calibration, write_calibration
from service.wire.options import SolveOptions

pytestmark = pytest.mark.usefixtures("one_thread")


def test_each_checkpoint_is_measured_by_what_its_answers_have(
    early_folder: Path, tiny_copy: Path, constant_tasks: tuple[Task, ...], tmp_path: Path
) -> None:
    calibrated = Path(shutil.move(tiny_copy, tmp_path / "calibrated"))
    sha256 = open_checkpoint(calibrated).sha256
    write_calibration(calibrated, Calibration.model_validate(calibration_document(sha256)))
    said: list[str] = []
    errors, bins = measure_calibration(
        [calibrated, early_folder],
        constant_tasks,
        plot=tmp_path / "plot.png",
        options=SolveOptions(stop_early=False),
        device="cpu",
        say=said.append,
    )
    rows = errors.rows
    assert [(row["checkpoint"], row["attempts"], row["measure"]) for row in rows] == [
        ("calibrated", "first", CONFIDENCE),
        ("calibrated", "first", VOTES),
        ("calibrated", "all", CONFIDENCE),
        ("calibrated", "all", VOTES),
        (early_folder.name, "first", VOTES),
        (early_folder.name, "all", VOTES),
    ]
    assert {row["test inputs"] for row in rows} == {5}
    assert rows[0]["right"] == rows[0]["number"] == 5  # it has learned them
    first = [row for row in bins.rows if row["attempts"] == "first" and row["measure"] == VOTES]
    assert sum(int(row["number"]) for row in first) == 10
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")
    assert len(said) == 2


def test_attempts_without_confidence_are_judged_by_votes_alone() -> None:
    judged = (Judged(1, 0.75, None, True), Judged(2, 0.25, 0.1, False))
    parts = Reading("c", "trained", 1, judged).parts()
    assert parts == [("first", VOTES, [0.75], [True]), ("all", VOTES, [0.75, 0.25], [True, False])]
