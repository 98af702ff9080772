"""Datasets: training arrays of puzzles in variants, and the demonstrations that are held out."""

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from augment import BLANK_NAME, Dialect, Puzzle, Variant, choose_crop, draw_variants, encode
from hrm_core import CheckedExamples, TrainingArrays
from service.wire.errors import DatasetError

# A demonstration is held out only where a puzzle has so many different ones.
MIN_DEMONSTRATIONS = 3
# A check of so many examples costs as much as a few steps of training.
MAX_CHECKED = 128
MAX_CHECKED_VARIANTS = 16


@dataclass(frozen=True, slots=True)
class Dataset:
    """Training arrays of each size, and the names of their rows (row 0 is blank).

    `groups` are the puzzles of each of the arrays, in their order.
    """

    arrays: tuple[TrainingArrays, ...]
    groups: tuple[tuple[Puzzle, ...], ...]
    identifiers: tuple[str, ...]
    puzzles: tuple[Puzzle, ...]

    def puzzles_within(self, max_crop: int | None) -> list[Puzzle]:
        """Return the puzzles of the arrays that a run with this `max_crop` trains."""
        return [
            puzzle
            for arrays, group in zip(self.arrays, self.groups, strict=True)
            for puzzle in group
            if max_crop is None or arrays.canvas <= max_crop
        ]


def build_dataset(
    puzzles: Sequence[Puzzle],
    canvas: int,
    num_variants: int,
    seed: int,
    *,
    crop: bool = False,
) -> Dataset:
    """Encode the demonstrations of up to `num_variants` distinct variants of each puzzle.

    With `crop` a puzzle's examples use the part of the canvas that `choose_crop` returns. Rows are
    numbered from 1, puzzle by puzzle, the untransformed variant first. A `Puzzle` has no test
    outputs, so none can leak in.

    Raises: DatasetError for no puzzles, two of one name, or a name in TRM's dialect; CanvasError
    when a grid does not fit.
    """
    if not puzzles:
        raise DatasetError("there is no puzzle to train on: give other tasks or a larger canvas")
    names = [puzzle.name for puzzle in puzzles]
    if len(set(names)) != len(names):
        doubled = sorted({name for name in names if names.count(name) > 1})
        raise DatasetError(f"two puzzles of one name: {', '.join(doubled[:5])}")
    if Dialect.of(names) is Dialect.TRM:
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
        identifiers += [Dialect.HRM.name(puzzle.name, variant) for variant in variants]
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


@dataclass(frozen=True, slots=True)
class HeldOut:
    """The index of the held-out demonstration of each puzzle, by name; `note` describes it."""

    indices: Mapping[str, int]
    note: str

    @classmethod
    def nothing(cls) -> "HeldOut":
        """Hold nothing out."""
        return cls({}, "no demonstration is held out, as requested")

    def mark(self, dataset: Dataset) -> list[npt.NDArray[np.bool_]]:
        """Mark the held-out examples of all variants.

        Shapes: bool [E] for each of the dataset's arrays.
        """
        marks = []
        for arrays, puzzles in zip(dataset.arrays, dataset.groups, strict=True):
            marked = np.zeros(len(arrays.inputs), bool)
            for group, puzzle in enumerate(puzzles):
                if puzzle.name in self.indices:
                    marked[_starts(arrays, group) + self.indices[puzzle.name]] = True
            marks.append(marked)
        return marks

    def checked(self, dataset: Dataset) -> list[CheckedExamples]:
        """List the held-out examples that are checked: those of the first few variants."""
        return _checked_examples(
            dataset,
            {puzzle.name for puzzle in dataset.puzzles if puzzle.name in self.indices},
            lambda arrays, group, name: _starts(arrays, group) + self.indices[name],
        )

    def practised(self, dataset: Dataset) -> list[CheckedExamples]:
        """List the demonstrations that are checked of puzzles with none held out."""
        return _checked_examples(
            dataset,
            {puzzle.name for puzzle in dataset.puzzles if puzzle.name not in self.indices},
            lambda arrays, group, _: np.arange(*arrays.variant_starts[_span(arrays, group)]),
        )


def _checked_examples(
    dataset: Dataset,
    names: Set[str],
    examples_of: Callable[[TrainingArrays, int, str], npt.NDArray[np.int64]],
) -> list[CheckedExamples]:
    """List the first few of the examples of each puzzle that is named."""
    limit = max(1, min(MAX_CHECKED_VARIANTS, MAX_CHECKED // max(1, len(names))))
    found = []
    for arrays, puzzles in zip(dataset.arrays, dataset.groups, strict=True):
        parts = {
            puzzle.name: examples_of(arrays, group, puzzle.name)[:limit]
            for group, puzzle in enumerate(puzzles)
            if puzzle.name in names
        }
        indices = np.concatenate([np.empty(0, np.int64), *parts.values()])
        labels = tuple(name for name, part in parts.items() for _ in part)
        found.append(CheckedExamples(arrays, indices, labels))
    return found


def _span(arrays: TrainingArrays, group: int) -> npt.NDArray[np.int64]:
    """Return the first variant of a puzzle, and the first of the next."""
    return arrays.group_starts[group : group + 2]


def _starts(arrays: TrainingArrays, group: int) -> npt.NDArray[np.int64]:
    """Return the first example of each variant of a puzzle."""
    first, last = _span(arrays, group)
    return arrays.variant_starts[first:last]


def hold_out(puzzles: Sequence[Puzzle], seed: int) -> HeldOut:
    """Choose a demonstration of each puzzle that has three different ones, by seed and content."""
    indices = {}
    for puzzle in puzzles:
        times = Counter(puzzle.train)
        single = [index for index, pair in enumerate(puzzle.train) if times[pair] == 1]
        if len(times) >= MIN_DEMONSTRATIONS and single:
            key = f"{seed} {puzzle.demonstrations_hash}".encode()
            drawn = int.from_bytes(hashlib.sha256(key).digest()[:8], "big")
            indices[puzzle.name] = single[drawn % len(single)]
    if not indices:
        return HeldOut(
            indices,
            "nothing is held out for checks: that takes three different demonstrations, one of "
            "them given once",
        )
    note = f"held out until the last phase: one demonstration each of {len(indices)} puzzle(s)"
    if len(indices) < len(puzzles):
        note += f"; {len(puzzles) - len(indices)} have fewer than three different ones"
    return HeldOut(indices, note)
