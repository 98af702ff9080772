"""Random draws of distinct variants: of one puzzle, and of a whole data set as TRM drew them."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import accumulate, pairwise
from pathlib import Path

import numpy as np

from augment.puzzle import Grid, Puzzle, Task
from augment.task_files import read_challenges
from augment.variants import (
    BLANK_NAME,
    IDENTITY,
    IDENTITY_PALETTE,
    NUM_COLOURS,
    NUM_DIHEDRALS,
    Dialect,
    Variant,
    apply_dihedral,
)

TRIES_PER_VARIANT = 5
_UNMOVED = bytes(range(NUM_COLOURS, 256))
# Above every colour, so that recolouring does not change the sizes of grids.
_SIZE_BASE = 100
# What TRM's builder uses for a test output that it is not given.
_NO_OUTPUT = Grid(np.zeros((1, 1), dtype=np.uint8))


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


def replay_trm(
    prefix: str,
    subsets: Sequence[str],
    num_variants: int = 1000,
    seed: int = 42,
    progress: Callable[[int, int], None] | None = None,
) -> list[str]:
    """Return the names of all rows of a published TRM table, the blank row's first.

    TRM's checkpoints come without that list. Its order follows from the data files and numpy's
    legacy generator, so the data set builder can be replayed.

    Reads `<prefix>_<subset>_challenges.json` and, where there is one,
    `<prefix>_<subset>_solutions.json`. Each task gets its bare name and up to `num_variants`
    more. `progress` receives the number of tasks done and of all tasks.

    Raises: TaskFileError, PuzzleError.

    Source: TRM, dataset/build_arc_dataset.py.
    """
    # Only the legacy generator gives the published order.
    random = np.random.RandomState(seed)
    tasks_of = [_read_subset(f"{prefix}_{subset}") for subset in subsets]
    num_tasks = sum(map(len, tasks_of))
    num_done = 0
    # A repeated name keeps its first row.
    names = {BLANK_NAME: None}
    for tasks in tasks_of:
        # A shuffled list of numbers draws as much as the builder's shuffled list of tasks does.
        order = list(range(len(tasks)))
        random.shuffle(order)
        for index in order:
            names.update(dict.fromkeys(_names(tasks[index], num_variants, random)))
            num_done += 1
            if progress is not None:
                progress(num_done, num_tasks)
    return list(names)


def _read_subset(stem: str) -> tuple[Task, ...]:
    solutions = Path(f"{stem}_solutions.json")
    return read_challenges(f"{stem}_challenges.json", solutions if solutions.exists() else None)


def _names(task: Task, num_variants: int, random: np.random.RandomState) -> Iterator[str]:
    puzzle = task.puzzle
    examples = [(pair.input, pair.output) for pair in puzzle.train]
    examples += [
        (grid, _NO_OUTPUT if output is None else output)
        for grid, output in zip(puzzle.test, task.expected, strict=True)
    ]
    footprints = Footprints(examples)
    seen = {footprints.of(0, bytes(IDENTITY_PALETTE))}
    between = Dialect.TRM.separator
    colours = np.arange(1, NUM_COLOURS, dtype=np.uint8)
    yield puzzle.name
    for _ in range(TRIES_PER_VARIANT * num_variants):
        if len(seen) > num_variants:
            return
        dihedral = random.randint(0, 8)
        palette = b"\0" + random.permutation(colours).tobytes()
        footprint = footprints.of(dihedral, palette)
        if footprint not in seen:
            seen.add(footprint)
            yield f"{puzzle.name}{between}t{dihedral}{between}{''.join(map(str, palette))}"
