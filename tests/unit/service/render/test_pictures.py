"""Pictures of answers: the right kind of file, the right cells in it, and clear refusals."""

import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib import image

from augment import Grid, Pair, Puzzle, Task, find_solutions, parse_task
from service.render import ARC_COLOURS
from service.render.layout import INK
from service.render.looks import LOOKS
from service.render.pictures import answer_svg, draw_answer
from service.wire.errors import PictureError

SVG = "{http://www.w3.org/2000/svg}"
INPUT = Grid.from_rows([[0, 1, 2], [3, 4, 5]])
OUTPUT = Grid.from_rows([[6, 7], [8, 9]])
WRONG = Grid.from_rows([[6, 6], [8, 9]])
PUZZLE = Puzzle("price $5 and $6", (Pair(INPUT, OUTPUT),), (INPUT,))
TASK = Task(PUZZLE, (OUTPUT,))
CAPTIONS = [["12 votes, 60 %", "8 votes, 40 %"]]


def words(path: Path) -> str:
    """Return the texts of an SVG."""
    return "|".join(it.text or "" for it in ElementTree.parse(path).getroot().iter(f"{SVG}text"))


def squares(path: Path) -> Counter[str]:
    """Return the number of cells of each colour in an SVG."""
    found: Counter[str] = Counter()
    for group in ElementTree.parse(path).getroot().iter(f"{SVG}g"):
        (ground,) = group.iter(f"{SVG}rect")
        seen: set[tuple[int, int]] = set()
        for shape in group.iter(f"{SVG}path"):
            runs = re.findall(r"M(\d+) (\d+)h(\d+)v1h-(\d+)z", shape.get("d", ""))
            cells = [
                (int(row), int(column) + place)
                for column, row, length, _ in runs
                for place in range(int(length))
            ]
            assert seen.isdisjoint(cells)
            seen |= set(cells)
            found[shape.get("fill", "")] += len(cells)
        all_cells = int(ground.get("width", "0")) * int(ground.get("height", "0"))
        found[ground.get("fill", "")] += all_cells - len(seen)
    del found[""]  # the lines between the cells
    return found


def test_a_png_shows_every_colour_of_the_grids(tmp_path: Path) -> None:
    path = tmp_path / "answer.png"
    draw_answer(TASK, [[OUTPUT, WRONG]], CAPTIONS, path)

    assert path.read_bytes().startswith(b"\x89PNG")
    pixels = (image.imread(path)[..., :3] * 255).round().astype(int)
    shown = Counter(map(tuple, pixels.reshape(-1, 3).tolist()))
    for colour in ARC_COLOURS:
        rgb = tuple(int(colour[start : start + 2], 16) for start in (1, 3, 5))
        assert shown[rgb] > 1000, colour


def test_an_svg_holds_each_cell_once_in_its_colour(tmp_path: Path) -> None:
    path = tmp_path / "answer.svg"
    draw_answer(TASK, [[OUTPUT, WRONG]], CAPTIONS, path)

    cells = np.concatenate([grid.cells.ravel() for grid in (INPUT, OUTPUT) * 2 + (OUTPUT, WRONG)])
    expected = Counter(ARC_COLOURS[value] for value in cells)
    assert squares(path) == expected


def test_the_texts_name_attempts_and_verdicts_without_colour(tmp_path: Path) -> None:
    path = tmp_path / "answer.svg"
    draw_answer(TASK, [[WRONG, OUTPUT]], CAPTIONS, path)

    texts = words(path)
    for text in ("price $5 and $6", "Attempt 1: wrong", "Attempt 2: right", "Expected"):
        assert text in texts
    for caption in CAPTIONS[0]:
        assert caption in texts
    assert "stroke-dasharray" in path.read_text()


def test_the_element_for_a_page_is_the_picture_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "answer.svg"
    draw_answer(TASK, [[OUTPUT, WRONG]], CAPTIONS, path)

    element = answer_svg(TASK, [[OUTPUT, WRONG]], CAPTIONS, label=PUZZLE.name)
    assert element == path.read_text(encoding="utf-8")


def test_a_stranger_s_name_cannot_break_the_markup(tmp_path: Path) -> None:
    puzzle = Puzzle('<script>"&\x00\u2028', PUZZLE.train, PUZZLE.test)
    element = answer_svg(Task(puzzle, (None,)), [[OUTPUT]], [["<b>"]], label=puzzle.name)

    root = ElementTree.fromstring(element)
    assert [it.tag for it in root.iter() if "script" in it.tag or it.tag.endswith("}b")] == []
    assert '<script>"&' in str(root.get("aria-label"))


def test_an_unknown_output_is_neither_shown_nor_judged(tmp_path: Path) -> None:
    path = tmp_path / "answer.svg"
    draw_answer(Task(PUZZLE, (None,)), [[OUTPUT, WRONG]], CAPTIONS, path)

    texts = words(path)
    assert "Attempt 1" in texts
    for text in ("Expected", "right", "wrong"):
        assert text not in texts


def test_a_test_input_without_attempts_says_so(tmp_path: Path) -> None:
    path = tmp_path / "answer.svg"
    draw_answer(TASK, [[]], [[]], path)

    assert "No attempt" in words(path)


