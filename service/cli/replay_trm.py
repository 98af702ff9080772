"""`hrm-arc index --replay-trm`: the names of a published TRM checkpoint, by replay."""

import json
from collections.abc import Sequence
from pathlib import Path

from augment import replay_trm, write_atomically
from hrm_core import CheckpointError, open_checkpoint
from service.cli.output import console, progress_bar
from service.cli.replay_hrm import check_unnamed
from service.wire.errors import InputError


def replay_trm_passes(
    folder: Path,
    prefixes: Sequence[str],
    subsets: Sequence[str],
    starts: Sequence[int],
    num_variants: int,
    seed: int,
    canvas: int | None,
) -> list[str]:
    """Write the names of a checkpoint's rows, and return the files of challenges behind them.

    TRM's builder ran once for each prefix. `starts` are the rows that it numbered from; without
    them the first is 1, and each further one is the row behind the pass before.

    Raises: InputError for options that do not belong together, AugmentError for bad files,
    CheckpointError where the names do not fit the table.
    """
    if len(subsets) != len(prefixes):
        raise InputError("--replay-trm needs --subsets, in the builder's order, once for each")
    if starts and len(starts) != len(prefixes):
        raise InputError(
            f"{len(starts)} --puzzle-identifiers-start for {len(prefixes)} --replay-trm: give one "
            "for each, or none"
        )
    path = check_unnamed(folder)
    num_rows = open_checkpoint(folder, canvas).rows.num_rows
    names: list[str] = []
    with progress_bar() as bar:
        job = bar.add_task("replaying the builder", total=None)
        for index, (prefix, chosen) in enumerate(zip(prefixes, subsets, strict=True)):
            first_row = starts[index] if starts else max(1, len(names))
            _check_start(folder, prefix, first_row, len(names), num_rows)
            of_pass = replay_trm(
                prefix,
                chosen.split(","),
                num_variants=num_variants,
                seed=seed,
                first_row=first_row,
                progress=lambda done, total: bar.update(job, completed=done, total=total),
            )
            names += of_pass[len(names) :]
    if len(names) != num_rows:
        raise CheckpointError(
            folder,
            f"the replay gives {len(names)} names, but the table has {num_rows} rows",
            "Subsets, their order, the challenge files or --puzzle-identifiers-start differ from "
            "what it was trained with.",
        )
    write_atomically(path, [json.dumps(names)])
    console.print(f"{path}: {len(names)} names", markup=False)
    return [
        f"{prefix}_{subset}_challenges.json"
        for prefix, chosen in zip(prefixes, subsets, strict=True)
        for subset in chosen.split(",")
    ]


def _check_start(folder: Path, prefix: str, first_row: int, num_named: int, num_rows: int) -> None:
    if first_row < num_named:
        raise InputError(
            f"--puzzle-identifiers-start {first_row}: the pass before ends at row "
            f"{num_named - 1}, so this one begins at {num_named} or later"
        )
    if first_row >= num_rows:
        raise CheckpointError(
            folder,
            f"{prefix} would begin at row {first_row}, but the table has {num_rows} rows",
            "Give the passes that it was built in, and their --puzzle-identifiers-start.",
        )
