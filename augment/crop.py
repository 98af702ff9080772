"""Crops: the top-left square of the canvas that a puzzle's grids need."""

from collections.abc import Iterator
from dataclasses import dataclass

from augment.errors import CanvasError
from augment.puzzle import MAX_SIDE, Puzzle
from augment.side_rules import Size, predict_sizes

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
