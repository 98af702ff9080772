"""The report as one HTML page, without scripts and without anything from elsewhere."""

import base64
import io
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from augment import Task, write_atomically
from service.render.pictures import answer_svg, drawable
from service.submission.report import (
    CANDIDATES_SHOWN,
    CurvePoint,
    FirstAttempts,
    PuzzleReport,
    Report,
    TestReport,
)
from service.submission.run import Refusal
from voting import Scores, calibration_error

_SIZE = (5.2, 3.4)  # inches
_FIRST, _TWO, _GREY = "#B45309", "#0B63A5", "#777777"
_STYLE = """
:root { color-scheme: light dark; --line: #8886; --right: #0b7a28; --wrong: #b3261e; }
@media (prefers-color-scheme: dark) { :root { --right: #5fd07f; --wrong: #ff8a80; } }
body { font: 1rem/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 70rem; padding: 1rem; }
h1 { font-size: 1.5rem; overflow-wrap: anywhere; } h2 { font-size: 1.2rem; margin-top: 2rem; }
table { border-collapse: collapse; } caption { text-align: left; font-weight: 600; }
th, td { border-bottom: 1px solid var(--line); padding: .2rem .8rem .2rem 0; text-align: left;
  font-variant-numeric: tabular-nums; vertical-align: top; }
.long td:last-child { overflow-wrap: anywhere; }
img, svg { max-width: 100%; height: auto; }
figure { display: inline-block; margin: 0 1rem 1rem 0; } .wide { overflow-x: auto; }
details { border-top: 1px solid var(--line); padding: .3rem 0; }
summary { cursor: pointer; } summary b { overflow-wrap: anywhere; }
.right { color: var(--right); } .wrong { color: var(--wrong); }
"""
_HEAD = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
"""


def write_report(report: Report, json_path: Path, page_path: Path) -> None:
    """Write the report as JSON and as a page."""
    write_atomically(json_path, (json.dumps(report.document()),))
    write_atomically(page_path, report_page(report))


def report_page(report: Report) -> Iterator[str]:
    """Yield the page in parts: hundreds of puzzles with their grids take megabytes."""
    title = _text(f"Submission to {report.title}")
    yield f"{_HEAD}<title>{title}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
    yield f"<main>\n<h1>{title}</h1>\n"
    yield _summary(report)
    if report.scores is not None:
        yield _scores(report.scores)
    yield _charts(report)
    if report.unanswered:
        yield _unanswered(report.unanswered)
    yield "<h2>Puzzles</h2>\n"
    for puzzle in report.puzzles:
        yield _puzzle(puzzle)
    yield "</main>\n</body>\n</html>\n"


def _summary(report: Report) -> str:
    num_inputs = sum(len(puzzle.challenge.inputs) for puzzle in report.puzzles)
    num_answered = len(report.puzzles) - len(report.unanswered)
    state = "" if report.is_complete else " The run is not complete: the same command continues it."
    settings = "".join(
        f"<tr><th scope='row'>{escape(name.replace('_', ' '))}</th>"
        f"<td>{_text(_worded(value))}</td></tr>"
        for name, value in report.settings.items()
        if value not in (None, [], ())  # not set
    )
    return (
        f"<p>{num_answered} of {len(report.puzzles)} puzzles answered, {num_inputs} test inputs, "
        f"{report.num_votes:,} votes, "
        f"{report.elapsed_s:.0f} s.{state}</p>\n"
        "<details><summary>How it was made</summary>"
        f"<table class='long'>{settings}</table></details>\n"
    )


def _scores(scores: Scores) -> str:
    rows = (
        ("per test output (Kaggle)", scores.per_output),
        ("per task (ARC-AGI-2, HRM)", scores.per_task),
        ("mean fraction per task (TRM)", scores.mean_fraction),
    )
    cells = "".join(
        f"<tr><th scope='row'>{name}</th><td>{value:.2%}</td></tr>" for name, value in rows
    )
    return (
        f"<h2>Scores</h2>\n<table>{cells}</table>\n<p>{scores.solved_outputs} of "
        f"{scores.num_outputs} test outputs solved, {scores.solved_tasks} of {scores.num_tasks} "
        "tasks wholly.</p>\n"
    )


def _charts(report: Report) -> str:
    figures = []
    if report.curve:
        last = report.curve[-1]
        figures.append(
            _figure(
                curve_chart(report.curve),
                f"Accuracy by the number of votes; with {last.num_ballots} votes "
                f"{last.two_share:.1%} solved in two attempts",
                "The accuracy with fewer votes, estimated by drawing from those there are.",
            )
        )
    first = report.first_attempts
    if first.bins:
        bins = "; ".join(
            f"{one.low:.0%} to {one.high:.0%}: {one.right_share:.0%} of {one.num_samples} right"
            for one in first.bins
        )
        figures.append(
            _figure(
                calibration_chart(first),
                f"Calibration. {bins}",
                f"How often the first attempt is right, by its {first.measure}; expected "
                f"calibration error {calibration_error(first.bins):.3f}.",
            )
        )
    return f"<h2>Votes</h2>\n{''.join(figures)}" if figures else ""


def _figure(svg: bytes, alt: str, caption: str) -> str:
    # As separate pictures: the ids inside them would clash in one document.
    data = base64.b64encode(svg).decode()
    return (
        f'<figure><img alt="{escape(alt)}" src="data:image/svg+xml;base64,{data}">'
        f"<figcaption>{caption}</figcaption></figure>\n"
    )


def _unanswered(reasons: Mapping[str, Refusal]) -> str:
    counts = Counter(reason.code for reason in reasons.values())
    numbers = ", ".join(f"{code}: {num}" for code, num in counts.most_common())
    rows = "".join(
        f"<tr><th scope='row'>{_text(puzzle_id)}</th><td>{escape(reason.code)}</td>"
        f"<td>{_text(reason.detail)}</td></tr>\n"
        for puzzle_id, reason in reasons.items()
    )
    return (
        f"<h2>Not answered</h2>\n<p>The submission has the test input in place of an answer. "
        f"{escape(numbers)}.</p>\n<details><summary>{len(reasons)} puzzle(s)</summary>"
        "<div class='wide'><table class='long'><thead><tr><th scope='col'>puzzle</th>"
        "<th scope='col'>code</th>"
        f"<th scope='col'>why</th></tr></thead><tbody>{rows}</tbody></table></div></details>\n"
    )


def _puzzle(puzzle: PuzzleReport) -> str:
    verdict = {
        None: "",
        True: ' <span class="right">right</span>',
        False: ' <span class="wrong">wrong</span>',
    }[puzzle.is_right]
    if puzzle.reason is not None:
        verdict += f" not answered ({escape(puzzle.reason.code)})"
    sure = (
        f"{puzzle.share:.0%} for the first attempt"
        if puzzle.confidence is None
        else f"confidence {puzzle.confidence:.0%}"
    )
    votes = f"{puzzle.standing.num_votes:,} votes, {sure}"
    picture, task = "", puzzle.challenge.task
    if task is not None:
        picture = f"<div class='wide'>{_picture(puzzle, task)}</div>\n"
    tables = "".join(_votes_table(number, test) for number, test in enumerate(puzzle.tests, 1))
    name = _text(puzzle.challenge.puzzle_id)
    return (
        f"<details><summary><b>{name}</b>{verdict}, {votes}</summary>\n"
        f"{picture}{tables}</details>\n"
    )


def _picture(puzzle: PuzzleReport, task: Task) -> str:
    """Draw the puzzle like `hrm-arc solve --image`."""
    tests, num_inputs = puzzle.tests, len(task.puzzle.test)
    expected = tuple(test.expected for test in tests) or (None,) * num_inputs
    attempts = [test.attempts for test in tests] or [()] * num_inputs
    captions = [
        [f"confidence {one:.0%}" for one in test.confidence]
        or [f"{c.count} votes, {c.share:.0%}" for c in test.candidates[: len(test.attempts)]]
        for test in tests
    ] or [[]] * num_inputs
    label = f"Puzzle {puzzle.challenge.puzzle_id}: demonstrations, test inputs and attempts"
    return answer_svg(Task(task.puzzle, expected), attempts, captions, label=label)


def _votes_table(number: int, test: TestReport) -> str:
    rows = "".join(
        f"<tr><td>{rank}</td><td>{one.count}</td><td>{one.share:.1%}</td>"
        f"<td>{one.mean_q_halt:.3f}</td><td>{one.grid.size[0]} x {one.grid.size[1]}</td>"
        f"<td>{'expected' if one.grid == test.expected else ''}</td></tr>"
        for rank, one in enumerate(test.candidates[:CANDIDATES_SHOWN], start=1)
    )
    heads = ("candidate", "votes", "share", "mean q", "size", "")
    columns = "".join(f"<th scope='col'>{head}</th>" for head in heads)
    return (
        f"<div class='wide'><table><caption>Test input {number}: {test.votes.num_votes} votes for "
        f"{len(test.candidates)} grids, {test.votes.tally.abstained} abstained, "
        f"{test.votes.num_segments} segments</caption>"
        f"<thead><tr>{columns}</tr></thead><tbody>{rows}</tbody></table></div>\n"
    )


def _worded(value: object) -> str:
    """Return a setting as text."""
    match value:
        case bool():
            return "yes" if value else "no"
        case Mapping():
            return ", ".join(f"{name} ({one})" for name, one in value.items())
        case list() | tuple():
            return ", ".join(map(str, value))
    return str(value)


def _text(text: str) -> str:
    return escape(drawable(text))


def curve_chart(points: Sequence[CurvePoint]) -> bytes:
    """Draw the share of test inputs solved by the number of votes."""
    figure, axes = _axes("votes on each test input", "test inputs solved")
    numbers = [point.num_ballots for point in points]
    twos, firsts = [p.two_share for p in points], [p.first_share for p in points]
    # They differ in markers and line styles as well as in colour.
    axes.plot(numbers, twos, "o-", color=_TWO, label="in two attempts")
    axes.plot(numbers, firsts, "s--", color=_FIRST, label="in the first attempt")
    axes.set_xscale("log", base=2)
    axes.set_xticks(numbers, [str(number) for number in numbers])
    axes.minorticks_off()
    axes.legend(frameon=False)
    return _svg(figure)


def calibration_chart(first_attempts: FirstAttempts) -> bytes:
    """Draw how often first attempts are right by their confidence or share of the votes."""
    bins = first_attempts.bins
    figure, axes = _axes(f"{first_attempts.measure} of the first attempt", "first attempts right")
    axes.plot([0, 1], [0, 1], ":", color=_GREY, label="perfect calibration")
    axes.bar(
        [(one.low + one.high) / 2 for one in bins],
        [one.right_share for one in bins],
        width=[0.9 * (one.high - one.low) for one in bins],
        color=_TWO,
        alpha=0.25,
    )
    axes.plot(
        [one.mean_probability for one in bins],
        [one.right_share for one in bins],
        "o",
        color=_TWO,
        label="test inputs (their number beside)",
    )
    for one in bins:
        axes.annotate(
            str(one.num_samples),
            (one.mean_probability, one.right_share),
            xytext=(5, -9 if one.right_share > 0.5 else 4),
            textcoords="offset points",
            fontsize=8,
        )
    axes.set_xlim(0, 1.05)
    figure.legend(frameon=False, loc="outside upper left", fontsize=8)
    return _svg(figure)


def _axes(across: str, up: str) -> tuple[Any, Any]:
    from matplotlib.figure import Figure  # here: it takes half a second to import
    from matplotlib.ticker import PercentFormatter

    figure = Figure(figsize=_SIZE, layout="constrained", facecolor="white")
    axes = figure.add_subplot()
    axes.set_xlabel(across)
    axes.set_ylabel(up)
    axes.set_ylim(0, 1.05)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    axes.grid(alpha=0.3)
    return figure, axes


def _svg(figure: Any) -> bytes:
    file = io.BytesIO()
    # Without the date, so that equal numbers give equal pictures.
    figure.savefig(file, format="svg", metadata={"Date": None})
    return file.getvalue()
