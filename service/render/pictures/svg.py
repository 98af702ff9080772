"""A scene as SVG, small and without scripts, for a file or as an element of a page."""

from html import escape
from itertools import groupby

from augment import Grid
from service.render import ARC_COLOURS
from service.render.pictures.scene import LINE_WIDTH, LINES, Cells, Frame, Scene, Words

_POINTS = 72.0  # an inch
_FONT = "'DejaVu Sans', Verdana, sans-serif"
# Text is centred by computation: not every viewer supports dominant-baseline.
_BASELINE = 0.35


def scene_svg(scene: Scene, *, label: str | None = None) -> str:
    """Return a scene as an SVG element; `label` is its text for screen readers.

    Units: one user unit is a point.
    """
    width, height = _number(scene.width), _number(scene.height)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'width="{width}pt" height="{height}pt" role="img" '
        f'aria-label="{escape(drawable(label or scene.title))}" font-family="{_FONT}">',
        f'<rect width="{width}" height="{height}" fill="#fff"/>',
        *map(_cells, scene.cells),
        *map(_frame, scene.frames),
        *map(_words, scene.words),
        "</svg>",
    ]
    return "\n".join(parts)


def _cells(cells: Cells) -> str:
    """Draw a grid on a black background, with one path for each other colour.

    Adjacent cells of one colour are one rectangle, so that thousands of grids fit into a page.
    """
    height, width = cells.grid.size
    origin = f"{_number(cells.left)} {_number(cells.top)}"
    fills = "".join(
        f'<path fill="{ARC_COLOURS[value]}" d="{path}"/>'
        for value in range(1, len(ARC_COLOURS))
        if (path := _runs(cells.grid, value))
    )
    across = "".join(f"M0 {row}h{width}" for row in range(height + 1))
    down = "".join(f"M{column} 0v{height}" for column in range(width + 1))
    line_width = LINE_WIDTH / (cells.cell * _POINTS)
    return (
        f'<g transform="translate({origin}) scale({_number(cells.cell)})">'
        f'<rect width="{width}" height="{height}" fill="{ARC_COLOURS[0]}"/>{fills}'
        f'<path stroke="{LINES}" stroke-width="{line_width:.3f}" d="{across}{down}"/></g>'
    )


def _runs(grid: Grid, value: int) -> str:
    runs = []
    for row, line in enumerate(grid.to_rows()):
        column = 0
        for cell, group in groupby(line):
            length = sum(1 for _ in group)
            if cell == value:
                runs.append(f"M{column} {row}h{length}v1h-{length}z")
            column += length
    return "".join(runs)


def _frame(frame: Frame) -> str:
    dashes = ' stroke-dasharray="5.4 3.6"' if frame.is_dashed else ""
    return (
        f'<rect x="{_number(frame.left)}" y="{_number(frame.top)}" '
        f'width="{_number(frame.width)}" height="{_number(frame.height)}" fill="none" '
        f'stroke="{frame.colour}" stroke-width="1.8"{dashes}/>'
    )


def _words(words: Words) -> str:
    y = words.y + _BASELINE * words.size / _POINTS
    anchor = ' text-anchor="middle"' if words.anchor == "center" else ""
    weight = ' font-weight="bold"' if words.is_bold else ""
    return (
        f'<text x="{_number(words.x)}" y="{_number(y)}" font-size="{words.size}" '
        f'fill="{words.colour}"{anchor}{weight}>{escape(drawable(words.text))}</text>'
    )


def drawable(text: str) -> str:
    """Replace the characters that XML and HTML do not allow; names may hold anything."""
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)


def _number(inches: float) -> str:
    return f"{inches * _POINTS:.2f}".rstrip("0").rstrip(".")
