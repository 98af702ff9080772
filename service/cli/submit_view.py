"""What `hrm-arc submit` shows: its progress, and a summary at the end."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from service.cli.output import ProgressLine, console, notices, progress_line
from service.submission.files import Paths
from service.submission.report import Report
from service.submission.run import Plan, Run

NAMES_SHOWN = 10


class SubmitView:
    """Shows puzzles, votes and the time left."""

    def __init__(self, line: ProgressLine) -> None:
        self._line = line
        self._num_at_first = 0

    def note(self, sentence: str) -> None:
        """Print a sentence that is to stay."""
        notices.print(sentence, markup=False, soft_wrap=True)

    def say(self, text: str) -> None:
        """Show what is being done."""
        self._line.update(text)

    def begin(self, run: Run, plan: Plan) -> None:
        """Show that the votes begin."""
        self._num_at_first = plan.num_open
        if not notices.is_terminal:
            self.note(f"{plan.num_open} puzzle(s) to be voted on")
        self.update(run, plan)

    def update(self, run: Run, plan: Plan) -> None:
        """Show how far the votes are: by time where it is limited, else by puzzles."""
        text = f"{run.num_answered} of {len(run.challenges)} puzzles, {run.num_votes:,} votes"
        budget_s, left_s = run.clock.budget_s, run.clock.left_s
        if budget_s is None:
            done, total = self._num_at_first - plan.num_open, self._num_at_first
        else:
            done, total = min(int(run.clock.elapsed_s), int(budget_s)), int(budget_s)
        line = text if left_s is None else f"{text}, {left_s:.0f} s left"
        self._line.update(text, completed=done, total=total, line=line)


@contextmanager
def submit_view() -> Iterator[SubmitView]:
    """Show the progress of a run while the context lasts."""
    with progress_line("getting ready") as line:
        yield SubmitView(line)


def print_submitted(report: Report, paths: Paths) -> None:
    """Print what is answered, what is not and why, and the scores where they are known."""
    num, unanswered = len(report.puzzles), report.unanswered
    _print(
        f"{num - len(unanswered)} of {num} puzzles answered, {report.num_votes:,} votes, "
        f"{report.elapsed_s:.0f} s: {paths.out}"
    )
    by_code: dict[str, list[str]] = {}
    for puzzle_id, reason in unanswered.items():
        by_code.setdefault(reason.code, []).append(puzzle_id)
    counts = Counter({code: len(names) for code, names in by_code.items()})
    for code, count in counts.most_common():
        names = ", ".join(map(ascii_name, by_code[code][:NAMES_SHOWN]))
        more = f" and {count - NAMES_SHOWN} more" if count > NAMES_SHOWN else ""
        _print(f"not answered ({code}), {count}: {names}{more}")
    scores = report.scores
    if scores is not None:
        _print(
            f"score: {scores.per_output:.2%} per test output ({scores.solved_outputs} of "
            f"{scores.num_outputs}), {scores.per_task:.2%} per task ({scores.solved_tasks} of "
            f"{scores.num_tasks}), {scores.mean_fraction:.2%} mean fraction"
        )
    if not report.is_complete:
        _print("Stopped: the same command continues from here.")
    _print(f"report: {paths.page}")


def ascii_name(name: str) -> str:
    """Return a name in a form that can be printed."""
    return name if name.isprintable() else ascii(name)


def _print(text: str) -> None:
    console.print(text, markup=False, soft_wrap=True)
