"""A service with checkpoints of three kinds, two of them as published: each answers its own."""

import csv
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import HrmArc

from augment import SUDOKU, parse_task, read_rule_file
from bench.stack import WORKER, Service, running_service
from service.client import Client

ROOT = Path(__file__).parents[2]
SHIPPED = ROOT / "checkpoints" / "sudoku"
GOLDEN = ROOT / "tests" / "data" / "golden"
LIMIT_S = 120.0


@pytest.fixture(scope="module")
def service(emptied_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folders = [SHIPPED, GOLDEN / "hrm-sudoku", GOLDEN / "trm-maze"]
    settings = {"checkpoints": os.pathsep.join(map(str, folders)), "slots": "8"}
    logs = tmp_path_factory.mktemp("logs")
    with running_service(emptied_url, SHIPPED, logs, worker=WORKER, settings=settings) as running:
        yield running


def test_an_easy_sudoku_is_verified_by_the_shipped_checkpoint(service: Service) -> None:
    examples = read_rule_file(ROOT / "examples" / "sudokus.csv", SUDOKU)
    easy = max(examples, key=lambda one: int((one.puzzle.cells > 0).sum()))

    with Client(service.url) as client:
        answer = client.solve(
            easy.as_task(SUDOKU, "easy"), checkpoint="sudoku", trace=True, wait_s=LIMIT_S
        )

    (test,) = answer.tests
    assert answer.verified is test.verified is test.right is True
    assert (answer.enrolment, answer.warnings) == ("rules", ())
    assert test.attempts[0] == easy.answer
    assert test.variants is not None
    right = [one for one in test.variants if one.output == easy.answer]
    assert any(one.predictions[-1] == easy.answer for one in right)


@pytest.mark.parametrize(
    ("document", "checkpoint"),
    [
        ({"sudoku": [[5, *[0] * 8], *[[0] * 9] * 8]}, "hrm-sudoku"),
        ({"maze": ["S" + " " * 28 + "G", *["#" * 30] * 29]}, "trm-maze"),
    ],
)
def test_random_weights_in_a_published_layout_are_never_called_verified(
    service: Service, document: dict[str, object], checkpoint: str
) -> None:
    with Client(service.url) as client:
        answer = client.solve(
            parse_task(document, "mine"),
            checkpoint=checkpoint,
            variants=2,
            max_segments=2,
            wait_s=LIMIT_S,
        )

    assert answer.checkpoint == checkpoint
    assert answer.verified is False
    assert "obeys the rules" in answer.warnings[0]


def test_the_kind_chooses_the_checkpoint(service: Service) -> None:
    with Client(service.url) as client:
        kinds = {one.name: one.kind for one in client.checkpoints()}
        maze = parse_task({"maze": ["S  G"]}, "way").puzzle
        answer = client.solve(maze, variants=1, max_segments=1, wait_s=LIMIT_S)

    assert kinds == {"sudoku": "sudoku", "hrm-sudoku": "sudoku", "trm-maze": "maze"}
    assert answer.checkpoint == "trm-maze"


def test_a_file_is_evaluated_and_its_answers_are_written(hrm_arc: HrmArc, tmp_path: Path) -> None:
    out = tmp_path / "answers.csv"
    run = hrm_arc(
        "evaluate", SHIPPED, "--sudoku", ROOT / "examples" / "sudokus.csv", "--out", out, "--json"
    )

    assert run.code == 0, run.err
    with out.open(newline="") as file:
        rows = list(csv.DictReader(file))
    examples = read_rule_file(ROOT / "examples" / "sudokus.csv", SUDOKU)
    assert len(rows) == len(examples)
    rules = SUDOKU.rules
    assert rules is not None
    assert [row["verified"] for row in rows].count("true") >= 3
    for row, example in zip(rows, examples, strict=True):
        if row["verified"] == "true":
            assert rules.solves(example.puzzle, rules.parse(row["a"], ()))


def test_a_file_of_another_kind_is_refused(hrm_arc: HrmArc, tmp_path: Path) -> None:
    path = tmp_path / "mazes.txt"
    path.write_text("S  ## G  \n")

    run = hrm_arc("evaluate", SHIPPED, "--maze", path)

    assert run.code == 2
    assert "answers Sudoku puzzles, not maze puzzles" in run.said
