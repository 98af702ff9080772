"""The elements of a picture, with their positions and sizes."""

from dataclasses import dataclass
from typing import Literal

from augment import Grid

INK = "#222222"
LINES = "#666666"
LINE_WIDTH = 0.5


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
    """A whole picture.

    Units: width and height in inches.
    """

    title: str
    width: float
    height: float
    cells: tuple[Cells, ...]
    frames: tuple[Frame, ...]
    words: tuple[Words, ...]
