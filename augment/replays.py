"""Replays of the data set builders of HRM and TRM, which name the rows of published tables.

Both builders number their rows in the order in which they meet the variants. TRM's reads files that
have an order. HRM's takes folders and files as the file system lists them, so its order is one of
several, and only a table can decide between them.
"""

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import Literal, TypeVar

import numpy as np

from augment.builder_draws import BuilderDraws, VariantGroup, VariantSums, draw_group
from augment.errors import TaskFileError
from augment.puzzle import Grid, Task
from augment.task_files import read_challenges, read_task
from augment.variants import BLANK_NAME, Dialect

# What TRM's builder uses for a test output that it is not given.
_NO_OUTPUT = Grid(np.zeros((1, 1), dtype=np.uint8))
_JSON_SUFFIX = ".json"

Listing = Literal["reversed", "sorted", "listed"]
# A folder written in alphabetical order is listed in reverse by some file systems in memory.
LISTINGS: tuple[Listing, ...] = ("reversed", "sorted", "listed")
T = TypeVar("T")


@dataclass(frozen=True)
class BuilderTask:
    """A task as a builder reads it; `stem` is the file's name, which the listing goes by."""

    stem: str
    task: Task

    @cached_property
    def sums(self) -> VariantSums:
        """The sums by which variants with the same effect on the task are found."""
        puzzle = self.task.puzzle
        examples = [(pair.input, pair.output) for pair in puzzle.train]
        examples += [
            (grid, _NO_OUTPUT if output is None else output)
            for grid, output in zip(puzzle.test, self.task.expected, strict=True)
        ]
        return VariantSums(examples)


@dataclass(frozen=True, slots=True)
class TaskFolder:
    """A folder of task files, in the order in which the builder meets them."""

    name: str
    tasks: tuple[BuilderTask, ...]


class BuilderReplay:
    """A replay of a builder, with up to `num_variants` of each task besides its bare name."""

    def __init__(self, num_variants: int = 1000, seed: int = 42) -> None:
        self.num_variants, self.seed = num_variants, seed
        self._draws = BuilderDraws(seed)

    def shuffle(self, place: int, num: int) -> tuple[list[int], int]:
        """Return how a folder of `num` files is shuffled, and the place in the stream behind."""
        return self._draws.shuffle(place, num)

    def draw(self, task: BuilderTask, place: int) -> VariantGroup:
        """Draw the variants of a task, from a place in the stream on."""
        return draw_group(self._draws, place, task.sums, self.num_variants)

    def names(
        self,
        folders: Iterable[Sequence[BuilderTask]],
        dialect: Dialect,
        progress: Callable[[], None] = lambda: None,
    ) -> list[str]:
        """Return the names of all rows, the blank row's first; `progress` is called for each task.

        Each folder's tasks are shuffled, and then drawn one after another.
        """
        place = 0
        # A repeated name keeps its first row.
        names = {BLANK_NAME: None}
        for folder in folders:
            order, place = self.shuffle(place, len(folder))
            for index in order:
                group = self.draw(folder[index], place)
                place = group.end
                names |= dict.fromkeys(group.names(folder[index].task.puzzle.name, dialect))
                progress()
        return list(names)


def replay_trm(
    prefix: str,
    subsets: Sequence[str],
    num_variants: int = 1000,
    seed: int = 42,
    progress: Callable[[int, int], None] | None = None,
    *,
    first_row: int = 1,
) -> list[str]:
    """Return the names of all rows of a published TRM table, the blank row's first.

    TRM's checkpoints come without that list. Its order follows from the data files and numpy's
    legacy generator, so the data set builder can be replayed.

    Reads `<prefix>_<subset>_challenges.json` and, where there is one,
    `<prefix>_<subset>_solutions.json`. Each task gets its bare name and up to `num_variants`
    more. `progress` receives the number of tasks done and of all tasks. Rows before `first_row`,
    the builder's `puzzle_identifiers_start`, have the blank name: other data sets may use them.

    Raises: TaskFileError, PuzzleError.

    Source: TRM, dataset/build_arc_dataset.py.
    """
    folders = [
        [BuilderTask(task.puzzle.name, task) for task in _read_subset(f"{prefix}_{subset}")]
        for subset in subsets
    ]
    num_tasks = sum(map(len, folders))
    num_done = 0

    def count() -> None:
        nonlocal num_done
        num_done += 1
        if progress is not None:
            progress(num_done, num_tasks)

    _, *names = BuilderReplay(num_variants, seed).names(folders, Dialect.TRM, count)
    return [BLANK_NAME] * first_row + names


def _read_subset(stem: str) -> tuple[Task, ...]:
    solutions = Path(f"{stem}_solutions.json")
    return read_challenges(f"{stem}_challenges.json", solutions if solutions.exists() else None)


def read_task_folders(path: Path) -> tuple[TaskFolder, ...]:
    """Read a folder of folders of task files, such as HRM's `ARC-AGI-2/data`, as it is listed.

    Raises: TaskFileError, PuzzleError; NotADirectoryError.
    """
    with os.scandir(path) as entries:
        subfolders = [Path(entry.path) for entry in entries if entry.is_dir()]
    folders = []
    for subfolder in subfolders:
        with os.scandir(subfolder) as entries:
            files = [Path(entry.path) for entry in entries if _is_task_file(entry.name)]
        tasks = tuple(BuilderTask(file.stem, read_task(file)) for file in files)
        folders.append(TaskFolder(subfolder.name, tasks))
    if not any(folder.tasks for folder in folders):
        problem = "holds no folders of .json tasks; give one such as ARC-AGI-2/data"
        raise TaskFileError(str(path), problem)
    return tuple(folders)


def _is_task_file(name: str) -> bool:
    return name.endswith(_JSON_SUFFIX) and not name.startswith(".")


@dataclass(frozen=True, slots=True)
class Arrangement:
    """A plausible order of folders and files for HRM's builder, and what it is called."""

    description: str
    folders: tuple[TaskFolder, ...]

    @property
    def tasks(self) -> list[tuple[BuilderTask, ...]]:
        """The tasks of each folder, in order."""
        return [folder.tasks for folder in self.folders]


def plausible_arrangements(sources: Sequence[Sequence[TaskFolder]]) -> list[Arrangement]:
    """Return the different orders that sorting, reversing and listing give; sources stay in order.

    Folders and files may differ in theirs: the file system decides it for each folder.
    """
    found: dict[tuple[tuple[str, tuple[str, ...]], ...], Arrangement] = {}
    for of_folders, of_files in product(LISTINGS, LISTINGS):
        folders = tuple(
            TaskFolder(folder.name, _arrange(folder.tasks, of_files, lambda task: task.stem))
            for source in sources
            for folder in _arrange(source, of_folders, lambda folder: folder.name)
        )
        key = tuple((folder.name, tuple(task.stem for task in folder.tasks)) for folder in folders)
        first = ", ".join(dict.fromkeys(folder.name for folder in folders[:2]))
        description = f"folders {of_folders} ({first} first), files {of_files}"
        found.setdefault(key, Arrangement(description, folders))
    return list(found.values())


def _arrange(entries: Sequence[T], listing: Listing, name: Callable[[T], str]) -> tuple[T, ...]:
    if listing == "listed":
        return tuple(entries)
    return tuple(sorted(entries, key=name, reverse=listing == "reversed"))
