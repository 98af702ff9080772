"""Crops: the top-left square of the canvas that a puzzle needs, by prediction of its outputs."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from augment.errors import CanvasError
from augment.puzzle import MAX_SIDE, Puzzle
from augment.variants import NUM_COLOURS

Size = tuple[int, int]
Point = tuple[int, int]
Line = tuple[Point, Point]

# The first features are the input's own sides.
_NUM_SIDES = 2
# Two points always lie on a line: only a third one supports a rule.
_MIN_POINTS = 3


def predict_sizes(puzzle: Puzzle) -> tuple[Size | None, ...]:
    """Return the output's height and width for each test input; None where no rule holds.

    A rule holds for a side if all demonstrations agree with it: the side is constant, proportional
    to a feature of the input, or a linear function of one. Of several predictions the largest
    counts. A variant of the puzzle has the same predictions, turned.

    Shapes: as many sizes as test inputs.
    """
    if not puzzle.train:
        return (None,) * len(puzzle.test)
    seen = list(zip(*(_features(pair.input.cells) for pair in puzzle.train), strict=True))
    rules = []
    for sides in zip(*(pair.output.size for pair in puzzle.train), strict=True):
        lines = [_fit_line(xs, sides, index < _NUM_SIDES) for index, xs in enumerate(seen)]
        rules.append((sides[0] if len(set(sides)) == 1 else 0, lines))
    sizes: list[Size | None] = []
    for grid in puzzle.test:
        features = _features(grid.cells)
        height, width = (max(constant, _predict(lines, features)) for constant, lines in rules)
        sizes.append((height, width) if height and width else None)
    return tuple(sizes)


def _features(cells: npt.NDArray[np.uint8]) -> tuple[int, ...]:
    """Return what an output's side may depend on: sides, area and counts of an input.

    No feature depends on the identity of a colour except 0, which no variant recolours.
    """
    counts = np.bincount(cells.ravel(), minlength=NUM_COLOURS)
    # Of two equally common colours neither is in the foreground.
    foreground = counts[cells] < counts.max()
    rows, columns = (np.flatnonzero(foreground.any(axis)) for axis in (1, 0))
    return (
        *cells.shape,
        cells.size,
        int(np.count_nonzero(counts)),
        cells.size - int(counts[0]),
        int(np.count_nonzero(foreground)),
        int(rows[-1] - rows[0] + 1) if len(rows) else 0,
        int(columns[-1] - columns[0] + 1) if len(columns) else 0,
    )


def _fit_line(xs: Sequence[int], ys: Sequence[int], is_side: bool) -> Line | None:
    """Return two points of the line through the origin, or else any line, that fits all points.

    A constant feature supports no rule, except the input's own sides: outputs of twice the input's
    size are so at any size.
    """
    points = sorted(zip(xs, ys, strict=True))
    num_values = len(set(xs))
    lines: list[Line] = []
    if is_side or num_values > 1:
        lines.append(((0, 0), points[-1]))
    if num_values >= _MIN_POINTS:
        lines.append((points[0], points[-1]))
    return next((line for line in lines if _holds(line, points)), None)


def _holds(line: Line, points: Iterable[Point]) -> bool:
    (left, low), (right, high) = line
    return all((y - low) * (right - left) == (high - low) * (x - left) for x, y in points)


def _predict(lines: Iterable[Line | None], features: Iterable[int]) -> int:
    """Return the largest possible side on the lines, 0 if there is none."""
    largest = 0
    for line, feature in zip(lines, features, strict=True):
        if line is not None:
            (left, low), (right, high) = line
            side, rest = divmod((high - low) * (feature - left), right - left)
            if rest == 0 and side + low <= MAX_SIDE:
                largest = max(largest, side + low)
    return largest


CROP_SIZES = (4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 27, MAX_SIDE)


@dataclass(frozen=True, slots=True)
class CropChoice:
    """A puzzle's crop, the crops to try if it is too small, and the output sizes expected.

    `predicted` holds the height and width of each test output, None where no rule holds.

    Units: `size` and `larger` in cells a side.
    """

    size: int
    larger: tuple[int, ...]
    predicted: tuple[Size | None, ...]


def fit_crop(side: int, canvas: int = MAX_SIDE) -> int:
    """Return the smallest crop of at least `side` cells; the whole canvas counts as one.

    Raises: ValueError for a side longer than the canvas.
    """
    if side > canvas:
        raise ValueError(f"a side of {side} cells does not fit a canvas of {canvas}")
    return next(size for size in _crops(canvas) if size >= side)


def choose_crop(puzzle: Puzzle, canvas: int = MAX_SIDE) -> CropChoice:
    """Return the smallest crop for the puzzle's grids and for the outputs expected of it.

    Where no rule predicts an output, its longest side is taken to be the input's times the largest
    ratio of output to input among the demonstrations. All variants of a puzzle have one crop.

    Raises: CanvasError when a demonstration or a test input does not fit the canvas.
    """
    for _, grid in puzzle.misfits(canvas):
        raise CanvasError(*grid.size, canvas)
    predicted = predict_sizes(puzzle)
    sides = [max(grid.size) for grid in puzzle.grids]
    for grid, size in zip(puzzle.test, predicted, strict=True):
        sides += _scaled_sides(puzzle, max(grid.size)) if size is None else size
    crop = fit_crop(min(max(sides, default=1), canvas), canvas)
    return CropChoice(crop, tuple(_larger_crops(crop, canvas)), predicted)


def touches_edge(size: Size, crop: int, predicted: Size | None = None) -> bool:
    """Return whether a decoded grid of this size may continue beyond the crop.

    A side as long as the crop has no room for its EOS, so it counts as cut unless exactly that
    side is predicted, or no grid is longer. Undoing a variant makes no difference if `size` and
    `predicted` are turned alike.
    """
    expected = (0, 0) if predicted is None else predicted
    unclosed = any(side == crop != known for side, known in zip(size, expected, strict=True))
    return unclosed and crop < MAX_SIDE


def _crops(canvas: int) -> tuple[int, ...]:
    return (*(size for size in CROP_SIZES if size < canvas), canvas)


def _scaled_sides(puzzle: Puzzle, side: int) -> list[int]:
    """Return the side times each demonstration's ratio of output to input, rounded up."""
    return [-(-side * max(pair.output.size) // max(pair.input.size)) for pair in puzzle.train]


def _larger_crops(crop: int, canvas: int) -> Iterator[int]:
    """Yield crops of at least twice the cells each: all runs cost little more than the last."""
    while crop < canvas:
        doubled = 2 * crop**2
        crop = next((size for size in _crops(canvas) if size**2 >= doubled), canvas)
        yield crop
