"""Replay of TRM's data set builder, which gives the names of its table's rows.

The published TRM checkpoints come without their list of names. Its order follows from the data
files and numpy's legacy generator, so it can be computed again.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from augment.drawing import TRIES_PER_VARIANT, Footprints
from augment.names import BLANK_NAME, Dialect
from augment.puzzle import Grid, Task
from augment.symmetries import IDENTITY_PALETTE, NUM_COLOURS
from augment.task_files import read_challenges

# What the builder uses for a test output that it is not given.
_NO_OUTPUT = Grid(np.zeros((1, 1), dtype=np.uint8))


def replay_trm(
    prefix: str,
    subsets: Sequence[str],
    num_variants: int = 1000,
    seed: int = 42,
    progress: Callable[[int, int], None] | None = None,
) -> list[str]:
    """Return the names of all rows of the table, the blank row's first.

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


def _names(
    task: Task,
    num_variants: int,
    random: np.random.RandomState,
) -> Iterator[str]:
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
