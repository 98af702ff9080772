"""A scene as PNG, by matplotlib."""

from pathlib import Path
from typing import Any

from service.render import ARC_COLOURS
from service.render.pictures.scene import LINE_WIDTH, LINES, Cells, Frame, Scene, Words

_DPI = 150
_FONT = "DejaVu Sans"  # ships with matplotlib: the same picture on every machine


def write_png(scene: Scene, path: Path) -> None:
    """Draw a scene into a PNG file.

    Raises: OSError.
    """
    from matplotlib.figure import Figure  # here: it takes half a second to import

    figure = Figure(figsize=(scene.width, scene.height), facecolor="white")
    # One pair of axes over the whole figure, in inches from its top left corner.
    axes = figure.add_axes((0, 0, 1, 1), xlim=(0, scene.width), ylim=(scene.height, 0))
    axes.set_axis_off()
    for cells in scene.cells:
        _draw_cells(axes, cells)
    for frame in scene.frames:
        _draw_frame(axes, frame)
    for words in scene.words:
        _write(axes, words)
    figure.savefig(path, format="png", dpi=_DPI)


def _draw_cells(axes: Any, cells: Cells) -> None:
    from matplotlib.collections import LineCollection
    from matplotlib.colors import ListedColormap

    height, width = cells.grid.size
    left, top = cells.left, cells.top
    xs = [left + column * cells.cell for column in range(width + 1)]
    ys = [top + row * cells.cell for row in range(height + 1)]
    colours = ListedColormap(ARC_COLOURS)
    axes.pcolormesh(xs, ys, cells.grid.cells, cmap=colours, vmin=0, vmax=len(ARC_COLOURS))
    across = [[(xs[0], y), (xs[-1], y)] for y in ys]
    down = [[(x, ys[0]), (x, ys[-1])] for x in xs]
    axes.add_collection(LineCollection(across + down, colors=LINES, linewidths=LINE_WIDTH))


def _draw_frame(axes: Any, frame: Frame) -> None:
    from matplotlib.patches import Rectangle

    axes.add_patch(
        Rectangle(
            (frame.left, frame.top),
            frame.width,
            frame.height,
            fill=False,
            edgecolor=frame.colour,
            linewidth=1.8,
            linestyle=(0, (3, 2)) if frame.is_dashed else "-",
        )
    )


def _write(axes: Any, words: Words) -> None:
    axes.text(
        words.x,
        words.y,
        words.text,
        fontsize=words.size,
        color=words.colour,
        fontweight="bold" if words.is_bold else "normal",
        fontfamily=_FONT,
        horizontalalignment=words.anchor,
        verticalalignment="center",
        parse_math=False,  # a name may hold a dollar sign
    )
