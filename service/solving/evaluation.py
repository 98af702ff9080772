"""Evaluation: the share of known puzzles' test inputs that a checkpoint solves."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from augment import Task
from hrm_core import Engine
from service.solving.enrolment import RowIndex
from service.solving.members import Member
from service.solving.solve import Solving, solve
from service.wire.errors import InputError, UnknownPuzzle
from service.wire.options import SolveOptions
from voting import Scores, score

# Attempts that the scoring rules count.
NUM_ATTEMPTS = 2


@dataclass(frozen=True, slots=True)
class Counts:
    """Results over some test inputs.

    `single_variant_share` is the mean over test inputs of the share of variants that are right
    (an abstention is wrong).
    """

    num_tasks: int
    num_test_inputs: int
    solved_first: int
    solved_two: int
    single_variant_share: float

    @classmethod
    def of(cls, entries: Sequence[dict[str, Any]]) -> "Counts":
        """Count entries of an evaluation's `per_input`."""
        return cls(
            num_tasks=len({entry["task"] for entry in entries}),
            num_test_inputs=len(entries),
            solved_first=sum(entry["first"] for entry in entries),
            solved_two=sum(entry["two"] for entry in entries),
            single_variant_share=sum(e["single_variant_share"] for e in entries) / len(entries),
        )

    def document(self) -> dict[str, Any]:
        """Return the counts as JSON values."""
        return {name.removeprefix("num_"): value for name, value in asdict(self).items()}


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Results over all known test inputs.

    `by_side` has the results by the side of the square that a puzzle was first solved on, in order;
    a checkpoint without crop has one entry. `attempts` serve to compare evaluations.
    """

    counts: Counts
    by_side: Mapping[int, Counts]
    num_variant_segments: int
    num_variants: int
    scores: Scores
    attempts: tuple[tuple[str, int, tuple[object, ...]], ...]
    per_input: tuple[dict[str, Any], ...]

    def document(self) -> dict[str, Any]:
        """Return the evaluation as JSON values."""
        return {
            **self.counts.document(),
            "variants": self.num_variants,
            "variant_segments": self.num_variant_segments,
            "score_per_output": self.scores.per_output,
            "score_per_task": self.scores.per_task,
            "score_mean_fraction": self.scores.mean_fraction,
            "by_side": {str(side): counts.document() for side, counts in self.by_side.items()},
            "per_input": list(self.per_input),
        }


def known_tasks(
    row_index: RowIndex, tasks: Sequence[Task], max_side: int | None = None
) -> list[Task]:
    """Return the tasks that the checkpoint has rows for, once each.

    `max_side` keeps only those that it reads on a square of at most so many cells a side.

    Raises: InputError when none remains, or one lacks its expected outputs.
    """
    kept: dict[str, Task] = {}
    for task in tasks:
        try:
            puzzle_rows = row_index.find(task.puzzle)
        except UnknownPuzzle:
            continue
        if max_side is not None and row_index.crop_of(task.puzzle).size > max_side:
            continue
        kept.setdefault(puzzle_rows.puzzle_name, task)
    if not kept:
        raise InputError(
            f"{row_index.checkpoint.folder} knows none of the {len(tasks)} tasks given"
            + ("" if max_side is None else f" on a square of at most {max_side} cells a side")
        )
    for task in kept.values():
        if None in task.expected:
            raise InputError(
                f"task {task.puzzle.name!r} has no expected output to compare with: give the "
                "solutions too"
            )
    return list(kept.values())


def evaluate(
    engine: Engine,
    row_index: RowIndex,
    tasks: Sequence[Task],
    options: SolveOptions,
    on_step: Callable[[Sequence[Solving]], None] = lambda solvings: None,
) -> Evaluation:
    """Solve known tasks with expected outputs, all of one size at once, and count.

    Raises: as `Member.find` and `solve`.
    """
    by_side: dict[int, list[Solving]] = {}
    solvings = []
    for task in tasks:
        member = Member.find(row_index, task.puzzle)
        solvings.append(Solving(task.puzzle, [member], options))
        by_side.setdefault(member.crop.size, []).append(solvings[-1])
    # One size after another: an engine keeps lanes of few sizes only.
    for _, group in sorted(by_side.items()):
        solve([engine], group, lambda: on_step(solvings))
    per_input: list[dict[str, Any]] = []
    attempts = []
    submission, solutions = {}, {}
    for task, solving in zip(tasks, solvings, strict=True):
        answer = solving.answer()
        name = answer.members[0].enrolled_as  # unique, unlike the names that files give
        solutions[name] = [grid for grid in task.expected if grid is not None]
        submission[name] = tuple(test.attempts[:NUM_ATTEMPTS] for test in answer.tests)
        for index, (test, expected) in enumerate(zip(answer.tests, solutions[name], strict=True)):
            votes = solving.tallies[index].entries
            right = next((entry.count for entry in votes if entry.grid == expected), 0)
            per_input.append(
                {
                    "task": name,
                    "test_input": index,
                    "side": solving.members[0].crop.size,
                    "first": test.attempts[:1] == (expected,),
                    "two": expected in test.attempts[:NUM_ATTEMPTS],
                    "single_variant_share": right / test.variants_used,
                    "top_share": test.candidates[0].share if test.candidates else 0.0,
                    "variants": test.variants_used,
                    "segments": test.segments,
                }
            )
            attempts.append((name, index, test.attempts[:NUM_ATTEMPTS]))
    sides = sorted({entry["side"] for entry in per_input})
    return Evaluation(
        counts=Counts.of(per_input),
        by_side={side: Counts.of([e for e in per_input if e["side"] == side]) for side in sides},
        num_variant_segments=sum(entry["segments"] for entry in per_input),
        num_variants=sum(entry["variants"] for entry in per_input),
        scores=score(submission, solutions),
        attempts=tuple(attempts),
        per_input=tuple(per_input),
    )


def same_attempts_share(one: Evaluation, other: Evaluation) -> float:
    """Return the share of test inputs with the same attempts in the same order."""
    pairs = zip(one.attempts, other.attempts, strict=True)
    return sum(a == b for a, b in pairs) / one.counts.num_test_inputs
