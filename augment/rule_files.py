"""Files of Sudokus and mazes: CSV as the published data sets have it, and lists of one a line."""

import csv
import gzip
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from augment.errors import PuzzleError, TaskFileError
from augment.kinds import Kind, Rules
from augment.puzzle import Grid, Puzzle, Task

# Of the columns in published files.
QUESTION_NAMES: Final = ("q", "question", "quizzes", "puzzle")
ANSWER_NAMES: Final = ("a", "answer", "solutions", "solution")
RATING_NAME: Final = "rating"


@dataclass(frozen=True, slots=True)
class RuleExample:
    """A puzzle of a file with its answer, where the file has one, and its rating."""

    puzzle: Grid
    answer: Grid | None
    rating: float | None

    def as_task(self, kind: Kind, name: str) -> Task:
        """Return the task of answering the puzzle."""
        return Task(Puzzle(name, (), (self.puzzle,), kind.name), (self.answer,))


def read_rule_file(path: Path, kind: Kind, limit: int | None = None) -> list[RuleExample]:
    """Read the puzzles of a file, at most `limit` of them; `.gz` is unpacked.

    A file with a header is CSV: columns `q` or `question`, `a` or `answer`, and `rating`. Another
    file has a puzzle a line.

    Raises: TaskFileError; PuzzleError with the line of the first fault.
    """
    if kind.rules is None:
        raise ValueError(f"{kind.title} puzzles have no such files")
    examples: list[RuleExample] = []
    for number, (question, answer, rating) in _rows(path):
        if limit is not None and len(examples) >= limit:
            break
        try:
            puzzle = kind.rules.parse(kind.rules.split(question), ("question",))
            known = None if answer is None else _read_answer(kind.rules, puzzle, answer)
            examples.append(RuleExample(puzzle, known, rating))
        except PuzzleError as error:
            raise PuzzleError((f"line {number}",), error.problem, str(path)) from None
    if not examples:
        raise TaskFileError(str(path), f"has no {kind.title} puzzle; give one a line")
    return examples


def _read_answer(rules: Rules, puzzle: Grid, answer: str) -> Grid:
    """Read an answer and check it by the rules: an answer that is wrong would be learned."""
    grid = rules.parse_answer(rules.split(answer), ("answer",))
    if not rules.solves(puzzle, grid):
        raise PuzzleError(("answer",), "the answer breaks the rules or changes the puzzle")
    return grid


def _rows(path: Path) -> Iterator[tuple[int, tuple[str, str | None, float | None]]]:
    """Yield line number, question, answer and rating."""
    try:
        content = path.read_bytes()
        if path.suffix == ".gz":
            content = gzip.decompress(content)
        with io.StringIO(content.decode("utf-8-sig"), newline="") as file:
            reader = csv.reader(file)
            columns: list[int | None] = [0, None, None]
            for row in reader:
                names = [name.strip().lower() for name in row]
                if reader.line_num == 1 and set(names) & set(QUESTION_NAMES):
                    columns = [
                        _column(names, known)
                        for known in (QUESTION_NAMES, ANSWER_NAMES, (RATING_NAME,))
                    ]
                elif any(row):
                    yield reader.line_num, _pick(row, columns)
    except (OSError, EOFError, UnicodeDecodeError, csv.Error, IndexError, ValueError) as error:
        raise TaskFileError(str(path), f"cannot be read as CSV: {error}") from error


def _column(names: list[str], known: tuple[str, ...]) -> int | None:
    return next((names.index(name) for name in known if name in names), None)


def _pick(row: list[str], columns: list[int | None]) -> tuple[str, str | None, float | None]:
    question, answer, rating = (None if at is None else row[at] for at in columns)
    return question or "", answer, None if rating is None else float(rating)
