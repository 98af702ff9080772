"""Datasets: training arrays from the demonstrations of every variant of puzzles."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from augment import BLANK_NAME, Dialect, Puzzle, Variant, choose_crop, draw_variants, encode
from hrm_core import TrainingArrays
from service.wire.errors import DatasetError


@dataclass(frozen=True, slots=True)
class Dataset:
    """Training arrays of each size, and the names of their rows (row 0 is blank).

    `groups` are the puzzles of each of the arrays, in their order.
    """

    arrays: tuple[TrainingArrays, ...]
    groups: tuple[tuple[Puzzle, ...], ...]
    identifiers: tuple[str, ...]
    puzzles: tuple[Puzzle, ...]


def build_dataset(
    puzzles: Sequence[Puzzle],
    canvas: int,
    num_variants: int,
    seed: int,
    dialect: Dialect = Dialect.HRM,
    *,
    crop: bool = False,
) -> Dataset:
    """Encode the demonstrations of up to `num_variants` distinct variants of each puzzle.

    With `crop` a puzzle's examples use the part of the canvas that `choose_crop` returns. Rows are
    numbered from 1, puzzle by puzzle, the untransformed variant first. A `Puzzle` has no test
    outputs, so none can leak in.

    Raises: DatasetError for no puzzles, two of one name, or a name in another dialect; CanvasError
    when a grid does not fit.
    """
    if not puzzles:
        raise DatasetError("there is no puzzle to train on: give other tasks or a larger canvas")
    names = [puzzle.name for puzzle in puzzles]
    if len(set(names)) != len(names):
        doubled = sorted({name for name in names if names.count(name) > 1})
        raise DatasetError(f"two puzzles of one name: {', '.join(doubled[:5])}")
    if dialect is not Dialect.TRM and Dialect.of(names) is Dialect.TRM:
        foreign = next(name for name in names if Dialect.of([name]) is Dialect.TRM)
        raise DatasetError(
            f"puzzle name {foreign!r} contains {Dialect.TRM.separator!r}, which marks variants in "
            "TRM's names, so rows of the checkpoint would be ambiguous; rename it"
        )
    identifiers = [BLANK_NAME]
    parts: dict[int, _Part] = {}
    for puzzle in puzzles:
        side = choose_crop(puzzle, canvas).size if crop else canvas
        variants = draw_variants(puzzle, num_variants, seed)
        parts.setdefault(side, _Part(side)).add(puzzle, variants, first_row=len(identifiers))
        identifiers += [dialect.name(puzzle.name, variant) for variant in variants]
    ordered = [parts[side] for side in sorted(parts)]
    return Dataset(
        arrays=tuple(part.arrays() for part in ordered),
        groups=tuple(tuple(part.puzzles) for part in ordered),
        identifiers=tuple(identifiers),
        puzzles=tuple(puzzles),
    )


class _Part:
    """The examples of one size, as they are collected."""

    def __init__(self, side: int) -> None:
        self.puzzles: list[Puzzle] = []
        self._side = side
        self._examples: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
        self._rows: list[int] = []
        self._group_starts = [0]

    def add(self, puzzle: Puzzle, variants: Sequence[Variant], first_row: int) -> None:
        self.puzzles.append(puzzle)
        self._examples += [_encode_pairs(puzzle, variant, self._side) for variant in variants]
        self._rows += range(first_row, first_row + len(variants))
        self._group_starts.append(len(self._rows))

    def arrays(self) -> TrainingArrays:
        inputs, labels, room = map(np.concatenate, zip(*self._examples, strict=True))
        num_examples = [len(inputs) for inputs, _, _ in self._examples]
        return TrainingArrays(
            canvas=self._side,
            inputs=inputs,
            labels=labels,
            room=room,
            rows=np.array(self._rows, dtype=np.int64),
            variant_starts=np.cumsum([0, *num_examples], dtype=np.int64),
            group_starts=np.array(self._group_starts, dtype=np.int64),
        )


def _encode_pairs(
    puzzle: Puzzle, variant: Variant, canvas: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    pairs = [(variant.apply(p.input.cells), variant.apply(p.output.cells)) for p in puzzle.train]
    room = [canvas - np.maximum(source.shape, target.shape) for source, target in pairs]
    return (
        encode([source for source, _ in pairs], canvas).astype(np.uint8),
        encode([target for _, target in pairs], canvas).astype(np.uint8),
        np.array(room, dtype=np.uint8),
    )
