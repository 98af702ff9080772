"""Prediction of the sides of a puzzle's outputs from its inputs."""

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from augment.puzzle import MAX_SIDE, Puzzle
from augment.symmetries import NUM_COLOURS

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
