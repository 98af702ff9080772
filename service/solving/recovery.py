"""Recovery of a table's names row by row, where no plausible order of the files explains it.

HRM's builder meets the tasks of a folder in an unknown order, but once a task is known to be next,
its variants and the row of the task after it follow. So the next bare row is tried with all tasks
that are left, and the best few are followed in branches. A wrong task draws another number of
tries, as a rule, after which its branch expects wrong variants everywhere and falls back. Where it
does not, its own row later finds nothing that fits, and the two are exchanged. At the end, tasks
that fit their rows least are tried at each other's places.
"""

import math
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import NamedTuple

import numpy as np

from augment import BLANK_NAME, BuilderReplay, BuilderTask, Dialect, TaskFolder, VariantGroup
from hrm_core import Engine
from service.solving.branches import NUM_WATCHED, Branch, Gains, RecoveryState
from service.solving.evidence import Evidence, Question
from service.wire.errors import AlignmentError

MAX_BRANCHES = 8
# Tasks that are followed of those tried on a bare row, and put in the place of another.
NUM_FINALISTS, NUM_REPLACEMENTS = 8, 3
# Variants of a finalist, spread over its rows.
NUM_VARIANTS_ASKED = 4
# Of all tasks in the end, so many that gained least are tried in the places of each other.
NUM_WEAKEST = 24
# Branches further behind the best one are dropped; a task gains about 1.5.
MAX_BEHIND = 1.0


@dataclass(frozen=True, slots=True)
class RecoveryProgress:
    """How far a recovery is: tasks named, and samples computed of those expected in all."""

    num_named: int
    num_asked: int
    num_expected: int


class _Choice(NamedTuple):
    """A task at a row, with the variants that it draws from a place in the builder's stream on."""

    task_index: int
    row: int
    place: int


class _Next(NamedTuple):
    """A choice that continues a branch."""

    branch: Branch
    folders: tuple[int, ...]
    choice: _Choice


