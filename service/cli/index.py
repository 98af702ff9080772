"""`hrm-arc index`: tell a downloaded checkpoint which puzzles its rows are."""

import json
from pathlib import Path
from typing import Annotated

import typer

from augment import Puzzle, replay_trm
from hrm_core import CheckpointError, open_checkpoint
from service.cli import engine_options as options
from service.cli.engine import check_rows, make_engine
from service.cli.output import console, progress_bar, warn
from service.cli.task_sources import TASKS_HELP, read_tasks
from service.solving.enrolment import Registrar
from service.solving.puzzle_index import PUZZLES_NAME, index_document
from service.solving.self_test.run import MAX_DEMONSTRATIONS
from service.wire.errors import AlignmentError, InputError

IDENTIFIERS_NAME = "identifiers.json"


def index_command(
    folder: options.FolderArgument,
    tasks: Annotated[
        list[str] | None,
        typer.Option("--tasks", help=TASKS_HELP + " They must be the very tasks trained on."),
    ] = None,
    replay_trm_prefix: Annotated[
        str | None,
        typer.Option(
            "--replay-trm",
            metavar="PREFIX",
            help="Rebuild identifiers.json as TRM's builder made it, from "
            "PREFIX_SUBSET_challenges.json (and _solutions.json).",
        ),
    ] = None,
    subsets: Annotated[
        str | None,
        typer.Option(help="The builder's subsets in order: training,evaluation,concept"),
    ] = None,
    variants: Annotated[int, typer.Option(min=0, help="Variants in the replay.")] = 1000,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="The builder's seed.")] = 42,
    device: options.DeviceOption = "auto",
    canvas: options.CanvasOption = None,
) -> None:
    """Write puzzles.json: which puzzle each name stands for, by the hash of its demonstrations.

    Then the self-test checks that the rows belong to their names. With --replay-trm, first rebuild
    the identifiers.json that published TRM checkpoints lack.
    """
    if replay_trm_prefix is not None:
        if not subsets:
            raise InputError("--replay-trm needs --subsets, in the builder's order")
        _replay(folder, replay_trm_prefix, subsets.split(","), variants, seed, canvas)
        if not tasks:
            tasks = [
                f"{replay_trm_prefix}_{subset}_challenges.json" for subset in subsets.split(",")
            ]
    if not tasks:
        raise InputError("give --tasks, or --replay-trm with --subsets")
    registrar = Registrar(open_checkpoint(folder, canvas))
    registrar.check_arc()
    named = set(registrar.puzzle_names)
    puzzles: dict[str, Puzzle] = {}
    for task in read_tasks(tasks):
        if task.puzzle.name in named:
            puzzles.setdefault(task.puzzle.name, task.puzzle)
    if not puzzles:
        raise InputError(f"none of the tasks given has a name that {folder} has rows for")
    path = folder / PUZZLES_NAME
    path.write_text(json.dumps(index_document(list(puzzles.values()))), encoding="utf-8")
    console.print(
        f"{path}: {len(puzzles)} of the {len(named)} puzzles that have rows", markup=False
    )
    indexed = Registrar(registrar.checkpoint)  # with the index just written
    engine = make_engine(indexed.checkpoint, device=device, num_samples=3 * MAX_DEMONSTRATIONS)
    try:
        check_rows(engine, indexed)
    except AlignmentError as error:  # what was written stays: it is what was asked for
        warn(str(error))
        raise typer.Exit(1) from None


def _replay(
    folder: Path, prefix: str, subsets: list[str], variants: int, seed: int, canvas: int | None
) -> None:
    path = folder / IDENTIFIERS_NAME
    if path.exists():
        raise InputError(f"{path} exists already: it is kept. Move it away to rebuild it")
    num_rows = open_checkpoint(folder, canvas).rows.num_rows
    with progress_bar() as bar:
        job = bar.add_task("replaying the builder", total=None)
        names = replay_trm(
            prefix,
            subsets,
            num_variants=variants,
            seed=seed,
            progress=lambda done, total: bar.update(job, completed=done, total=total),
        )
    if len(names) != num_rows:
        raise CheckpointError(
            folder,
            f"the replay gives {len(names)} names, but the table has {num_rows} rows",
            "Subsets, their order, or the challenge files differ from what it was trained with.",
        )
    path.write_text(json.dumps(names), encoding="utf-8")
    console.print(f"{path}: {len(names)} names", markup=False)
