"""`hrm-arc pull` and `hrm-arc score`: published checkpoints, and submissions with solutions."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from augment import read_solutions
from service.cli.output import JSONOption, console, print_json
from service.runtime.hub import pull
from voting import read_submission, score


def pull_command(
    source: Annotated[str, typer.Argument(help="hf:ORG/REPO or hf:ORG/REPO@REVISION.")],
    out: Annotated[Path, typer.Option(help="The folder to put the checkpoint into.")],
    path: Annotated[
        str | None, typer.Option(help="The checkpoint's folder inside the repository.")
    ] = None,
) -> None:
    """Fetch a published checkpoint from the Hugging Face hub into a folder."""
    pulled = pull(source, out, path)
    console.print(
        f"{out}: {len(pulled.files)} files of {pulled.repo} at commit {pulled.commit[:12]}; "
        f"`hrm-arc inspect {out}` shows what they hold",
        markup=False,
        soft_wrap=True,
    )


def score_command(
    submission: Annotated[Path, typer.Argument(help="A Kaggle submission.json.")],
    solutions: Annotated[Path, typer.Argument(help="A Kaggle solutions JSON.")],
    as_json: JSONOption = False,
) -> None:
    """Score a submission by all three rules in use."""
    scores = score(read_submission(submission), read_solutions(solutions))
    if as_json:
        print_json(asdict(scores))
        return
    console.print(f"{scores.solved_outputs} of {scores.num_outputs} test outputs solved")
    console.print(f"{scores.solved_tasks} of {scores.num_tasks} tasks solved wholly")
    console.print(f"per test output (Kaggle):        {scores.per_output:.2%}")
    console.print(f"per task (ARC-AGI-2, HRM):       {scores.per_task:.2%}")
    console.print(f"mean fraction per task (TRM):    {scores.mean_fraction:.2%}")
