"""Branches of a recovery: orders of tasks, and how well a table agrees with them."""

import math
from pathlib import Path
from statistics import median
from typing import Self

import numpy as np
from pydantic import Field

from augment import VariantGroup, write_atomically
from service.wire.document import Document

# Where the variants of so many tasks in a row gain nothing, the right branch is lost.
NUM_WATCHED, MIN_STANDARD_ERRORS = 16, 3.0
# A task that gains less than this share of what others do is probably not at its place.
MIN_GAIN_SHARE = 0.7

# What the bare row of a task gains over rows at random, and what the rows of its variants gain.
Gains = tuple[float, float]


class Branch(Document):
    """An order of tasks up to some row.

    `folders` and `tasks` are indices, in order. `starts` and `rows` are where each task begins: in
    the builder's stream, and in the table; `place` and `row` are where the next one does.
    """

    folders: tuple[int, ...] = ()
    tasks: tuple[int, ...] = ()
    starts: tuple[int, ...] = ()
    rows: tuple[int, ...] = ()
    gains: tuple[Gains, ...] = ()
    place: int = 0
    row: int = 1

    @property
    def score(self) -> float:
        """The sum of all gains."""
        return math.fsum(map(math.fsum, self.gains))

    @property
    def is_lost(self) -> bool:
        """Whether the variants of the latest tasks gained nothing."""
        watched = np.array([of_variants for _, of_variants in self.gains[-NUM_WATCHED:]])
        if len(watched) < NUM_WATCHED:
            return False
        error = watched.std(ddof=1) / len(watched) ** 0.5
        return bool(watched.mean() < MIN_STANDARD_ERRORS * error)

    @property
    def is_doubtful(self) -> bool:
        """Whether the latest task gained clearly less than others did."""
        return self.num_doubtful(len(self.gains) - 1) > 0

    def num_doubtful(self, start: int = 0) -> int:
        """Count the tasks, from one on, that gained clearly less than others did."""
        sums = [math.fsum(both) for both in self.gains]
        return sum(one < MIN_GAIN_SHARE * median(sums) for one in sums[start:])

    def extended(
        self,
        folders: tuple[int, ...],
        task_index: int,
        start: int,
        group: VariantGroup,
        gains: Gains,
    ) -> Self:
        """Return the branch with one more task."""
        return self.model_copy(
            update={
                "folders": folders,
                "tasks": (*self.tasks, task_index),
                "starts": (*self.starts, start),
                "rows": (*self.rows, self.row),
                "gains": (*self.gains, gains),
                "place": group.end,
                "row": self.row + 1 + len(group.dihedrals),
            }
        )

    def replaced(self, position: int, task_index: int, gains: Gains) -> Self:
        """Return the branch with another task at a position, which leaves all others in place."""
        tasks, all_gains = list(self.tasks), list(self.gains)
        tasks[position], all_gains[position] = task_index, gains
        return self.model_copy(update={"tasks": tuple(tasks), "gains": tuple(all_gains)})

    def end_of(self, position: int) -> tuple[int, int]:
        """Return place and row behind a task."""
        if position + 1 < len(self.tasks):
            return self.starts[position + 1], self.rows[position + 1]
        return self.place, self.row


class RecoveryState(Document):
    """What an interrupted recovery continues from.

    `tried` has the gains of tasks on the bare rows of the present step, by row and task.
    """

    branches: tuple[Branch, ...] = (Branch(),)
    tried: dict[int, dict[int, float]] = Field(default_factory=dict)


class RecoveryFile(Document):
    """A state on disk, and what it is of: `identity` hashes the checkpoint and the tasks."""

    identity: str
    state: RecoveryState


def read_state(path: Path, identity: str) -> RecoveryState | None:
    """Read a kept state; None where there is none, or one of something else."""
    try:
        kept = RecoveryFile.model_validate_json(path.read_bytes())
    except (OSError, ValueError):
        return None
    return kept.state if kept.identity == identity else None


def write_state(path: Path, identity: str, state: RecoveryState) -> None:
    """Write a state in one move.

    Raises: OSError.
    """
    write_atomically(path, [RecoveryFile(identity=identity, state=state).model_dump_json()])
