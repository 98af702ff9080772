"""The layout of an answer's picture: the positions and sizes of its grids and texts."""

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from math import sqrt
from typing import Literal

from augment import KINDS, Grid, KindName, Task
from service.render.looks import LOOKS, is_added
from service.wire.errors import PictureError

INK = "#222222"
LINES = "#666666"
LINE_WIDTH = 0.5
# All lengths are inches, all font sizes points.
_MARGIN = 0.35
_GAP = 0.34  # between panels, wide enough for the arrow
_BLOCK_GAP = 0.6  # between pairs on one line
_ROW_GAP = 0.3
_LINE = 0.17  # one line of small text
_TITLE = 1.6 * _LINE
_CAPTION_LINE = 1.1 * _LINE
_HEADING = 0.34
_MIN_COLUMN = 0.7  # room for a title above a narrow grid
_MIN_CAPTION = 1.3  # room for a verdict above and a caption below it
_CHARACTER = 0.072  # mean width of small text
_LINE_WIDTH = 8.0  # the width of a line of demonstrations, or that of the tests where wider
_MIN_WIDTH = 4.0
_PAD = 0.045  # between a grid and its frame
_SMALL = 8
_LETTER = 44  # points of a letter in a cell of an inch
_ADDED = "#0B5CAD"
_RIGHT = "#0B7A28"
_WRONG = "#B3261E"


