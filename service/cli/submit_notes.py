"""What `hrm-arc submit` says at its end."""

from collections import Counter

from service.cli.output import console
from service.submission.paths import Paths
from service.submission.report import Report

FEW = 10


def print_submitted(report: Report, paths: Paths) -> None:
    """Print what came of it: what is answered, what is not and why, scores where known."""
    num, unanswered = len(report.puzzles), report.unanswered
    console.print(
        f"{num - len(unanswered)} of {num} puzzles answered, {report.num_votes:,} votes, "
        f"{report.elapsed_s:.0f} s: {paths.out}",
        markup=False,
        soft_wrap=True,
    )
    by_code: dict[str, list[str]] = {}
    for puzzle in unanswered:
        if puzzle.reason is not None:
            by_code.setdefault(puzzle.reason.code, []).append(puzzle.challenge.puzzle_id)
    counts = Counter({code: len(names) for code, names in by_code.items()})
    for code, count in counts.most_common():
        names = by_code[code]
        more = f" and {count - FEW} more" if count > FEW else ""
        console.print(
            f"not answered ({code}), {count}: {', '.join(map(ascii_name, names[:FEW]))}{more}",
            markup=False,
            soft_wrap=True,
        )
    scores = report.scores
    if scores is not None:
        console.print(
            f"score: {scores.per_output:.2%} per test output ({scores.solved_outputs} of "
            f"{scores.num_outputs}), {scores.per_task:.2%} per task ({scores.solved_tasks} of "
            f"{scores.num_tasks}), {scores.mean_fraction:.2%} mean fraction",
            markup=False,
            soft_wrap=True,
        )
    if not report.is_complete:
        console.print("Stopped: the same command goes on from here.")
    console.print(f"report: {paths.page}", markup=False, soft_wrap=True)


def ascii_name(name: str) -> str:
    """Show a name that may hold anything."""
    return name if name.isprintable() else ascii(name)
