"""Held-out demonstrations, which an adaptation is checked with while it runs."""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from augment import Puzzle
from hrm_core import TrainingArrays
from service.adaptation.dataset import Dataset

# A demonstration is held out only where a puzzle has so many different ones.
MIN_DEMONSTRATIONS = 3
# Each check costs as much as a few steps of training.
MAX_CHECKED = 128
MAX_CHECKED_VARIANTS = 16


@dataclass(frozen=True, slots=True)
class HeldOut:
    """The index of the held-out demonstration of each puzzle, by name; `note` describes it."""

    indices: Mapping[str, int]
    note: str

    @classmethod
    def nothing(cls) -> "HeldOut":
        """Hold nothing out."""
        return cls({}, "no demonstration is held out, as requested")

    def mark(
        self, dataset: Dataset
    ) -> tuple[list[npt.NDArray[np.bool_]], list[npt.NDArray[np.int64]]]:
        """Mark the held-out examples of all variants, and list those to check.

        Shapes: bool [E] and int64 [N] for each of the dataset's arrays.
        """
        left_out, checked = [], []
        for arrays, puzzles in zip(dataset.arrays, dataset.groups, strict=True):
            marked, of_part = self._mark(arrays, puzzles)
            left_out.append(marked)
            checked.append(of_part)
        return left_out, checked

    def _mark(
        self, arrays: TrainingArrays, puzzles: Sequence[Puzzle]
    ) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.int64]]:
        left_out = np.zeros(len(arrays.inputs), bool)
        checked: list[int] = []
        per_puzzle = max(1, min(MAX_CHECKED_VARIANTS, MAX_CHECKED // max(1, len(self.indices))))
        for group, puzzle in enumerate(puzzles):
            index = self.indices.get(puzzle.name)
            if index is not None:
                first, last = arrays.group_starts[group : group + 2]
                examples = arrays.variant_starts[first:last] + index
                left_out[examples] = True
                checked += examples[:per_puzzle].tolist()
        return left_out, np.array(checked, dtype=np.int64)


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
