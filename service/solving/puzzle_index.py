"""`puzzles.json`: the puzzles that a checkpoint's names stand for, and a few whole ones as probes.

A name does not identify a puzzle, since different puzzles may have the same name. The file maps
each name to the hash of its demonstrations.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from augment import AugmentError, Puzzle, Task, parse_task, task_document
from service.wire.errors import PuzzleIndexError

PUZZLES_NAME = "puzzles.json"
MAX_PROBES = 32


@dataclass(frozen=True, slots=True)
class PuzzleIndex:
    """Hash of the demonstrations by puzzle name, and the probes of the alignment self-test."""

    demonstrations: dict[str, str]
    probes: tuple[Puzzle, ...]


def index_document(puzzles: Sequence[Puzzle], max_probes: int = MAX_PROBES) -> dict[str, object]:
    """Return the content of a `puzzles.json`; probes are small puzzles, without test outputs.

    They are spread evenly over the smallest sizes that have enough: a checkpoint with crop answers
    small puzzles sooner, and may have been trained on them first.
    """
    num_probes = min(max_probes, len(puzzles))
    sides = [max(max(grid.size) for grid in puzzle.grids) for puzzle in puzzles]
    max_side = sorted(sides)[num_probes - 1] if puzzles else 0
    small = [one for one, side in zip(puzzles, sides, strict=True) if side <= max_side]
    probes = [small[index * len(small) // num_probes] for index in range(num_probes)]
    return {
        "demonstrations": {puzzle.name: puzzle.demonstrations_hash for puzzle in puzzles},
        "probes": {
            puzzle.name: task_document(Task(puzzle, (None,) * len(puzzle.test)))
            for puzzle in probes
        },
    }


def read_index(folder: Path) -> PuzzleIndex | None:
    """Read a checkpoint folder's `puzzles.json`, or None where it has none.

    Raises: PuzzleIndexError when the file is damaged.
    """
    path = folder / PUZZLES_NAME
    if not path.exists():
        return None
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        demonstrations = {str(k): str(v) for k, v in document["demonstrations"].items()}
        probes = tuple(parse_task(task, name).puzzle for name, task in document["probes"].items())
    except (
        OSError,
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        RecursionError,
        AugmentError,
    ) as error:
        raise PuzzleIndexError(
            f"{path} is damaged ({error}): write it again with `hrm-arc index {folder} --tasks …`"
        ) from error
    return PuzzleIndex(demonstrations, probes)
