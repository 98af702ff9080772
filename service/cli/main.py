"""The program `hrm-arc`: its commands, and which errors end it how."""

import sys

import typer

from augment import AugmentError
from hrm_core import HRMCoreError
from service.cli.evaluate import evaluate_command
from service.cli.files import pull_command, score_command
from service.cli.index import index_command
from service.cli.inspect import inspect_command
from service.cli.output import notices
from service.cli.solve import solve_command
from service.cli.train import train_command
from service.cli.verify import verify_command
from service.errors import ServiceError
from voting import VotingError

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Solve ARC puzzles with trained Hierarchical Reasoning Models.",
)
app.command("solve")(solve_command)
app.command("evaluate")(evaluate_command)
app.command("verify")(verify_command)
app.command("inspect")(inspect_command)
app.command("index")(index_command)
app.command("pull")(pull_command)
app.command("score")(score_command)
app.command("train")(train_command)


def main() -> None:
    """Run the program: exit 0 when good, 1 when a check failed, 2 on bad input."""
    try:
        app()
    except (AugmentError, VotingError, HRMCoreError, ServiceError, OSError) as error:
        notices.print(f"Error: {error}", style="red", markup=False, soft_wrap=True)
        sys.exit(2)