def test_the_same_answer_makes_the_same_png(tmp_path: Path) -> None:
    for name in ("one.png", "two.png"):
        draw_answer(TASK, [[OUTPUT, WRONG]], CAPTIONS, tmp_path / name)

    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()


def test_cells_are_squares_whatever_the_shapes(tmp_path: Path) -> None:
    path = tmp_path / "answer.png"
    tall = Grid.from_rows([[1] * 10] * 30)
    wide = Grid.from_rows([[2] * 30] * 10)
    draw_answer(Task(Puzzle("p", (Pair(tall, wide),), (tall,)), (None,)), [[]], [[]], path)

    pixels = (image.imread(path)[..., :3] * 255).round().astype(int)
    blue = np.argwhere((pixels == (0, 0x74, 0xD9)).all(axis=-1))
    red = np.argwhere((pixels == (0xFF, 0x41, 0x36)).all(axis=-1))
    height, width = np.ptp(red, axis=0) + 1
    assert width / height == pytest.approx(3, rel=0.02)
    # The two tall grids stand above each other in one column.
    assert np.ptp(blue[:, 1]) + 1 == pytest.approx(height, abs=2)


@pytest.mark.parametrize("name", ["answer.pdf", "answer", "answer.png.txt"])
def test_another_suffix_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(PictureError, match=r"is a \.png or \.svg file"):
        draw_answer(TASK, [[OUTPUT]], [["a"]], tmp_path / name)

    assert not (tmp_path / name).exists()


def test_a_suffix_may_be_in_capitals(tmp_path: Path) -> None:
    draw_answer(TASK, [[OUTPUT]], [["a"]], tmp_path / "answer.PNG")

    assert (tmp_path / "answer.PNG").read_bytes().startswith(b"\x89PNG")


def test_attempts_and_captions_must_belong_together(tmp_path: Path) -> None:
    with pytest.raises(PictureError, match="every attempt needs a caption"):
        draw_answer(TASK, [[OUTPUT, WRONG]], [["a"]], tmp_path / "answer.png")
    with pytest.raises(PictureError, match="1 test inputs, but attempts at 2"):
        draw_answer(TASK, [[OUTPUT], [WRONG]], [["a"], ["b"]], tmp_path / "answer.png")


def test_a_path_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(PictureError, match="cannot be written: No such file"):
        draw_answer(TASK, [[OUTPUT]], [["a"]], tmp_path / "none" / "answer.png")


def test_drawing_leaves_pyplot_alone_and_importing_leaves_matplotlib_alone(tmp_path: Path) -> None:
    script = (
        "import sys; from service.render.pictures import answer_svg, draw_answer\n"
        "from augment import *\n"
        "assert 'matplotlib' not in sys.modules\n"
        "from pathlib import Path; grid = Grid.from_rows([[1]])\n"
        "task = Task(Puzzle('p', (Pair(grid, grid),), (grid,)), (None,))\n"
        "draw_answer(task, [[grid]], [['a']], Path(sys.argv[1]))\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "a.svg")],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr


def test_a_sudoku_has_its_givens_bold_and_its_answer_judged_by_the_rules(tmp_path: Path) -> None:
    text = "53..7....6..195....98....6.8...6...34..8.3..17...2...6.6....28....419..5....8..79"
    task = parse_task({"sudoku": text}, "mine")
    (solution,) = find_solutions(task.puzzle.test[0]) or ()
    wrong = Grid(solution.cells[::-1].copy())
    draw_answer(task, [[solution, wrong]], [["a", "b"]], tmp_path / "answer.svg")
    draw_answer(task, [[solution, wrong]], [["a", "b"]], tmp_path / "answer.png")

    assert "Attempt 1: right|" in words(tmp_path / "answer.svg")
    assert "Attempt 2: wrong|" in words(tmp_path / "answer.svg")
    root = ElementTree.parse(tmp_path / "answer.svg").getroot()
    digits = [it for it in root.iter(f"{SVG}text") if (it.text or "").isdigit()]
    given = Counter(text.replace(".", ""))
    bold = Counter(it.text for it in digits if it.get("font-weight"))
    kept = (wrong.cells == task.puzzle.test[0].cells).sum()
    assert sum(bold.values()) == 2 * given.total() + kept
    assert len(digits) == given.total() + 2 * 81
    boxes = [it for it in root.iter(f"{SVG}rect") if it.get("stroke") == INK]
    assert len(boxes) == 3 * 9


def test_a_maze_has_walls_and_letters(tmp_path: Path) -> None:
    task = parse_task({"maze": ["S #", "# G"], "answer": ["So#", "#oG"]}, "way")
    (way,) = task.expected
    assert way is not None
    draw_answer(task, [[way]], [[""]], tmp_path / "answer.svg")

    wall, free, path = (LOOKS["maze"].colours[value] for value in (0, 1, 4))
    assert squares(tmp_path / "answer.svg") == {wall: 6, free: 8, path: 4}
    texts = words(tmp_path / "answer.svg").split("|")
    assert [texts.count(sign) for sign in "SG•"] == [3, 3, 4]
