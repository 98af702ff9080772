"""Random draws of distinct variants of one puzzle."""

from collections.abc import Iterable, Sequence
from itertools import accumulate, pairwise

import numpy as np

from augment.builder_draws import TRIES_PER_VARIANT
from augment.puzzle import Grid, Puzzle
from augment.variants import (
    IDENTITY,
    NUM_COLOURS,
    NUM_DIHEDRALS,
    Variant,
    apply_dihedral,
)

_UNMOVED = bytes(range(NUM_COLOURS, 256))
# Above every colour, so that recolouring does not change the sizes of grids.
_SIZE_BASE = 100


def draw_variants(puzzle: Puzzle, num: int, seed: int) -> tuple[Variant, ...]:
    """Draw up to `num` variants, the identity first, no two with the same effect on the puzzle.

    The draw depends only on the seed and the demonstrations. A symmetric puzzle may have fewer
    variants than asked for.

    Raises: ValueError when `num` is below 1 or `seed` negative.

    Source: the data set builders of HRM and TRM (uniform draws, up to 5 tries a variant).
    """
    if num < 1:
        raise ValueError(f"{num} variants; ask for at least 1")
    if seed < 0:
        raise ValueError(f"seed {seed} is negative; give 0 or more")
    examples: list[tuple[Grid, ...]] = [(pair.input, pair.output) for pair in puzzle.train]
    examples += [(grid,) for grid in puzzle.test]
    footprints = Footprints(examples)
    generator = np.random.default_rng([seed, int(puzzle.demonstrations_hash, 16)])
    drawn = [IDENTITY]
    seen = {footprints.of(IDENTITY.dihedral, bytes(IDENTITY.palette))}
    for _ in range(TRIES_PER_VARIANT * num):
        if len(drawn) == num:
            break
        dihedral = int(generator.integers(NUM_DIHEDRALS))
        palette = (0, *(generator.permutation(NUM_COLOURS - 1) + 1).tolist())
        footprint = footprints.of(dihedral, bytes(palette))
        if footprint not in seen:
            seen.add(footprint)
            drawn.append(Variant(dihedral, palette))
    return tuple(drawn)


class Footprints:
    """Fingerprints of variants of a puzzle, by the examples that they produce.

    All cells of all examples form one byte string for each symmetry, so that a variant costs one
    translation of bytes and one sort of its examples.
    """

    def __init__(self, examples: Iterable[Sequence[Grid]]) -> None:
        examples = [tuple(grids) for grids in examples]
        self._turned = tuple(
            b"".join(_example_bytes(grids, dihedral) for grids in examples)
            for dihedral in range(NUM_DIHEDRALS)
        )
        ends = accumulate(len(_example_bytes(grids, 0)) for grids in examples)
        self._spans = tuple(slice(*span) for span in pairwise((0, *ends)))

    def of(self, dihedral: int, palette: bytes) -> bytes:
        """Return the footprint of a variant: equal for variants with equal sets of examples."""
        moved = self._turned[dihedral].translate(palette + _UNMOVED)
        # The sizes in each example determine where it ends, so joining is unambiguous.
        return b"".join(sorted([moved[span] for span in self._spans]))


def _example_bytes(grids: Sequence[Grid], dihedral: int) -> bytes:
    parts = [bytes([_SIZE_BASE + len(grids)])]
    for grid in grids:
        cells = apply_dihedral(grid.cells, dihedral)
        parts.append(bytes(_SIZE_BASE + side for side in cells.shape) + cells.tobytes())
    return b"".join(parts)
