"""Kaggle's surroundings: both layouts of the input, the kind of run, its end by a fake clock."""

from pathlib import Path

import pytest

from service.submission.kaggle import (
    RERUN_VARIABLE,
    TimeLimit,
    find_challenges,
    is_rerun,
    keep_start,
)
from service.wire.errors import InputError

NAME = "arc-agi_test_challenges.json"


def attach(root: Path, folder: str) -> Path:
    """Make a competition's folder with its files."""
    made = root / folder
    made.mkdir(parents=True)
    for name in (NAME, "arc-agi_training_challenges.json", "sample_submission.json"):
        (made / name).write_text("{}", encoding="utf-8")
    return made / NAME


@pytest.mark.parametrize("folder", ["competitions/arc-prize", "arc-prize"])
def test_the_challenges_are_found_in_both_layouts(tmp_path: Path, folder: str) -> None:
    path = attach(tmp_path, folder)
    (tmp_path / "wheels").mkdir()

    assert find_challenges(tmp_path) == path
    assert find_challenges(tmp_path, "arc-prize") == path


def test_of_several_competitions_one_has_to_be_named(tmp_path: Path) -> None:
    paths = [attach(tmp_path, f"competitions/{slug}") for slug in ("arc-2025", "arc-2026")]

    with pytest.raises(InputError, match=r"several challenges: .*--competition"):
        find_challenges(tmp_path)
    assert find_challenges(tmp_path, "arc-2026") == paths[1]
    with pytest.raises(InputError, match="no other/"):
        find_challenges(tmp_path, "other")


def test_where_nothing_is_attached_it_says_where_it_looked(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"competitions or .*add the competition"):
        find_challenges(tmp_path / "nowhere")


def test_the_scored_run_is_known_by_its_variable() -> None:
    assert is_rerun({RERUN_VARIABLE: "1"})
    assert not is_rerun({RERUN_VARIABLE: ""})
    assert not is_rerun({})


def test_a_run_ends_before_its_limit_by_a_margin() -> None:
    limit = TimeLimit(scored=720.0, commit=10.0)

    assert limit.until(1000.0, is_scored=True) == 1000.0 + 60 * (720 - 15)
    assert limit.until(1000.0, is_scored=False) == 1000.0 + 60 * 9.5
    assert TimeLimit(10.0, 60.0).until(0.0, is_scored=False) == 60 * 9.5
    assert TimeLimit(10.0, 1.0, margin=4.0).until(0.0, is_scored=True) == 360.0
    assert TimeLimit(10.0, 1.0, margin=4.0).until(50.0, is_scored=False) == 50.0


def test_a_run_that_is_started_again_keeps_its_beginning(tmp_path: Path) -> None:
    path = tmp_path / "submission.started.json"

    assert keep_start(path, 100.5, is_fresh=False) == 100.5
    assert keep_start(path, 200.0, is_fresh=False) == 100.5
    assert keep_start(path, 300.0, is_fresh=True) == 300.0
    assert keep_start(path, 400.0, is_fresh=False) == 300.0


@pytest.mark.parametrize("content", ["", "[]", '{"started_at": "soon"}'])
def test_a_damaged_beginning_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "submission.started.json"
    path.write_text(content, encoding="utf-8")

    with pytest.raises(InputError, match="start over with --fresh"):
        keep_start(path, 1.0, is_fresh=False)
    assert keep_start(path, 1.0, is_fresh=True) == 1.0
