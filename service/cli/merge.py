"""`hrm-arc merge`: candidates of several runs or solvers, to one submission."""

from pathlib import Path
from typing import Annotated

import typer

from service.cli.output import JSONOption, console, print_json
from service.submission.candidates import (
    merge_candidates,
    read_candidates,
    write_candidates,
    write_merged,
)
from service.submission.files import Paths
from service.wire.errors import InputError


def merge_command(
    files: Annotated[
        list[Path],
        typer.Argument(metavar="CANDIDATES.jsonl...", help="Files of `submit --candidates`."),
    ],
    out: Annotated[Path, typer.Option(help="The submission to write.")],
    weight: Annotated[
        list[float] | None,
        typer.Option(min=0, help="Of a file's shares, once for each file; default: 1 each."),
    ] = None,
    candidates_out: Annotated[
        Path | None,
        typer.Option(help="The merged candidates; default: named after the submission."),
    ] = None,
    as_json: JSONOption = False,
) -> None:
    """Rank the candidates of all files by the sum of their shares, and write a submission.

    A task is answered if any file has a grid for it. Other solvers' files take part with lines of
    `puzzle`, `test` and `candidates`, each with `grid` and `share`.
    """
    weights = weight or [1.0] * len(files)
    if len(weights) != len(files):
        raise typer.BadParameter(
            f"--weight is there {len(weights)} times for {len(files)} files: give one for each"
        )
    if not any(weights):
        raise typer.BadParameter("--weight: give at least one above 0")
    target = candidates_out or Paths.of(out).candidates
    if any(target.resolve() == path.resolve() for path in files):
        raise InputError(f"{target} is one of the files to merge: give another --candidates-out")
    pairs = [pair for pair in zip(files, weights, strict=True) if pair[1] > 0]
    lines = merge_candidates([read_candidates(path, one) for path, one in pairs])
    write_candidates(target, lines)
    write_merged(out, lines)
    empty = sorted({line.puzzle for line in lines if not line.candidates})
    num = len({line.puzzle for line in lines})
    if as_json:
        print_json({"puzzles": num, "test_inputs": len(lines), "unanswered": empty})
        return
    console.print(f"{num - len(empty)} of {num} puzzles answered: {out}", soft_wrap=True)
    if empty:
        console.print(f"not answered: {', '.join(map(ascii, empty))}", soft_wrap=True)
    console.print(f"candidates: {target}", soft_wrap=True)
