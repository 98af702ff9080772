"""Grids in a terminal: digits on cells in their colours, Sudokus, mazes.

Without colours rich drops the styles and the signs remain, so that piped output is readable too.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import zip_longest

from rich.align import Align
from rich.cells import cell_len
from rich.color import Color
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.segment import Segment
from rich.style import Style
from rich.table import Table
from rich.text import Text

from augment import Grid, KindName, Pair
from service.render import ARC_COLOURS
from service.render.looks import LOOKS, is_added

TitledGrid = tuple[Grid, str]

_ARROW_WIDTH = 5
_GAP_WIDTH = 3
_TITLE_WIDTH = 16  # a longer title wraps, so that it does not move its neighbour
_FAINT = 0.45  # the contrast of a digit: 0 is its background, 1 is black or white
_FINE_COLOURS = ("256", "truecolor")
_ADDED = Style(color="cyan")
_GIVEN = Style(bold=True)
_PLAIN = Style()
_WALLS = "█#"  # fill their cells


def grid_panel(
    grid: Grid, title: str, kind: KindName = "arc", givens: Grid | None = None
) -> RenderableType:
    """Return a grid under its title; what the givens of a Sudoku or a maze lack is marked."""
    return Group(Text(title, style="bold"), _Cells(grid, None, kind, givens))


@dataclass(frozen=True, slots=True)
class _Cells:
    """The cells of a grid; `cell_width` None takes two characters where there is room."""

    grid: Grid
    cell_width: int | None
    kind: KindName
    givens: Grid | None

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        look, room = LOOKS[self.kind], options.max_width
        cell_width = self.cell_width or (2 if _width(self.grid, 2, self.kind) <= room else 1)
        across, down, crossing = "-|+" if options.ascii_only else "─│┼"
        signs = look.ascii_signs if options.ascii_only else look.signs
        styles = _cell_styles(console.color_system in _FINE_COLOURS)
        for row, values in enumerate(self.grid.to_rows()):
            line = []
            for column, value in enumerate(values):
                if look.box and column and column % look.box == 0:
                    line.append(Segment(down.ljust(cell_width)))
                sign = signs[value]
                text = sign * cell_width if sign in _WALLS else sign.ljust(cell_width)
                style = styles[value] if look.is_coloured else self._style(row, column, sign)
                line.append(Segment(text, style))
            if look.box and row and row % look.box == 0:
                text = "".join(segment.text for segment in line)
                text = "".join(crossing if sign == down else across for sign in text)
                yield from _cut([Segment(text)], room)
            yield from _cut(line, room)

    def _style(self, row: int, column: int, sign: str) -> Style:
        if is_added(self.grid, self.givens, row, column):
            return _ADDED
        return _GIVEN if sign.isalnum() else _PLAIN


def _cut(line: list[Segment], room: int) -> Iterable[Segment]:
    """Return a line; where the terminal is narrower, only its beginning, with a mark."""
    if Segment.get_line_length(line) > room:
        line = [*Segment.adjust_line_length(line, room - 1), Segment("~")]
    return [*line, Segment.line()]


def _width(grid: Grid, cell_width: int, kind: KindName) -> int:
    """Return the width of a grid with the lines between its boxes."""
    width, box = grid.size[1], LOOKS[kind].box
    return cell_width * (width + ((width - 1) // box if box else 0))


@dataclass(frozen=True, slots=True)
class GridsTable:
    """Rows of titled grids, with an arrow from the first of a row to the others.

    Grids are side by side with two characters per cell, on a narrower terminal with one, and below
    each other where even that does not fit.
    """

    rows: Sequence[Sequence[TitledGrid]]
    kind: KindName = "arc"
    givens: Grid | None = None

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for cell_width in (2, 1):
            widths = self._widths(cell_width)
            gaps = _ARROW_WIDTH + _GAP_WIDTH * (len(widths) - 2) if len(widths) > 1 else 0
            if sum(widths) + gaps <= options.max_width:
                yield self._table(widths, cell_width, "->" if options.ascii_only else "→")
                return
        for row in self.rows:
            for index, (grid, title) in enumerate(row):
                if index == 1:
                    yield Text("v" if options.ascii_only else "↓")
                yield grid_panel(grid, title, self.kind, self.givens)
            yield Text()

    def _widths(self, cell_width: int) -> list[int]:
        return [
            max(
                max(_width(grid, cell_width, self.kind), min(cell_len(title), _TITLE_WIDTH))
                for grid, title in filter(None, column)
            )
            for column in zip_longest(*self.rows)
        ]

    def _table(self, widths: Sequence[int], cell_width: int, arrow: str) -> Table:
        table = Table.grid(padding=0)
        for column, width in enumerate(widths):
            if column:
                gap = _ARROW_WIDTH if column == 1 else _GAP_WIDTH
                table.add_column(width=gap, justify="center", vertical="middle")
            table.add_column(width=width)
        for row in self.rows:
            titles: list[RenderableType] = []
            grids: list[RenderableType] = []
            for column, (grid, title) in enumerate(row):
                if column:
                    titles.append("")
                    grids.append(arrow if column == 1 else "")
                # In a separate row, at its bottom: a title that wraps must not move its grid.
                titles.append(Align(Text(title, style="bold"), vertical="bottom"))
                grids.append(_Cells(grid, cell_width, self.kind, self.givens))
            table.add_row(*titles)
            table.add_row(*grids)
            table.add_row()
        return table


def pairs_table(pairs: Sequence[Pair]) -> GridsTable:
    """Return demonstrations, one below the other, each as input → output."""
    return GridsTable(
        [
            ((pair.input, f"input {number}"), (pair.output, f"output {number}"))
            for number, pair in enumerate(pairs, start=1)
        ]
    )


def _cell_styles(fine: bool) -> list[Style]:
    """Return the style of each cell value; with few colours, digits are not faint.

    Sixteen colours would round a faint digit to the colour of its background.
    """
    styles = []
    for colour in ARC_COLOURS:
        red, green, blue = Color.parse(colour).get_truecolor()
        light = 0.299 * red + 0.587 * green + 0.114 * blue > 128
        ink = 0 if light else 255
        share = _FAINT if fine else 1.0
        digit = (round(part + (ink - part) * share) for part in (red, green, blue))
        styles.append(Style(color=Color.from_rgb(*digit), bgcolor=Color.parse(colour)))
    return styles
