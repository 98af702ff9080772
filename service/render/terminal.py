"""Grids in a terminal: digits on cells in their colours, or only digits.

Without colours rich drops the styles and the digits remain, so that piped output is readable too.
"""

from collections.abc import Sequence
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

from augment import Grid, Pair
from service.render import ARC_COLOURS

TitledGrid = tuple[Grid, str]

_ARROW_WIDTH = 5
_GAP_WIDTH = 3
_TITLE_WIDTH = 16  # a longer title wraps, so that it does not move its neighbour
_FAINT = 0.45  # the contrast of a digit: 0 is its background, 1 is black or white
_FINE_COLOURS = ("256", "truecolor")


def grid_panel(grid: Grid, title: str) -> RenderableType:
    """Return a grid under its title."""
    return Group(Text(title, style="bold"), _Cells(grid))


@dataclass(frozen=True, slots=True)
class _Cells:
    """The cells of a grid; `cell_width` None takes two characters where there is room."""

    grid: Grid
    cell_width: int | None = None

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width = self.grid.size[1]
        cell_width = self.cell_width or (2 if 2 * width <= options.max_width else 1)
        styles = _cell_styles(console.color_system in _FINE_COLOURS)
        num_shown = width if width * cell_width <= options.max_width else options.max_width - 1
        for row in self.grid.to_rows():
            for value in row[:num_shown]:
                yield Segment(str(value).ljust(cell_width), styles[value])
            if num_shown < width:
                yield Segment("~")  # the terminal is narrower than the grid
            yield Segment.line()


@dataclass(frozen=True, slots=True)
class GridsTable:
    """Rows of titled grids, with an arrow from the first of a row to the others.

    Grids are side by side with two characters per cell, on a narrower terminal with one, and below
    each other where even that does not fit.
    """

    rows: Sequence[Sequence[TitledGrid]]

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
                yield grid_panel(grid, title)
            yield Text()

    def _widths(self, cell_width: int) -> list[int]:
        return [
            max(
                max(grid.size[1] * cell_width, min(cell_len(title), _TITLE_WIDTH))
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
                grids.append(_Cells(grid, cell_width))
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
