"""Opening the checkpoints of a worker: which are served, and as what."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from augment import Grid, Pair, Puzzle
from service.solving.records import ADAPTATION_NAME, write_adaptation
from service.wire.checkpoint import Finding
from service.wire.errors import SettingsError
from service.worker import opening


def test_a_checkpoint_that_fails_the_self_test_is_not_served(
    engines_of: Callable[..., Any], arc1_folder: Path
) -> None:
    # Fake engines answer with the input, far from the self-test that is kept in the folder.
    folders = {"arc1": arc1_folder}
    engines = engines_of(folders=folders, is_awaited=False, allow_unverified=False)

    engines.wait_until_ended()

    assert isinstance(engines.loop.error, SettingsError)
    assert not engines.loop.ready.is_set()


def test_an_unverified_checkpoint_says_so(
    engines_of: Callable[..., Any], arc1_folder: Path
) -> None:
    record = engines_of(folders={"arc1": arc1_folder}).loop.checkpoints.served["arc1"].record

    assert (record.name, record.canvas, record.crop, record.puzzles) == ("arc1", 30, True, 70)
    assert record.finding == "misaligned"
    assert not record.finding.is_verified
    assert "misaligned" in record.verdict


def test_a_checkpoint_of_too_few_puzzles_to_be_tested_is_served_with_a_warning(
    engines_of: Callable[..., Any],
    checkpoint_folder_of: Callable[..., Path],
) -> None:
    grid = Grid.from_rows([[1, 0]])
    puzzle = Puzzle("mine", (Pair(grid, grid),), (grid,))
    folders = {"mine": checkpoint_folder_of("mine", puzzle)}

    record = (
        engines_of(folders=folders, allow_unverified=False).loop.checkpoints.served["mine"].record
    )

    assert record.finding == "untested"
    assert record.warning is not None
    assert "untested: 1 known demonstrations, 8 are needed" in record.warning


def test_the_known_puzzles_are_those_of_the_index(engines_of: Callable[..., Any]) -> None:
    puzzles = engines_of().loop.checkpoints.served["small"].puzzles

    assert len(puzzles) == 46
    assert {puzzle.variants for puzzle in puzzles} == {64}


def test_a_damaged_checkpoint_leaves_the_others_served(
    engines_of: Callable[..., Any], small_folder: Path, tmp_path: Path
) -> None:
    engines = engines_of(folders={"broken": tmp_path, "small": small_folder})

    assert list(engines.loop.checkpoints.served) == ["small"]


def test_a_checkpoint_with_a_damaged_record_leaves_the_others_served(
    engines_of: Callable[..., Any], small_folder: Path, tmp_path: Path
) -> None:
    damaged = Path(shutil.copytree(small_folder, tmp_path / "damaged"))
    (damaged / ADAPTATION_NAME).write_text("{", encoding="utf-8")

    engines = engines_of(folders={"damaged": damaged, "small": small_folder})

    assert list(engines.loop.checkpoints.served) == ["small"]


@pytest.mark.parametrize("finding", list(Finding))
def test_a_base_is_a_trained_checkpoint_whose_rows_are_not_known_to_be_wrong(
    engines_of: Callable[..., Any],
    small_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    finding: Finding,
) -> None:
    adapted = Path(shutil.copytree(small_folder, tmp_path / "adapted"))
    record = {
        **{"base": "small", "base_sha256": "b" * 64, "puzzles": {}, "variants": 64, "steps": 1},
        **{"seconds": 1.0, "budget": {"seconds": None, "steps": 1}, "held_out_share": None},
        **{"held_out_note": "", "stopped_early": False, "complete": True},
    }
    write_adaptation(adapted, record)

    class Found:
        def __init__(self) -> None:
            self.finding, self.verdict = finding, "as found"

    monkeypatch.setattr(opening, "examine", lambda *arguments, **options: Found())
    served = engines_of(folders={"small": small_folder, "adapted": adapted}).loop.checkpoints.served

    assert served["small"].record.base == (finding is not Finding.MISALIGNED)
    assert not served["adapted"].record.base
