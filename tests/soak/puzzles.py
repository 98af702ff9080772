"""The checkpoints that the soak serves, and the bodies that its callers send."""

import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import constant_tasks
from rule_checkpoints import write_rule_checkpoint

from augment import SUDOKU, task_document

CANVAS = 3
NUM_UNKNOWN = 12
SUDOKU_TEXT = "53..7....6..195....98....6.8...6...34..8.3..17...2...6.6....28....419..5....8..79"
# How known puzzles are asked for; those with all votes counted have the same counts every time.
OPTIONS: tuple[dict[str, Any], ...] = (
    {},
    {"attempts": 1},
    {"variants": 3, "seed": 1, "stop_early": False},
    {"stop_early": False},  # of two test inputs: divided
    {"trace": True},
    {"checkpoint": "tiny", "ranking": "q_weighted"},
)
ADAPTING: dict[str, Any] = {"adapt": "auto", "adapt_steps": 40, "adapt_variants": 4}


@dataclass(frozen=True, slots=True)
class Question:
    """A body with what is expected of it: an answer by `key`, that of the undisturbed run."""

    key: str
    body: dict[str, Any]

    def facts_of(self, result: dict[str, Any]) -> Any:
        """Return what is the same in each answer to this question."""
        if self.body["options"].get("stop_early") is False:
            return result["tests"]
        return [test["attempts"] for test in result["tests"]]


def write_checkpoints(folder: Path) -> Path:
    """Train and write the checkpoints: "tiny" for four puzzles, and one for Sudokus."""
    _, end = constant_tasks.train_on_constant_tasks(folder / "training")
    served = folder / "checkpoints"
    served.mkdir()
    end.rename(served / "tiny")
    write_rule_checkpoint(served / "sudoku", SUDOKU, 9)
    return served


def known_questions() -> list[Question]:
    """Return every known puzzle with every choice of options."""
    questions = []
    for task in constant_tasks.make_constant_tasks():
        document = task_document(task) | {"name": task.puzzle.name}
        for number, options in enumerate(OPTIONS):
            key = f"{task.puzzle.name}-{number}"
            questions.append(Question(key, document | {"options": options}))
    return questions


def sudoku_question() -> Question:
    """Return a Sudoku; a network without training does not solve it."""
    return Question("sudoku", {"sudoku": SUDOKU_TEXT, "options": {"variants": 4}})


def unknown_task(number: int) -> dict[str, Any]:
    """Return one of a few puzzles that no checkpoint knows."""
    rng = random.Random(number)

    def grid(side: int) -> list[list[int]]:
        return [[rng.randrange(10) for _ in range(side)] for _ in range(side)]

    pairs = [{"input": grid(CANVAS), "output": [[number % 10]]} for _ in range(3)]
    return {"train": pairs, "test": [{"input": grid(CANVAS)}], "name": f"unknown-{number}"}


def oversized_task() -> dict[str, Any]:
    """Return a puzzle that fits no canvas."""
    grid = [[1] * 12 for _ in range(12)]
    return {"train": [{"input": grid, "output": grid}], "test": [{"input": grid}], "name": "large"}
