"""Which demonstrations an adaptation keeps back, to tell how well it goes."""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from augment import Puzzle
from hrm_core import TrainingArrays
from service.adaptation.dataset import Dataset

# A demonstration is held out only where so many different ones are there.
LEAST_DEMONSTRATIONS = 3
# Each look costs as much as a few steps of training.
MAX_CHECKED = 128
MAX_CHECKED_VARIANTS = 16


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Which demonstration of each puzzle is held out, by name; `note` says it in a sentence."""

    places: Mapping[str, int]
    note: str

    @classmethod
    def nothing(cls) -> "HeldOut":
        """Hold nothing out, since nobody wants to know."""
        return cls({}, "no demonstration is held out, as asked")

    def mark(
        self, dataset: Dataset
    ) -> tuple[list[npt.NDArray[np.bool_]], list[npt.NDArray[np.int64]]]:
        """Mark the examples of all variants that are held out, and list those to be looked at.

        Shapes: bool [E] and int64 [N] for each of the dataset's arrays.
        """
        left_out, checked = [], []
        for arrays, puzzles in zip(dataset.arrays, dataset.groups, strict=True):
            marked, looked_at = self._mark(arrays, puzzles)
            left_out.append(marked)
            checked.append(looked_at)
        return left_out, checked

    def _mark(
        self, arrays: TrainingArrays, puzzles: Sequence[Puzzle]
    ) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.int64]]:
        left_out = np.zeros(len(arrays.inputs), bool)
        checked: list[int] = []
        per_puzzle = max(1, min(MAX_CHECKED_VARIANTS, MAX_CHECKED // max(1, len(self.places))))
        for group, puzzle in enumerate(puzzles):
            place = self.places.get(puzzle.name)
            if place is not None:
                first, last = arrays.group_starts[group : group + 2]
                examples = arrays.variant_starts[first:last] + place
                left_out[examples] = True
                checked += examples[:per_puzzle].tolist()
        return left_out, np.array(checked, dtype=np.int64)


def hold_out(puzzles: Sequence[Puzzle], seed: int) -> HeldOut:
    """Choose a demonstration of each puzzle that has three different ones, by seed and content."""
    places = {}
    for puzzle in puzzles:
        times = Counter(puzzle.train)
        single = [index for index, pair in enumerate(puzzle.train) if times[pair] == 1]
        if len(times) >= LEAST_DEMONSTRATIONS and single:
            key = f"{seed} {puzzle.demonstrations_hash}".encode()
            drawn = int.from_bytes(hashlib.sha256(key).digest()[:8], "big")
            places[puzzle.name] = single[drawn % len(single)]
    if not places:
        return HeldOut(
            places,
            "nothing is held out to check it by: that takes three different demonstrations, one of "
            "them given once",
        )
    note = f"held out until the last phase: one demonstration each of {len(places)} puzzle(s)"
    if len(places) < len(puzzles):
        note += f"; {len(puzzles) - len(places)} have fewer than three different ones"
    return HeldOut(places, note)
