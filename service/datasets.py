"""Puzzles to training arrays: demonstrations of every variant, laid on the canvas."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from augment import BLANK_NAME, Dialect, Puzzle, Variant, draw_variants, encode
from hrm_core import TrainingArrays
from service.errors import DatasetError


@dataclass(frozen=True, slots=True)
class Dataset:
    """Training arrays and the names of their rows (row 0 is blank)."""

    arrays: TrainingArrays
    identifiers: tuple[str, ...]
    puzzles: tuple[Puzzle, ...]


def fits_canvas(puzzle: Puzzle, canvas: int) -> bool:
    """Tell whether every demonstration and test input fits; test outputs are not looked at."""
    return all(max(grid.size) <= canvas for grid in puzzle.grids)


def build_dataset(
    puzzles: Sequence[Puzzle],
    canvas: int,
    num_variants: int,
    seed: int,
    dialect: Dialect = Dialect.HRM,
) -> Dataset:
    """Lay out the demonstrations of up to `num_variants` distinct variants of each puzzle.

    Rows are numbered from 1, puzzle by puzzle, the untransformed variant first. A `Puzzle` has no
    test outputs, so none can get in.

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
            f"puzzle name {foreign!r} holds {Dialect.TRM.separator!r}, which marks TRM's names of "
            "variants, so no row of the checkpoint could be told from it; rename it"
        )
    inputs, labels, room = [], [], []
    identifiers = [BLANK_NAME]
    variant_starts, group_starts = [0], [0]
    for puzzle in puzzles:
        variants = draw_variants(puzzle, num_variants, seed)
        for variant in variants:
            identifiers.append(dialect.name(puzzle.name, variant))
            pair_inputs, pair_labels, pair_room = _lay_out(puzzle, variant, canvas)
            inputs.append(pair_inputs)
            labels.append(pair_labels)
            room.append(pair_room)
            variant_starts.append(variant_starts[-1] + len(pair_inputs))
        group_starts.append(group_starts[-1] + len(variants))
    arrays = TrainingArrays(
        canvas=canvas,
        inputs=np.concatenate(inputs),
        labels=np.concatenate(labels),
        room=np.concatenate(room),
        rows=np.arange(1, len(identifiers), dtype=np.int64),
        variant_starts=np.array(variant_starts, dtype=np.int64),
        group_starts=np.array(group_starts, dtype=np.int64),
    )
    return Dataset(arrays, tuple(identifiers), tuple(puzzles))


def _lay_out(
    puzzle: Puzzle, variant: Variant, canvas: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    pairs = [(variant.apply(p.input.cells), variant.apply(p.output.cells)) for p in puzzle.train]
    room = [canvas - np.maximum(source.shape, target.shape) for source, target in pairs]
    return (
        encode([source for source, _ in pairs], canvas).astype(np.uint8),
        encode([target for _, target in pairs], canvas).astype(np.uint8),
        np.array(room, dtype=np.uint8),
    )
