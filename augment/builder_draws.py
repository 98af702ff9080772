"""The random draws of HRM's and TRM's data set builders, computed a thousand at a time.

Both builders draw from numpy's legacy generator, one variant after another. The generator is a
stream of 32-bit numbers, so a state of it is a place in that stream, and what the builder draws
from there on can be read off whole arrays.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from augment.puzzle import MAX_SIDE, Grid
from augment.variants import (
    IDENTITY_PALETTE,
    NUM_COLOURS,
    NUM_DIHEDRALS,
    Dialect,
    Variant,
    apply_dihedral,
)

TRIES_PER_VARIANT = 5
_BLOCK = 1 << 16
# A try takes 11.2 numbers on average.
_NUMBERS_PER_TRY = 12
# A shuffle of n positions draws one number up to n - 1, one up to n - 2, and so on.
_SHUFFLE_BOUNDS = range(NUM_COLOURS - 2, 0, -1)
_SUM_SEED = 0


@dataclass(frozen=True, slots=True)
class Tries:
    """Consecutive tries of a builder: a symmetry and a permutation of the colours each.

    Shapes: dihedrals uint8 [T]; palettes uint8 [T, 10]; ends int64 [T], the places in the stream
    behind each.
    """

    dihedrals: npt.NDArray[np.uint8]
    palettes: npt.NDArray[np.uint8]
    ends: npt.NDArray[np.int64]


class BuilderDraws:
    """The stream of one seed; places in it are counted from its beginning."""

    def __init__(self, seed: int) -> None:
        self._random = np.random.RandomState(seed)
        self._stream = np.empty(0, dtype=np.uint32)

    def shuffle(self, place: int, num: int) -> tuple[list[int], int]:
        """Return how a list of `num` entries is shuffled, and the place behind."""
        order = list(range(num))
        for bound in range(num - 1, 0, -1):
            mask = _mask(bound)
            while (drawn := int(self._read(place, 1)[0]) & mask) > bound:
                place += 1
            place += 1
            order[bound], order[drawn] = order[drawn], order[bound]
        return order, place

    def tries(self, place: int, num: int) -> Tries:
        """Return the `num` tries from a place on: an integer below 8, then a permutation each."""
        size = num * _NUMBERS_PER_TRY + _NUMBERS_PER_TRY**2
        while True:
            numbers = self._read(place, size)
            accepted = [_next_accepted(numbers, bound) for bound in _SHUFFLE_BOUNDS]
            starts = _chain(accepted, size, num)
            if len(starts) == num + 1:
                break
            size *= 2
        position = (starts[:-1] + 1).astype(np.int32)
        palettes = np.empty((num, NUM_COLOURS), dtype=np.uint8)
        palettes[:] = IDENTITY_PALETTE
        every = np.arange(num)
        for bound, following in zip(_SHUFFLE_BOUNDS, accepted, strict=True):
            position = following[position]
            # Colour 0 is not shuffled: positions are one higher than in the shuffled part.
            drawn = (numbers[position] & _mask(bound)).astype(np.intp) + 1
            moved = palettes[every, drawn]
            palettes[every, drawn] = palettes[:, bound + 1]
            palettes[:, bound + 1] = moved
            position += 1
        dihedrals = (numbers[starts[:-1]] & (NUM_DIHEDRALS - 1)).astype(np.uint8)
        return Tries(dihedrals, palettes, place + starts[1:])

    def _read(self, place: int, num: int) -> npt.NDArray[np.uint32]:
        while len(self._stream) < place + num:
            grown = max(_BLOCK, len(self._stream) // 2)
            more = self._random.randint(0, 2**32, size=grown, dtype=np.uint32)
            self._stream = np.concatenate((self._stream, more))
        return self._stream[place : place + num]


def _mask(bound: int) -> int:
    """Return the mask that leaves as many bits of a number as the bound has."""
    return int((1 << bound.bit_length()) - 1)


def _next_accepted(numbers: npt.NDArray[np.uint32], bound: int) -> npt.NDArray[np.int32]:
    """Return the first position, from each on, with a masked number not above the bound.

    Shapes: [n] to [n + 2]; n where there is none.
    """
    size = len(numbers)
    positions = np.arange(size + 2, dtype=np.int32)
    positions[size:] = size
    if _mask(bound) != bound:
        positions[:size][(numbers & _mask(bound)) > bound] = size
        positions = np.minimum.accumulate(positions[::-1])[::-1]
    return positions


def _chain(accepted: Sequence[npt.NDArray[np.int32]], size: int, num: int) -> npt.NDArray[np.int64]:
    """Return where tries begin, from position 0 on: up to `num`, and the end of the last."""
    after = np.arange(1, size + 1, dtype=np.int32)
    for following in accepted:
        after = np.minimum(following[after] + 1, size + 1)
    following_try = after.tolist()
    starts = [0]
    while len(starts) <= num:
        start = following_try[starts[-1]] if starts[-1] < size else size + 1
        if start > size:
            break
        starts.append(start)
    return np.array(starts)


class VariantSums:
    """Sums that are equal for variants with the same effect on a set of examples.

    A grid's sum has a random 64-bit weight for each cell's position times one for its colour, so
    that the sums of a thousand variants are a few products of small arrays. Two effects share a sum
    by chance in one of 10^10 data sets.
    """

    def __init__(self, examples: Iterable[Sequence[Grid]]) -> None:
        random = np.random.default_rng(_SUM_SEED)
        cells, colours = (
            random.integers(2**64, size=size, dtype=np.uint64) | np.uint64(1)
            for size in ((2, MAX_SIDE, MAX_SIDE), NUM_COLOURS)
        )
        examples = [tuple(grids) for grids in examples]
        self._weights = np.zeros((NUM_DIHEDRALS, len(examples), NUM_COLOURS), dtype=np.uint64)
        for index, grids in enumerate(examples):
            for grid, weights in zip(grids, cells, strict=True):
                for dihedral in range(NUM_DIHEDRALS):
                    turned = apply_dihedral(grid.cells, dihedral)
                    height, width = turned.shape
                    sums = self._weights[dihedral, index]
                    np.add.at(sums, turned, weights[:height, :width])
        self._colours = colours

    def of(
        self, dihedrals: npt.NDArray[np.uint8], palettes: npt.NDArray[np.uint8]
    ) -> npt.NDArray[np.uint64]:
        """Return a sum for each variant.

        Shapes: [V] and [V, 10] to [V].
        """
        coloured = self._colours[palettes]
        of_examples = np.zeros((len(dihedrals), self._weights.shape[1]), dtype=np.uint64)
        for colour in range(NUM_COLOURS):
            of_examples += self._weights[dihedrals, :, colour] * coloured[:, colour, None]
        # Mixed before they are added: the examples are a set, and each stays one.
        mixed = (of_examples ^ (of_examples >> np.uint64(29))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(32))) * np.uint64(0x94D049BB133111EB)
        sums: npt.NDArray[np.uint64] = (mixed ^ (mixed >> np.uint64(29))).sum(1, dtype=np.uint64)
        return sums


@dataclass(frozen=True, slots=True)
class VariantGroup:
    """The variants that a builder drew for a puzzle, besides the untransformed one.

    `end` is the place in the stream behind the last try.

    Shapes: dihedrals uint8 [V]; palettes uint8 [V, 10].
    """

    dihedrals: npt.NDArray[np.uint8]
    palettes: npt.NDArray[np.uint8]
    end: int

    def variant(self, index: int) -> Variant:
        """Return one of the variants."""
        return Variant(int(self.dihedrals[index]), tuple(self.palettes[index].tolist()))

    def names(self, puzzle_name: str, dialect: Dialect) -> list[str]:
        """Return the names of all rows of the puzzle, the bare one first."""
        digits = (self.palettes + ord("0")).tobytes().decode("ascii")
        between = dialect.separator
        return [puzzle_name] + [
            f"{puzzle_name}{between}t{dihedral}{between}{digits[start : start + NUM_COLOURS]}"
            for dihedral, start in zip(
                self.dihedrals.tolist(), range(0, len(digits), NUM_COLOURS), strict=True
            )
        ]


def draw_group(
    draws: BuilderDraws, place: int, sums: VariantSums, num_variants: int
) -> VariantGroup:
    """Draw a puzzle's variants as the builders do, from a place in the stream on.

    There are up to five tries for each of `num_variants`; one with an effect that is there already
    is dropped.

    Source: HRM and TRM, dataset/build_arc_dataset.py.
    """
    max_tries = TRIES_PER_VARIANT * num_variants
    seen = sums.of(np.zeros(1, np.uint8), np.array([IDENTITY_PALETTE], dtype=np.uint8))
    dihedrals, palettes = np.empty(0, np.uint8), np.empty((0, NUM_COLOURS), np.uint8)
    num_tries = 0
    while len(dihedrals) < num_variants and num_tries < max_tries:
        num_missing = num_variants - len(dihedrals)
        # A few more than are missing: most puzzles have some that are dropped.
        num = min(num_missing + num_missing // 8 + 8, max_tries - num_tries)
        tries = draws.tries(place, num)
        new = sums.of(tries.dihedrals, tries.palettes)
        _, first = np.unique(new, return_index=True)
        kept = np.sort(first[~np.isin(new[first], seen)])[:num_missing]
        seen = np.concatenate((seen, new[kept]))
        dihedrals = np.concatenate((dihedrals, tries.dihedrals[kept]))
        palettes = np.concatenate((palettes, tries.palettes[kept]))
        # Once there are enough, the builder stops behind the last one that it kept.
        last = kept[-1] if len(kept) == num_missing else num - 1
        place, num_tries = int(tries.ends[last]), num_tries + num
    return VariantGroup(dihedrals, palettes, place)
