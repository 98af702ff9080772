"""Prints and draws answers, made on this machine or by a service."""

from pathlib import Path

from rich.rule import Rule
from rich.text import Text

from augment import Grid, Task
from service.cli.output import console
from service.render.pictures import draw_answer
from service.render.terminal import grids_table, pairs_table
from service.wire.answer import Answer, MemberAnswer, TestAnswer


def print_answer(task: Task, answer: Answer) -> None:
    """Print a puzzle and its answer, with a verdict where the expected output is known."""
    puzzle = task.puzzle
    console.print(Rule(Text(f"puzzle {puzzle.name}")))
    console.print(pairs_table(puzzle.train))
    for index, (grid, test, expected) in enumerate(
        zip(puzzle.test, answer.tests, task.expected, strict=True), start=1
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
    for member in answer.members:
        console.print(_member_line(member), style="dim", markup=False)
    console.print(
        f"{answer.halting} halting, {answer.ranking} ranking, seed {answer.seed}; "
        f"{answer.device}; {timings}",
        style="dim",
        markup=False,
    )


def picture_answer(task: Task, answer: Answer, path: Path) -> None:
    """Draw a puzzle and its attempts into a file.

    Raises: PictureError.
    """
    draw_answer(
        task,
        [test.attempts for test in answer.tests],
        [_captions(test) for test in answer.tests],
        path,
    )


def _captions(test: TestAnswer) -> list[str]:
    """Return the confidence of each attempt, or where there is none, its votes.

    A service lists the first few candidates only.
    """
    if test.confidence:
        return [f"confidence {one:.0%}" for one in test.confidence]
    shown = [f"{c.count} votes, {c.share:.0%}" for c in test.candidates[: len(test.attempts)]]
    return shown + [""] * (len(test.attempts) - len(shown))


def _vote_line(test: TestAnswer) -> str:
    early = ", decided early" if test.decided_early else ""
    leading = [f"{one.count} ({one.share:.0%})" for one in test.candidates[: len(test.attempts)]]
    of_attempts = f", of the attempts {', '.join(leading)}" if test.confidence else ""
    return (
        f"{test.votes} vote(s) for {test.distinct_candidates} grid(s){of_attempts}, "
        f"{test.abstained} abstained, "
        f"{test.variants_used} of {test.variants_asked} variants{early}, "
        f"{test.segments} segments"
    )


def _shares_line(test: TestAnswer) -> str:
    shares = (f"{one.checkpoint} {one.votes} ({one.share:.0%})" for one in test.shares)
    return f"votes by checkpoint: {', '.join(shares)}"


def _member_line(member: MemberAnswer) -> str:
    adaptation, how = member.adaptation, ""
    if adaptation is not None:
        when = ", kept from before" if adaptation.reused else ""
        how = f" ({adaptation.steps} steps, {adaptation.seconds:.0f} s{when})"
    return (
        f"{member.checkpoint} ({member.checkpoint_sha256[:12]}), {member.enrolment} rows{how}, "
        f"at most {member.max_segments} segments; {member.precision}, "
        f"attention {member.attention}, {member.slots} slots"
    )


def _verdict(test: TestAnswer, expected: Grid) -> str:
    if expected not in test.attempts:
        return "[bold red]wrong[/]: no attempt is the expected output"
    number = test.attempts.index(expected) + 1
    return f"[bold green]right[/]: attempt {number} is the expected output"
