"""The program `hrm-arc`: its commands, and which errors end it how."""

import sys

import typer

from augment import AugmentError
from hrm_core import HRMCoreError
from service.cli.output import console
from service.cli.train import train
from service.errors import ServiceError
from voting import VotingError

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Solve ARC puzzles with trained Hierarchical Reasoning Models.",
)
app.command()(train)


@app.callback()
def root() -> None:
    """Solve ARC puzzles with trained Hierarchical Reasoning Models."""


def main() -> None:
    """Run the program: exit 0 when good, 1 when a check failed, 2 on bad input."""
    try:
        app()
    except (AugmentError, VotingError, HRMCoreError, ServiceError) as error:
        console.print(f"Error: {error}", style="red", markup=False, soft_wrap=True)
        sys.exit(2)
