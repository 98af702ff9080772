"""`python -m soak`: the soak from the command line, as `make soak` runs it."""

import argparse
import shutil
import sys
import tempfile
from datetime import timedelta
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table

from soak.audit import Line
from soak.run import Plan, Soak
from soak.run import Progress as Far

MARKS = {True: "[green]pass[/]", False: "[red]FAIL[/]", None: "—"}


def main() -> int:
    """Run a soak; return 0 where the audit passes, else 1."""
    parser = argparse.ArgumentParser(prog="soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=20.0, help="of load and kills")
    parser.add_argument("--seed", type=int, default=1, help="of what is sent and killed, and when")
    parser.add_argument("--rate", type=float, default=3.0, help="actions a second")
    parser.add_argument("--blows", type=float, default=6.0, help="kills, pauses and such a minute")
    parser.add_argument("--folder", type=Path, help="kept; without one, only after a failure")
    given = parser.parse_args()
    plan = Plan(60 * given.minutes, given.seed, given.rate, given.blows)
    folder = given.folder or Path(tempfile.mkdtemp(prefix="hrm-arc-soak-"))
    folder.mkdir(parents=True, exist_ok=True)
    console = Console(soft_wrap=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[far]}"))
    with (
        (folder / "soak.log").open("w", encoding="utf-8") as log,
        Progress(*columns, console=console) as progress,
    ):
        bar = progress.add_task("start", total=plan.duration_s, far="")

        def say(sentence: str) -> None:
            console.print(sentence, highlight=False)
            print(sentence, file=log, flush=True)

        def show(far: Far) -> None:
            left = timedelta(seconds=max(0, round(far.left_s)))
            text = f"{left} left, {far.num_kills} kills, {far.num_jobs} jobs"
            done = plan.duration_s - (far.left_s if far.phase == "load" else 0)
            progress.update(bar, description=far.phase, completed=done, far=text)

        say(f"seed {given.seed}, {given.minutes:g} minutes, in {folder}")
        lines = Soak(plan, folder, say, show).run()
        for one in lines:
            print(f"{one.passed} {one.name}: {one.detail}", file=log)
    console.print(_table(lines))
    if all(one.passed is not False for one in lines):
        if given.folder is None:
            shutil.rmtree(folder)
        return 0
    console.print(f"Failed with seed {given.seed}. Logs and what Valkey holds are in {folder}")
    return 1


def _table(lines: list[Line]) -> Table:
    table = Table(show_edge=False, padding=(0, 1))
    table.add_column("audit", no_wrap=True)
    table.add_column("")
    table.add_column("found", overflow="fold")
    for one in lines:
        table.add_row(one.name, MARKS[one.passed], one.detail)
    return table


if __name__ == "__main__":
    sys.exit(main())