class Recovery:
    """A beam search for the order of the tasks behind a table."""

    def __init__(
        self,
        engine: Engine,
        sources: Sequence[Sequence[TaskFolder]],
        builder: BuilderReplay,
        state: RecoveryState | None = None,
    ) -> None:
        """Start, or continue from a state.

        Raises: AlignmentError where a task does not fit the canvas, or two have one name.
        """
        self._tasks: list[BuilderTask] = []
        self._folders: list[range] = []
        self._sources: list[range] = []
        for source in sources:
            before = len(self._folders)
            for folder in source:
                first = len(self._tasks)
                self._tasks += folder.tasks
                self._folders.append(range(first, len(self._tasks)))
            self._sources.append(range(before, len(self._folders)))
        self._names = [task.task.puzzle.name for task in self._tasks]
        if len(set(self._names)) < len(self._names):
            raise AlignmentError("two tasks have one name, so their order cannot be recovered")
        self._evidence = Evidence(engine, [task.task.puzzle for task in self._tasks])
        self._num_rows = engine.checkpoint.rows.num_rows
        self._builder = builder
        self.state = state or RecoveryState()

    @property
    def num_tasks(self) -> int:
        """Number of tasks to name."""
        return len(self._tasks)

    @property
    def best(self) -> Branch:
        """The branch that the table agrees with best."""
        return self.state.branches[0]

    def run(self) -> Iterator[RecoveryProgress]:
        """Name task after task, yielding after every few batches; `state` is always usable.

        Raises: AlignmentError when the rows fit no order.
        """
        yield self._progress()
        while len(self.best.tasks) < self.num_tasks:
            state = self.state
            longer = yield from self._step()
            if longer[0].is_doubtful:
                exchanged = yield from self._exchange(state.branches)
                if exchanged:
                    branches = (*state.branches, *exchanged)
                    self.state = self.state.model_copy(update={"branches": branches})
                    longer = yield from self._step()
            self.state = RecoveryState(branches=longer)
            if self.best.is_lost:
                raise AlignmentError(self._lost_sentence())
            yield self._progress()
        if self.best.row != self._num_rows:
            raise AlignmentError(
                f"the best order has {self.best.row} names, but the table {self._num_rows} rows"
            )
        yield from self._exchange_pairs()

    def names(self) -> list[str]:
        """Return the names of all rows in the best branch's order."""
        names = [BLANK_NAME]
        for index, start in zip(self.best.tasks, self.best.starts, strict=True):
            names += self._draw(index, start).names(self._names[index], Dialect.HRM)
        return names

    def are_exchangeable(self, first: int, second: int) -> bool:
        """Whether two tasks of the best branch may be exchanged without moving any other."""
        branch = self.best
        tasks = branch.tasks[first], branch.tasks[second]
        folder = next(one for one in self._folders if tasks[0] in one)
        return tasks[1] in folder and all(
            (group.end, branch.rows[index] + 1 + len(group.dihedrals)) == branch.end_of(index)
            for index, task in ((first, tasks[1]), (second, tasks[0]))
            for group in [self._draw(task, branch.starts[index])]
        )

    def _step(self) -> Generator[RecoveryProgress, None, tuple[Branch, ...]]:
        """Return the best branches with one more task each."""
        nexts = [one for branch in self.state.branches for one in self._nexts(branch)]
        yield from self._try((one.choice.row, one.choice.task_index) for one in nexts)
        drawn = [
            (one, self._draw(one.choice.task_index, one.choice.place))
            for branch in self.state.branches
            for one in self._best([one for one in nexts if one.branch is branch])
        ]
        finalists = [
            (one, group)
            for one, group in drawn
            if one.choice.row + 1 + len(group.dihedrals) <= self._num_rows
        ]
        if not finalists:
            raise AlignmentError(
                f"after {len(self.best.tasks)} of {self.num_tasks} tasks none fits the "
                f"{self._num_rows} rows: these are not the tasks behind the table"
            )
        gains = yield from self._measure({one.choice: group for one, group in finalists})
        longer: dict[object, Branch] = {}
        for (branch, folders, choice), group in finalists:
            extended = branch.extended(
                folders, choice.task_index, choice.place, group, gains[choice]
            )
            # From here on branches like this one do the same: the best of them suffices.
            like = (extended.row, extended.place, folders, frozenset(extended.tasks))
            if like not in longer or longer[like].score < extended.score:
                longer[like] = extended
        ranked = sorted(longer.values(), key=lambda branch: -branch.score)
        kept = [one for one in ranked if one.score >= ranked[0].score - MAX_BEHIND]
        return tuple(kept[:MAX_BRANCHES])

    def _nexts(self, branch: Branch) -> list[_Next]:
        """Return the tasks that may be next: those left of the folder, or those of a next one."""
        left = self._left(branch)
        if left:
            return [
                _Next(branch, branch.folders, _Choice(index, branch.row, branch.place))
                for index in left
            ]
        for source in self._sources:
            following = [one for one in source if one not in branch.folders and self._folders[one]]
            if following:
                sizes = [len(self._folders[one]) for one in following]
                places = [self._builder.shuffle(branch.place, size)[1] for size in sizes]
                return [
                    _Next(branch, (*branch.folders, folder), _Choice(index, branch.row, place))
                    for folder, place in zip(following, places, strict=True)
                    for index in self._folders[folder]
                ]
        return []

    def _left(self, branch: Branch) -> list[int]:
        """Return the tasks of a branch's folder that it has not named."""
        if not branch.folders:
            return []
        used = set(branch.tasks)
        return [index for index in self._folders[branch.folders[-1]] if index not in used]

    def _best(self, nexts: list[_Next]) -> list[_Next]:
        tried = self.state.tried
        nexts.sort(key=lambda one: -tried[one.choice.row][one.choice.task_index])
        return nexts[:NUM_FINALISTS]

    def _try(self, wanted: Iterable[tuple[int, int]]) -> Iterator[RecoveryProgress]:
        """Try tasks on bare rows, with one demonstration each; `state.tried` has the gains."""
        tried = {row: dict(gains) for row, gains in self.state.tried.items()}
        missing = [
            Question(index, self._evidence.pairs_of(index)[0], row)
            for row, index in dict.fromkeys(wanted)
            if index not in tried.setdefault(row, {})
        ]
        num_done = 0
        for gains in self._evidence.gains(missing):
            for one, gain in zip(missing[num_done:], gains, strict=False):
                tried[one.row][one.puzzle_index] = gain
            num_done += len(gains)
            self.state = self.state.model_copy(update={"tried": tried})
            yield self._progress()

    def _measure(
        self, groups: dict[_Choice, VariantGroup]
    ) -> Generator[RecoveryProgress, None, dict[_Choice, Gains]]:
        """Return what the rows of each choice gain, by more demonstrations and some variants."""
        of_rows = {one: self._row_questions(one) for one in groups}
        of_variants = {one: self._variant_questions(one, group) for one, group in groups.items()}
        asked = list(
            dict.fromkeys(
                question
                for both in (of_rows, of_variants)
                for questions in both.values()
                for question in questions
            )
        )
        gains: list[float] = []
        for part in self._evidence.gains(asked):
            gains += part
            yield self._progress()
        gain_of = dict(zip(asked, gains, strict=True))

        def mean(questions: list[Question]) -> float:
            return float(np.mean([gain_of[one] for one in questions])) if questions else 0.0

        return {one: (mean(of_rows[one]), mean(of_variants[one])) for one in groups}

    def _row_questions(self, choice: _Choice) -> list[Question]:
        pairs = self._evidence.pairs_of(choice.task_index)
        return [Question(choice.task_index, pair, choice.row) for pair in pairs]

    def _variant_questions(self, choice: _Choice, group: VariantGroup) -> list[Question]:
        pairs = self._evidence.pairs_of(choice.task_index)
        num_variants = len(group.dihedrals)
        spread = np.linspace(0, num_variants - 1, min(num_variants, NUM_VARIANTS_ASKED))
        return [
            Question(
                choice.task_index,
                pairs[turn % len(pairs)],
                choice.row + 1 + index,
                group.variant(index),
            )
            for turn, index in enumerate(spread.astype(int).tolist())
        ]

    def _exchange(
        self, branches: Sequence[Branch]
    ) -> Generator[RecoveryProgress, None, list[Branch]]:
        """Return branches in which a task that fits the present row has been freed for it.

        Its place is taken by one that is left and that draws as many tries and variants there.
        """
        exchanged: list[Branch] = []
        for branch in branches:
            left = self._left(branch)
            if not left:
                continue
            folder = self._folders[branch.folders[-1]]
            used = [index for index, task in enumerate(branch.tasks) if task in folder]
            yield from self._try((branch.row, branch.tasks[position]) for position in used)
            on_row = self.state.tried[branch.row]
            used.sort(key=lambda position: -on_row[branch.tasks[position]])
            for position in used[:NUM_FINALISTS]:
                row, start = branch.rows[position], branch.starts[position]
                if on_row[branch.tasks[position]] <= max(on_row[index] for index in left):
                    break
                yield from self._try((row, index) for index in left)
                before = self.state.tried[row]
                groups = {
                    _Choice(index, row, start): group
                    for index in sorted(left, key=lambda index: -before[index])[:NUM_FINALISTS]
                    for group in [self._draw(index, start)]
                    if (group.end, row + 1 + len(group.dihedrals)) == branch.end_of(position)
                }
                gains = yield from self._measure(dict(list(groups.items())[:NUM_REPLACEMENTS]))
                exchanged += [
                    branch.replaced(position, one.task_index, gain) for one, gain in gains.items()
                ]
        return exchanged

    def _exchange_pairs(self) -> Iterator[RecoveryProgress]:
        """Exchange named tasks of a folder where both together fit the rows of the other better."""
        sums = [math.fsum(gains) for gains in self.best.gains]
        for pair in combinations(sorted(np.argsort(sums)[:NUM_WEAKEST].tolist()), 2):
            branch = self.best
            if not self.are_exchangeable(*pair):
                continue
            crossed = [
                _Choice(branch.tasks[other], branch.rows[index], branch.starts[index])
                for index, other in (pair, pair[::-1])
            ]
            gains = yield from self._measure(
                {one: self._draw(one.task_index, one.place) for one in crossed}
            )
            before = math.fsum(math.fsum(branch.gains[index]) for index in pair)
            if math.fsum(math.fsum(gains[one]) for one in crossed) > before:
                for index, one in zip(pair, crossed, strict=True):
                    branch = branch.replaced(index, one.task_index, gains[one])
                self.state = RecoveryState(branches=(branch,))

    def _draw(self, task_index: int, place: int) -> VariantGroup:
        return self._builder.draw(self._tasks[task_index], place)

    def _progress(self) -> RecoveryProgress:
        """Return the progress; each step to come tries the tasks left in one branch."""
        used = set(self.best.tasks)
        left = [sum(index not in used for index in folder) for folder in self._folders]
        per_step = NUM_FINALISTS * (NUM_VARIANTS_ASKED + 1)
        num_left = sum(num * (num + 1) // 2 + num * per_step for num in left)
        num_tried = len(self.state.tried.get(self.best.row, ()))
        num_asked = self._evidence.num_asked
        return RecoveryProgress(len(used), num_asked, num_asked + max(1, num_left - num_tried))

    def _lost_sentence(self) -> str:
        return (
            f"the rows fit no order: the variants of the {NUM_WATCHED} tasks before number "
            f"{len(self.best.tasks)} of {self.num_tasks} are answered no better through their rows "
            "than through others. Most likely these are not the tasks it was trained on, or "
            "num_heads, H_cycles or L_cycles in all_config.yaml differ from its training"
        )
