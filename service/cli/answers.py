"""Prints and draws answers, made on this machine or by a service."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.rule import Rule
from rich.text import Text

from augment import Grid, Task
from service.cli.output import console
from service.render.pictures import draw_answer
from service.render.terminal import grids_table, pairs_table
from service.solving.answer import Answer, MemberAnswer, MemberShare, TestAnswer

if TYPE_CHECKING:  # the client is not needed to solve on this machine
    from service.client import Answer as ServedAnswer
    from service.client import MemberAnswer as ServedMemberAnswer
    from service.client import MemberShare as ServedMemberShare
    from service.client import TestAnswer as ServedTestAnswer


@dataclass(frozen=True, slots=True)
class Solved:
    """An answer of this machine or of a service, and its JSON document."""

    answer: "Answer | ServedAnswer"
    document: dict[str, Any]


def print_answer(task: Task, answer: "Answer | ServedAnswer") -> None:
    """Print a puzzle and its answer, with a verdict where the expected output is known."""
    puzzle = task.puzzle
    tests: Sequence[TestAnswer | ServedTestAnswer] = answer.tests
    console.print(Rule(Text(f"puzzle {puzzle.name}")))
    console.print(pairs_table(puzzle.train))
    for index, (grid, test, expected) in enumerate(
        zip(puzzle.test, tests, task.expected, strict=True), start=1
    ):
        titled = [(grid, f"test input {index}")]
        titled += [
            (attempt, f"attempt {number}: {caption}" if caption else f"attempt {number}")
            for number, (attempt, caption) in enumerate(
                zip(test.attempts, _captions(test), strict=True), start=1
            )
        ]
        if expected is not None:
            titled.append((expected, "expected"))
        console.print(grids_table([titled]))
        console.print(_vote_line(test), markup=False)
        if len(test.shares) > 1:
            console.print(_shares_line(test), markup=False)
        if expected is not None:
            console.print(_verdict(test, expected))
    timings = ", ".join(f"{stage} {seconds:.2f} s" for stage, seconds in answer.timings_s.items())
    members: Sequence[MemberAnswer | ServedMemberAnswer] = answer.members
    for member in members:
        console.print(_member_line(member), style="dim", markup=False)
    console.print(
        f"{answer.halting} halting, {answer.ranking} ranking, seed {answer.seed}; "
        f"{answer.device}; {timings}",
        style="dim",
        markup=False,
    )


def picture_answer(task: Task, answer: "Answer | ServedAnswer", path: Path) -> None:
    """Draw a puzzle and its attempts into a file.

    Raises: PictureError.
    """
    draw_answer(
        task,
        [test.attempts for test in answer.tests],
        [_captions(test) for test in answer.tests],
        path,
    )


def _captions(test: "TestAnswer | ServedTestAnswer") -> list[str]:
    """Return the votes of each attempt; a service lists the first few candidates only."""
    shown = [f"{c.count} votes, {c.share:.0%}" for c in test.candidates[: len(test.attempts)]]
    return shown + [""] * (len(test.attempts) - len(shown))


def _vote_line(test: "TestAnswer | ServedTestAnswer") -> str:
    early = ", decided early" if test.decided_early else ""
    return (
        f"{test.num_votes} vote(s) for {test.num_candidates} grid(s), "
        f"{test.num_abstained} abstained, "
        f"{test.num_variants_used} of {test.num_variants_asked} variants{early}, "
        f"{test.num_segments} segments"
    )


def _shares_line(test: "TestAnswer | ServedTestAnswer") -> str:
    shares: Sequence[MemberShare | ServedMemberShare] = test.shares
    shown = (f"{one.checkpoint} {one.num_votes} ({one.share:.0%})" for one in shares)
    return f"votes by checkpoint: {', '.join(shown)}"


def _member_line(member: "MemberAnswer | ServedMemberAnswer") -> str:
    adaptation, how = member.adaptation, ""
    if adaptation is not None:
        when = ", kept from before" if adaptation.is_reused else ""
        how = f" ({adaptation.num_steps} steps, {adaptation.seconds:.0f} s{when})"
    return (
        f"{member.checkpoint} ({member.checkpoint_sha256[:12]}), {member.enrolment} rows{how}, "
        f"at most {member.max_segments} segments; {member.precision}, "
        f"attention {member.attention}, {member.num_slots} slots"
    )


def _verdict(test: "TestAnswer | ServedTestAnswer", expected: Grid) -> str:
    if expected not in test.attempts:
        return "[bold red]wrong[/]: no attempt is the expected output"
    number = test.attempts.index(expected) + 1
    return f"[bold green]right[/]: attempt {number} is the expected output"
