"""Kinds of puzzles: what is declared of each, and that no other place decides by its name."""

import ast
from pathlib import Path

from augment import ARC, KINDS, MAZE, SUDOKU

ROOT = Path(__file__).parents[3]
PACKAGES = ("augment", "bench", "hrm_core", "service", "voting")


def test_only_arc_has_rows_for_each_puzzle() -> None:
    assert [kind for kind in KINDS.values() if kind.has_own_rows] == [ARC]


def test_no_code_compares_with_a_kind_or_its_name() -> None:
    names = {*KINDS, ARC.title, SUDOKU.title, MAZE.title}
    found = []
    for path in (path for package in PACKAGES for path in (ROOT / package).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Compare):
                sides = [node.left, *node.comparators]
                if any(isinstance(one, ast.Constant) and one.value in names for one in sides):
                    found.append(f"{path.relative_to(ROOT)}:{node.lineno}")
    assert not found
