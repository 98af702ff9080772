"""The share of a file's Sudokus or mazes that a checkpoint answers by the rules."""

import csv
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from augment import Kind, RuleExample, count_guesses, read_rule_file
from hrm_core import Engine, open_checkpoint
from service.cli.engine import make_engine
from service.cli.output import console, print_json, progress_bar
from service.runtime.devices import EngineOptions
from service.solving.enrolment import RowIndex
from service.solving.members import FIRST_WAVE, Member
from service.solving.solve import Solving, group_by_puzzle
from service.wire.answer import TestAnswer
from service.wire.errors import InputError
from service.wire.options import SolveOptions

# Slots unless the options say otherwise, and puzzles that are in them at once.
DEFAULT_SLOTS = 64
GIVENS_STEP = 4


@dataclass(slots=True)
class RuleCounts:
    """Of some puzzles: how many were verified, and equal the known answer."""

    num_puzzles: int = 0
    num_verified: int = 0
    num_right: int = 0
    num_segments: int = 0

    def add(self, test: TestAnswer) -> None:
        """Count an answer."""
        self.num_puzzles += 1
        self.num_verified += bool(test.verified)
        self.num_right += bool(test.right)
        self.num_segments += test.segments

    def document(self) -> dict[str, Any]:
        """Return the counts as JSON values."""
        return {
            "puzzles": self.num_puzzles,
            "verified": self.num_verified,
            "right": self.num_right,
            "segments": self.num_segments,
        }


@dataclass(slots=True)
class RuleEvaluation:
    """Counts of all puzzles, and of those with so many givens or of one difficulty."""

    seconds: float = 0.0
    total: RuleCounts = field(default_factory=RuleCounts)
    parts: dict[str, RuleCounts] = field(default_factory=lambda: defaultdict(RuleCounts))

    def document(self) -> dict[str, Any]:
        """Return the evaluation as JSON values."""
        return {
            **self.total.document(),
            "seconds": round(self.seconds, 3),
            "puzzles_per_s": round(self.total.num_puzzles / max(self.seconds, 1e-9), 3),
            "parts": {name: counts.document() for name, counts in sorted(self.parts.items())},
        }


def evaluate_rule_file(
    folder: Path,
    kind: Kind,
    path: Path,
    *,
    limit: int | None,
    chosen: SolveOptions,
    options: EngineOptions,
    out: Path | None,
    as_json: bool,
) -> None:
    """Answer the puzzles of a file, print the shares that are right, and write the answers.

    Raises: AugmentError, HRMCoreError, ServiceError.
    """
    row_index = RowIndex(open_checkpoint(folder))
    if row_index.kind is not kind:
        raise InputError(
            f"{folder} answers {row_index.kind.title} puzzles, not {kind.title} puzzles"
        )
    examples = read_rule_file(path, kind, limit)
    engine = make_engine(row_index.checkpoint, options, DEFAULT_SLOTS)
    with progress_bar() as bar:
        line = bar.add_task(f"{len(examples)} puzzles", total=len(examples))
        evaluation, answers = _evaluate(
            engine, row_index, examples, kind, chosen, lambda: bar.advance(line)
        )
    if out is not None:
        _write_answers(out, kind, examples, answers)
    if as_json:
        print_json(evaluation.document())
    else:
        _print(evaluation, kind)


def _evaluate(
    engine: Engine,
    row_index: RowIndex,
    examples: Sequence[RuleExample],
    kind: Kind,
    chosen: SolveOptions,
    on_done: Callable[[], None],
) -> tuple[RuleEvaluation, list[TestAnswer]]:
    """Answer puzzles, as many at once as fill the slots with their first waves."""
    evaluation, answers = RuleEvaluation(), {}
    waiting: Iterator[tuple[int, RuleExample]] = iter(enumerate(examples))
    running: dict[Solving, int] = {}
    at_once = max(1, engine.num_slots // min(FIRST_WAVE, chosen.variants or FIRST_WAVE))
    started = time.monotonic()
    while True:
        for index, example in islice(waiting, at_once - len(running)):
            task = example.as_task(kind, f"puzzle {index + 1}")
            solving = Solving(task.puzzle, [Member.find(row_index, task.puzzle)], chosen)
            running[solving] = index
            solving.enter(0, engine)
        if not running:
            break
        for solving, outcomes in group_by_puzzle(engine.step()).items():
            solving.receive(outcomes)
            if solving.is_done:
                index = running.pop(solving)
                answers[index] = solving.answer([examples[index].answer]).tests[0]
                on_done()
    evaluation.seconds = time.monotonic() - started
    for index, test in sorted(answers.items()):
        evaluation.total.add(test)
        for part in _parts(examples[index], kind):
            evaluation.parts[part].add(test)
    return evaluation, [answers[index] for index in range(len(examples))]


def _parts(example: RuleExample, kind: Kind) -> Iterator[str]:
    """Yield the parts that a puzzle counts in."""
    if kind.name == "maze":
        yield "{} x {}".format(*example.puzzle.size)
        return
    first = int(np.count_nonzero(example.puzzle.cells)) // GIVENS_STEP * GIVENS_STEP
    yield f"{first} to {first + GIVENS_STEP - 1} givens"
    yield "needs guessing" if count_guesses(example.puzzle) else "single candidates suffice"


def _print(evaluation: RuleEvaluation, kind: Kind) -> None:
    table = Table()
    right = "the known answer" if kind.name == "sudoku" else "the known path"
    for heading in (kind.title, "puzzles", "verified by the rules", right, "segments"):
        table.add_column(heading, justify="right")
    for name, counts in (*sorted(evaluation.parts.items()), ("all", evaluation.total)):
        num = counts.num_puzzles
        table.add_row(
            name,
            str(num),
            f"{counts.num_verified} ({counts.num_verified / num:.1%})",
            f"{counts.num_right} ({counts.num_right / num:.1%})",
            f"{counts.num_segments / num:.1f} each",
        )
    console.print(table)
    num_puzzles, seconds = evaluation.total.num_puzzles, evaluation.seconds
    console.print(f"{seconds:.1f} s, {num_puzzles / max(seconds, 1e-9):.2f} puzzles/s")


def _write_answers(
    path: Path, kind: Kind, examples: Sequence[RuleExample], answers: Sequence[TestAnswer]
) -> None:
    rules = kind.rules
    if rules is None:
        raise ValueError(f"{kind.title} puzzles have no such files")
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("q", "a", "verified"))
        for example, test in zip(examples, answers, strict=True):
            texts = [rules.write(grid) for grid in (example.puzzle, *test.attempts[:1])]
            question, *answer = [text if isinstance(text, str) else "".join(text) for text in texts]
            writer.writerow((question, answer[0] if answer else "", str(test.verified).lower()))
