"""`hrm-arc kaggle`: `submit` in a notebook of the competition, in the time that it has."""

import os
import time
from pathlib import Path
from typing import Annotated

import psutil
import typer

from service.cli.main import load_command
from service.cli.output import notices
from service.cli.task_sources import read_challenge_set
from service.submission.files import Paths, SubmissionFile
from service.submission.kaggle import TimeLimit, find_challenges, is_rerun, keep_start

app = typer.Typer(add_completion=False)


@app.command("kaggle", context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def kaggle_command(
    ctx: typer.Context,
    root: Annotated[
        Path, typer.Option("--input", help="Where Kaggle puts what is attached.")
    ] = Path("/kaggle/input"),
    competition: Annotated[
        str | None,
        typer.Option(help="Folder of the competition, where several are attached."),
    ] = None,
    out: Annotated[Path, typer.Option(help="The submission to write.")] = Path(
        "/kaggle/working/submission.json"
    ),
    minutes: Annotated[
        float, typer.Option(min=0, help="Time of the scored run, from --started-at.")
    ] = 720.0,
    margin_minutes: Annotated[
        float | None,
        typer.Option(
            min=0, help="How much of it is left free; default: a twentieth, 15 at the most."
        ),
    ] = None,
    commit_minutes: Annotated[
        float, typer.Option(min=0, help="Time of a run that only saves the notebook.")
    ] = 10.0,
    started_at: Annotated[
        float | None,
        typer.Option(
            help="When the notebook began, in seconds since 1970; default: when this command did."
        ),
    ] = None,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Start over, and discard what an earlier run has left.")
    ] = False,
) -> None:
    """Answer the competition's test challenges; takes the options of `hrm-arc submit` too.

    The scored run fills its whole time, less a margin, by the speed that it measures. A run that
    saves the notebook does the same for all tasks in --commit-minutes. Killed at any moment, the
    same command continues and ends at the same time.
    """
    challenges, paths = find_challenges(root, competition), Paths.of(out)
    paths.check_own(is_fresh=fresh)
    began = psutil.Process().create_time() if started_at is None else started_at
    began = keep_start(paths.started, began, is_fresh=fresh)
    if fresh or not out.exists():
        # Loading torch and checkpoints takes a while, in which a notebook may end.
        SubmissionFile(out, read_challenge_set(str(challenges)).challenges).write()
    is_scored = is_rerun(os.environ)
    limit = TimeLimit(minutes, commit_minutes, margin_minutes)
    until = limit.until(began, is_scored=is_scored)
    kind = "scored run" if is_scored else "run that saves the notebook, in a short time"
    left = (until - time.time()) / 60
    notices.print(f"{challenges}: {kind}, {max(0.0, left):.1f} minutes left", soft_wrap=True)
    if left <= 0:
        notices.print("The time is over: --fresh starts again.")
    arguments = [str(challenges), "--out", str(out), "--until", f"{until:.3f}"]
    arguments += ["--fresh"] if fresh else []
    code = load_command("submit").main([*arguments, *ctx.args], standalone_mode=False)
    if code:
        raise typer.Exit(int(code))