@dataclass(frozen=True, slots=True)
class Cells:
    """A grid in its colours, with fine lines between the cells.

    Units: inches; `cell` is the side of a cell.
    """

    grid: Grid
    left: float
    top: float
    cell: float


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame around a grid; dashes distinguish it without its colour.

    Units: inches.
    """

    left: float
    top: float
    width: float
    height: float
    colour: str
    is_dashed: bool


@dataclass(frozen=True, slots=True)
class Words:
    """One line of text, centred vertically.

    Units: position in inches, size in points.
    """

    text: str
    x: float
    y: float
    size: int
    colour: str = INK
    is_bold: bool = False
    anchor: Literal["left", "center"] = "center"


@dataclass(frozen=True, slots=True)
class Scene:
    """A whole picture: its elements, with their positions and sizes.

    Units: width and height in inches.
    """

    title: str
    kind: KindName
    width: float
    height: float
    cells: list[Cells] = field(default_factory=list)
    frames: list[Frame] = field(default_factory=list)
    words: list[Words] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Panel:
    """A grid, or a remark in its place, with the texts above and below it.

    `column` is the width it is centred in, equal for panels below each other.
    """

    grid: Grid | None
    title: str
    column: float
    caption: str = ""
    right: bool | None = None
    givens: Grid | None = None

    def caption_lines(self) -> list[str]:
        return textwrap.wrap(self.caption, max(8, int(self.column / _CHARACTER)))

    def grid_width(self, cell: float) -> float:
        return self.grid.size[1] * cell if self.grid else 0.0

    def grid_height(self, cell: float) -> float:
        return self.grid.size[0] * cell if self.grid else 0.0

    def caption_height(self) -> float:
        return _CAPTION_LINE * len(self.caption_lines())


@dataclass(frozen=True, slots=True)
class _Row:
    """Panels side by side, in blocks with an arrow to their second panel."""

    heading: str
    blocks: tuple[tuple[_Panel, ...], ...]

    @property
    def width(self) -> float:
        panels = [panel for block in self.blocks for panel in block]
        gaps = _GAP * (len(panels) - len(self.blocks)) + _BLOCK_GAP * (len(self.blocks) - 1)
        return sum(panel.column for panel in panels) + gaps

    def tallest(self, cell: float) -> float:
        return max(panel.grid_height(cell) for block in self.blocks for panel in block)

    def height(self, cell: float) -> float:
        # Grids are centred on one line; titles and captions stay with their grids.
        tallest = self.tallest(cell)
        below = max(
            panel.caption_height() - (tallest - panel.grid_height(cell)) / 2
            for block in self.blocks
            for panel in block
        )
        return (_HEADING if self.heading else 0) + _TITLE + tallest + max(0.0, below)


def lay_out(
    task: Task, attempts: Sequence[Sequence[Grid]], captions: Sequence[Sequence[str]]
) -> Scene:
    """Lay out a puzzle and the attempts at its test inputs.

    Demonstrations come first, then each test input with its attempts, a caption under each, and the
    expected output where it is known. Attempts are then marked right or wrong, by a word and by the
    style of their frame; those at a Sudoku or a maze are by its rules.

    Raises: PictureError for attempts and captions that do not belong to the task's test inputs.
    """
    num_test = len(task.puzzle.test)
    if [len(grids) for grids in attempts] != [len(texts) for texts in captions]:
        raise PictureError("every attempt needs a caption, and every caption an attempt")
    if len(attempts) != num_test:
        raise PictureError(f"{num_test} test inputs, but attempts at {len(attempts)}")
    cell = _cell_size(task, attempts)
    tests = _test_rows(task, attempts, captions, cell)
    # Two pairs are as wide as a test with two attempts, except for the gap between them.
    widest = max([_LINE_WIDTH, *(row.width + _BLOCK_GAP for row in tests)])
    rows = (*_demonstration_rows(task, cell, widest), *tests)
    width = 2 * _MARGIN + max([_MIN_WIDTH, *(row.width for row in rows)])
    height = sum(row.height(cell) for row in rows) + _ROW_GAP * (len(rows) - 1)
    puzzle = task.puzzle
    scene = Scene(puzzle.name, puzzle.kind, width, _HEADING + height + 2 * _MARGIN)
    title = textwrap.shorten(scene.title, max(12, int(width / 0.12)), placeholder=" …")
    scene.words.append(Words(title, _MARGIN, _MARGIN, 13, is_bold=True, anchor="left"))
    top = _MARGIN + _HEADING
    for row in rows:
        _add_row(scene, row, top, cell)
        top += row.height(cell) + _ROW_GAP
    return scene


def _add_row(scene: Scene, row: _Row, top: float, cell: float) -> None:
    if row.heading:
        scene.words.append(Words(row.heading, _MARGIN, top + 0.12, 10, is_bold=True, anchor="left"))
        top += _HEADING
    middle = top + _TITLE + row.tallest(cell) / 2
    left = _MARGIN
    for block in row.blocks:
        for index, panel in enumerate(block):
            if index == 1:
                # Between the edges of the two grids, which may be narrower than their columns.
                edge = left - _GAP - (block[0].column - block[0].grid_width(cell)) / 2
                start = left + (panel.column - panel.grid_width(cell)) / 2
                scene.words.append(Words("→", (edge + start) / 2, middle, 13))
            _add_panel(scene, panel, left + panel.column / 2, middle, cell)
            left += panel.column + _GAP
        left += _BLOCK_GAP - _GAP


def _add_panel(scene: Scene, panel: _Panel, centre: float, middle: float, cell: float) -> None:
    """Add a panel with its grid centred at (centre, middle)."""
    width, height = panel.grid_width(cell), panel.grid_height(cell)
    left, top = centre - width / 2, middle - height / 2
    verdicts = {None: ("", INK), True: (": right", _RIGHT), False: (": wrong", _WRONG)}
    verdict, colour = verdicts[panel.right]
    is_judged = panel.right is not None
    title = Words(panel.title + verdict, centre, top - _LINE * 0.9, _SMALL, colour, is_judged)
    scene.words.append(title)
    if panel.grid is not None:
        cells = Cells(panel.grid, left, top, cell)
        scene.cells.append(cells)
        _add_signs(scene, cells, panel.givens)
    if is_judged:
        size = (width + 2 * _PAD, height + 2 * _PAD)
        frame = Frame(left - _PAD, top - _PAD, *size, colour, is_dashed=not panel.right)
        scene.frames.append(frame)
    for number, line in enumerate(panel.caption_lines()):
        y = top + height + _LINE + _CAPTION_LINE * number
        scene.words.append(Words(line, centre, y, _SMALL))


def _add_signs(scene: Scene, cells: Cells, givens: Grid | None) -> None:
    """Add the letters and the boxes of a kind that has them; what an answer adds is not bold."""
    look, grid, cell = LOOKS[scene.kind], cells.grid, cells.cell
    for row, values in enumerate(grid.to_rows()):
        for column, value in enumerate(values):
            x, y = cells.left + column * cell, cells.top + row * cell
            if look.box and row % look.box == column % look.box == 0:
                side = look.box * cell
                scene.frames.append(Frame(x, y, side, side, INK, is_dashed=False))
            if look.letters and (letter := look.letters[value]) != " ":
                is_new = is_added(grid, givens, row, column)
                size, colour = round(cell * _LETTER), _ADDED if is_new else INK
                middle = (x + cell / 2, y + cell / 2)
                scene.words.append(Words(letter, *middle, size, colour, is_bold=not is_new))


def _cell_size(task: Task, attempts: Sequence[Sequence[Grid]]) -> float:
    """Return the side of a cell, equal in the whole picture so that grids can be compared.

    A panel grows with the square root of its grid, which keeps 3 x 3 and 30 x 30 readable.
    """
    expected = [grid for grid in task.expected if grid]
    tried = [grid for grids in attempts for grid in grids]
    largest = max(max(grid.size) for grid in (*task.puzzle.grids, *expected, *tried))
    return min(0.4, 0.65 / sqrt(largest))


def _demonstration_rows(task: Task, cell: float, width: float) -> Iterator[_Row]:
    """Lay out the demonstrations in lines of at most `width`, as many in each as fit."""
    pairs = task.puzzle.train
    inputs = _column([pair.input for pair in pairs], cell, _MIN_COLUMN)
    outputs = _column([pair.output for pair in pairs], cell, _MIN_COLUMN)
    blocks = [
        (
            _Panel(pair.input, f"Input {number}", inputs),
            _Panel(pair.output, f"Output {number}", outputs),
        )
        for number, pair in enumerate(pairs, start=1)
    ]
    fits = [_Row("", tuple(blocks[:num])).width <= width for num in range(1, len(blocks) + 1)]
    per_line = max(1, sum(fits))
    for start in range(0, len(blocks), per_line):
        line = tuple(blocks[start : start + per_line])
        yield _Row("" if start else "Demonstrations", line)


def _test_rows(
    task: Task, attempts: Sequence[Sequence[Grid]], captions: Sequence[Sequence[str]], cell: float
) -> list[_Row]:
    inputs = _column(task.puzzle.test, cell, _MIN_COLUMN)
    answers = [grid for grid in (*chain(*attempts), *task.expected) if grid]
    outputs = _column(answers, cell, _MIN_CAPTION)
    rules = KINDS[task.puzzle.kind].rules
    rows = []
    for number, (grid, tried, texts, right) in enumerate(
        zip(task.puzzle.test, attempts, captions, task.expected, strict=True), start=1
    ):
        panels = [_Panel(grid, "Input", inputs)]
        for rank, (attempt, text) in enumerate(zip(tried, texts, strict=True), start=1):
            verdict = None if right is None else attempt == right
            if rules is not None:
                verdict = rules.solves(grid, attempt)
            panels.append(_Panel(attempt, f"Attempt {rank}", outputs, text, verdict, grid))
        if not tried:
            panels.append(_Panel(None, "No attempt", outputs, "no vote was a valid grid"))
        if right is not None:
            panels.append(_Panel(right, "Expected", outputs, givens=grid))
        rows.append(_Row(f"Test {number}", (tuple(panels),)))
    return rows


def _column(grids: Sequence[Grid], cell: float, min_width: float) -> float:
    """Return the width that holds each of the grids."""
    return max([min_width, *(grid.size[1] * cell for grid in grids)])
