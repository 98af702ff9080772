"""The share of a file's Sudokus or mazes that a checkpoint answers by the rules."""

import csv
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.table import Table

from augment import Kind, RuleExample, Rules, read_rule_file
from hrm_core import Engine, group_by_job, open_checkpoint
from service.cli.engine import make_engine
from service.cli.output import console, print_json, progress_bar
from service.runtime.devices import EngineOptions
from service.solving.enrolment import RowIndex
from service.solving.members import Member
from service.solving.solve import Solving
from service.wire.answer import TestAnswer
from service.wire.errors import InputError
from service.wire.options import SolveOptions

# Slots unless the options say otherwise, and puzzles that are in them at once.
DEFAULT_SLOTS = 64


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

    seconds: float
    total: RuleCounts = field(default_factory=RuleCounts)
    parts: dict[str, RuleCounts] = field(default_factory=lambda: defaultdict(RuleCounts))

    def add(self, test: TestAnswer, groups: Sequence[str]) -> None:
        """Count an answer, also in its groups."""
        for counts in (self.total, *(self.parts[group] for group in groups)):
            counts.add(test)

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
    rules = kind.rules
    if rules is None:
        raise ValueError(f"{kind.title} puzzles have no such files")
    examples = read_rule_file(path, kind, limit)
    engine = make_engine(row_index.checkpoint, options, DEFAULT_SLOTS)
    with progress_bar() as bar:
        line = bar.add_task(f"{len(examples)} puzzles", total=len(examples))
        seconds, answers = _answer(
            engine, row_index, examples, kind, chosen, lambda: bar.advance(line)
        )
    evaluation = RuleEvaluation(seconds)
    for example, test in zip(examples, answers, strict=True):
        evaluation.add(test, rules.groups(example.puzzle))
    if out is not None:
        _write_answers(out, rules, examples, answers)
    if as_json:
        print_json(evaluation.document())
    else:
        _print(evaluation, kind.title, rules.answer_title)


def _answer(
    engine: Engine,
    row_index: RowIndex,
    examples: Sequence[RuleExample],
    kind: Kind,
    chosen: SolveOptions,
    on_done: Callable[[], None],
) -> tuple[float, list[TestAnswer]]:
    """Answer puzzles, as many at once as fill the slots.

    Units: the first result is the time that it took, in seconds.
    """
    answers: dict[int, TestAnswer] = {}
    waiting: Iterator[tuple[int, RuleExample]] = iter(enumerate(examples))
    running: dict[Solving, int] = {}
    started = time.monotonic()
    while True:
        while engine.num_waiting < engine.num_slots and (following := next(waiting, None)):
            index, example = following
            task = example.as_task(kind, f"puzzle {index + 1}")
            solving = Solving(task.puzzle, [Member.find(row_index, task.puzzle)], chosen)
            running[solving] = index
            solving.enter(0, engine)
        if not running:
            break
        for solving, outcomes in group_by_job(engine.step()).items():
            solving.receive(outcomes)
            if solving.is_done:
                index = running.pop(solving)
                answers[index] = solving.answer([examples[index].answer]).tests[0]
                on_done()
    seconds = time.monotonic() - started
    return seconds, [answers[index] for index in range(len(examples))]


def _print(evaluation: RuleEvaluation, title: str, answer_title: str) -> None:
    table = Table()
    for heading in (title, "puzzles", "verified by the rules", f"the {answer_title}", "segments"):
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
    path: Path, rules: Rules, examples: Sequence[RuleExample], answers: Sequence[TestAnswer]
) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("q", "a", "verified"))
        for example, test in zip(examples, answers, strict=True):
            texts = [rules.write(grid) for grid in (example.puzzle, *test.attempts[:1])]
            question, *answer = [text if isinstance(text, str) else "".join(text) for text in texts]
            writer.writerow((question, answer[0] if answer else "", str(test.verified).lower()))
