"""Pictures of puzzles and answers: a .png or .svg file, or an SVG element of a page.

SVG is written here, small and without scripts; PNG is drawn by matplotlib.
"""

from collections.abc import Sequence
from html import escape
from itertools import groupby
from pathlib import Path
from typing import Any

from augment import Grid, Task
from service.render.layout import LINE_WIDTH, LINES, Cells, Frame, Scene, Words, lay_out
from service.render.looks import LOOKS
from service.wire.errors import PictureError

_POINTS = 72.0  # an inch
_FONTS = "'DejaVu Sans', Verdana, sans-serif"
# Text is centred by computation: not every viewer supports dominant-baseline.
_BASELINE = 0.35
_DPI = 150
_PNG_FONT = "DejaVu Sans"  # ships with matplotlib: the same picture on every machine


def draw_answer(
    task: Task, attempts: Sequence[Sequence[Grid]], captions: Sequence[Sequence[str]], path: Path
) -> None:
    """Draw a puzzle and the attempts at each of its test inputs into a .png or .svg file.

    Raises: PictureError for another suffix, for attempts and captions that do not belong to the
    task's test inputs, and for a path that cannot be written.
    """
    file_format = path.suffix.lower().removeprefix(".")
    if file_format not in ("png", "svg"):
        raise PictureError(f"{path}: a picture is a .png or .svg file; give one of these suffixes")
    scene = lay_out(task, attempts, captions)
    try:
        if file_format == "png":
            _write_png(scene, path)
        else:
            path.write_text(_scene_svg(scene), encoding="utf-8")
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise PictureError(f"{path} cannot be written: {reason}") from error


def answer_svg(
    task: Task, attempts: Sequence[Sequence[Grid]], captions: Sequence[Sequence[str]], *, label: str
) -> str:
    """Draw the same picture as an SVG element; `label` is its text for screen readers.

    Raises: PictureError for attempts and captions that do not belong to the task's test inputs.
    """
    return _scene_svg(lay_out(task, attempts, captions), label=label)


def _scene_svg(scene: Scene, *, label: str | None = None) -> str:
    """Return a scene as an SVG element; `label` is its text for screen readers.

    Units: one user unit is a point.
    """
    width, height = _number(scene.width), _number(scene.height)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'width="{width}pt" height="{height}pt" role="img" '
        f'aria-label="{escape(drawable(label or scene.title))}" font-family="{_FONTS}">',
        f'<rect width="{width}" height="{height}" fill="#fff"/>',
        *(_svg_cells(cells, LOOKS[scene.kind].colours) for cells in scene.cells),
        *map(_svg_frame, scene.frames),
        *map(_svg_words, scene.words),
        "</svg>",
    ]
    return "\n".join(parts)


def _svg_cells(cells: Cells, colours: Sequence[str]) -> str:
    """Draw a grid on a background of the first colour, with one path for each other one.

    Adjacent cells of one colour are one rectangle, so that thousands of grids fit into a page.
    """
    height, width = cells.grid.size
    origin = f"{_number(cells.left)} {_number(cells.top)}"
    fills = "".join(
        f'<path fill="{colour}" d="{path}"/>'
        for value, colour in enumerate(colours)
        if colour != colours[0] and (path := _runs(cells.grid, value))
    )
    across = "".join(f"M0 {row}h{width}" for row in range(height + 1))
    down = "".join(f"M{column} 0v{height}" for column in range(width + 1))
    line_width = LINE_WIDTH / (cells.cell * _POINTS)
    return (
        f'<g transform="translate({origin}) scale({_number(cells.cell)})">'
        f'<rect width="{width}" height="{height}" fill="{colours[0]}"/>{fills}'
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


def _svg_frame(frame: Frame) -> str:
    dashes = ' stroke-dasharray="5.4 3.6"' if frame.is_dashed else ""
    return (
        f'<rect x="{_number(frame.left)}" y="{_number(frame.top)}" '
        f'width="{_number(frame.width)}" height="{_number(frame.height)}" fill="none" '
        f'stroke="{frame.colour}" stroke-width="1.8"{dashes}/>'
    )


def _svg_words(words: Words) -> str:
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


def _write_png(scene: Scene, path: Path) -> None:
    from matplotlib.figure import Figure  # here: it takes half a second to import

    figure = Figure(figsize=(scene.width, scene.height), facecolor="white")
    # One pair of axes over the whole figure, in inches from its top left corner.
    axes = figure.add_axes((0, 0, 1, 1), xlim=(0, scene.width), ylim=(scene.height, 0))
    axes.set_axis_off()
    for cells in scene.cells:
        _draw_cells(axes, cells, LOOKS[scene.kind].colours)
    for frame in scene.frames:
        _draw_frame(axes, frame)
    for words in scene.words:
        _draw_words(axes, words)
    figure.savefig(path, format="png", dpi=_DPI)


def _draw_cells(axes: Any, cells: Cells, colours: Sequence[str]) -> None:
    from matplotlib.collections import LineCollection
    from matplotlib.colors import ListedColormap

    height, width = cells.grid.size
    left, top = cells.left, cells.top
    xs = [left + column * cells.cell for column in range(width + 1)]
    ys = [top + row * cells.cell for row in range(height + 1)]
    mapped = ListedColormap(colours)
    axes.pcolormesh(xs, ys, cells.grid.cells, cmap=mapped, vmin=0, vmax=len(colours))
    across = [[(xs[0], y), (xs[-1], y)] for y in ys]
    down = [[(x, ys[0]), (x, ys[-1])] for x in xs]
    axes.add_collection(LineCollection(across + down, colors=LINES, linewidths=LINE_WIDTH))


def _draw_frame(axes: Any, frame: Frame) -> None:
    from matplotlib.patches import Rectangle

    rectangle = Rectangle(
        (frame.left, frame.top),
        frame.width,
        frame.height,
        fill=False,
        edgecolor=frame.colour,
        linewidth=1.8,
        linestyle=(0, (3, 2)) if frame.is_dashed else "-",
    )
    axes.add_patch(rectangle)


def _draw_words(axes: Any, words: Words) -> None:
    axes.text(
        words.x,
        words.y,
        words.text,
        fontsize=words.size,
        color=words.colour,
        fontweight="bold" if words.is_bold else "normal",
        fontfamily=_PNG_FONT,
        horizontalalignment=words.anchor,
        verticalalignment="center",
        parse_math=False,  # a name may hold a dollar sign
    )
