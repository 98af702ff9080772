"""Files of Sudokus and mazes, and task documents of them."""

import gzip
from pathlib import Path

import pytest

from augment import (
    MAZE,
    SUDOKU,
    PuzzleError,
    TaskFileError,
    find_solutions,
    parse_task,
    read_rule_file,
    task_document,
)
from augment.sudoku import parse_sudoku, sudoku_text

EASY = "53..7....6..195....98....6.8...6...34..8.3..17...2...6.6....28....419..5....8..79"


@pytest.fixture
def solution() -> str:
    (grid,) = find_solutions(parse_sudoku(EASY, ())) or ()
    return sudoku_text(grid)


@pytest.mark.parametrize("header", ["source,question,answer,rating", "source,q,a,rating"])
@pytest.mark.parametrize("packed", [False, True])
def test_a_published_csv_is_read(tmp_path: Path, solution: str, header: str, packed: bool) -> None:
    content = f"{header}\nmade,{EASY},{solution},3\nmade,{solution},{solution},0\n".encode()
    path = tmp_path / ("test.csv.gz" if packed else "test.csv")
    path.write_bytes(gzip.compress(content) if packed else content)

    first, second = read_rule_file(path, SUDOKU)
    assert (sudoku_text(first.puzzle), first.rating) == (EASY, 3.0)
    assert first.answer is not None
    assert sudoku_text(first.answer) == solution
    assert second.puzzle == second.answer
    assert len(read_rule_file(path, SUDOKU, limit=1)) == 1


def test_a_file_without_header_has_a_puzzle_a_line(tmp_path: Path) -> None:
    path = tmp_path / "mine.txt"
    path.write_text(f"{EASY}\n\n{EASY}\n")

    assert [one.answer for one in read_rule_file(path, SUDOKU)] == [None, None]


def test_a_maze_of_one_line_is_square(tmp_path: Path) -> None:
    path = tmp_path / "mazes.csv"
    path.write_text("question,answer\nS  ## G  ,Soo##oGoo\n")

    (example,) = read_rule_file(path, MAZE)
    assert example.puzzle.size == (3, 3)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (EASY[:80], "line 1"),
        (f"q,a\n{EASY},{EASY}\n", "line 2: the answer breaks the rules"),
        ("", "no Sudoku puzzle"),
    ],
)
def test_a_wrong_file_is_refused_with_the_line(tmp_path: Path, content: str, words: str) -> None:
    path = tmp_path / "wrong.csv"
    path.write_text(content)

    with pytest.raises((PuzzleError, TaskFileError)) as caught:
        read_rule_file(path, SUDOKU)
    assert words in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(TaskFileError, match="cannot be read"):
        read_rule_file(tmp_path / "none.csv", SUDOKU)


def test_task_documents_are_read_back(solution: str) -> None:
    known = parse_task({"sudoku": EASY, "answer": solution, "name": "mine"}, "x")
    open_ended = parse_task({"maze": ["S ", "#G"]}, "maze")

    assert (known.puzzle.kind, known.puzzle.name) == ("sudoku", "mine")
    assert parse_task(task_document(known), "x") == known
    assert parse_task(task_document(open_ended), "y") == open_ended
    assert open_ended.expected == (None,)


@pytest.mark.parametrize(
    ("document", "pointer"),
    [
        ({"sudoku": EASY, "train": []}, "/train"),
        ({"sudoku": EASY, "answer": "5"}, "/answer"),
        ({"maze": ["S#G"]}, "/maze"),
        ({"maze": ["S G"], "sudoku": EASY}, "/maze"),
        ({"sudoku": "12345678." + "." * 17 + "9" + "." * 54}, "/sudoku"),
    ],
)
def test_wrong_documents_are_refused_at_their_place(document: object, pointer: str) -> None:
    with pytest.raises(PuzzleError) as caught:
        parse_task(document, "puzzle")
    assert caught.value.pointer == pointer
