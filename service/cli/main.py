"""The program `hrm-arc`: its commands, and which errors end it how.

A command's module is imported when the command runs: the processes of the service must not load
torch for commands that they do not run, and nobody waits for it to score a submission.
"""

import os
import sys
from collections.abc import Mapping
from importlib import import_module
from types import MappingProxyType
from typing import Any, NamedTuple

import typer
from typer.core import TyperGroup

from service.cli.output import notices
from service.wire.errors import ServiceError


class Place(NamedTuple):
    """Where a command is, and its line in the list of commands."""

    module: str
    name: str
    summary: str


COMMANDS: Mapping[str, Place] = MappingProxyType(
    {
        "solve": Place(
            "solve", "solve_command", "Solve puzzles with a trained checkpoint, or by a service."
        ),
        "submit": Place(
            "submit", "submit_command", "Answer a whole challenges file, with a report on it."
        ),
        "serve": Place("serve", "serve_command", "Run the whole service on this machine."),
        "api": Place("api", "api_command", "Run the HTTP part of the service."),
        "worker": Place("worker", "worker_command", "Run a worker: one process for one device."),
        "jobs": Place("jobs", "app", "List, show, cancel and requeue the jobs of a service."),
        "evaluate": Place(
            "evaluate", "evaluate_command", "Count how much of what it knows a checkpoint solves."
        ),
        "verify": Place(
            "verify", "verify_command", "Check that a checkpoint computes what it should."
        ),
        "inspect": Place("inspect", "inspect_command", "Show what is in a checkpoint folder."),
        "index": Place("index", "index_command", "Tell a checkpoint which puzzles its rows are."),
        "pull": Place("files", "pull_command", "Fetch a published checkpoint into a folder."),
        "score": Place("files", "score_command", "Score a submission by all three rules in use."),
        "adapt": Place(
            "adapt", "adapt_command", "Adapt a checkpoint to puzzles that it has no rows for."
        ),
        "adapted": Place("adapted", "app", "List and remove what a service has adapted."),
        "train": Place("train", "train_command", "Train a model on the demonstrations of tasks."),
    }
)
# Where each room keeps the root of its errors.
_ERROR_ROOTS = (
    ("augment.errors", "AugmentError"),
    ("voting.tally", "VotingError"),
    ("hrm_core.errors", "HRMCoreError"),
)


class LazyCommands(TyperGroup):
    """The list of commands; the one that is called is imported then."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the command that the arguments name, and import it."""
        name, listed, rest = super().resolve_command(ctx, args)
        return name, None if listed is None or name is None else load_command(name), rest


def load_command(name: str) -> Any:
    """Import a command and make it one that Typer can run."""
    place = COMMANDS[name]
    found = getattr(import_module(f"service.cli.{place.module}"), place.name)
    if not isinstance(found, typer.Typer):
        command, found = found, typer.Typer(add_completion=False)
        found.command(name)(command)
    return typer.main.get_command(found)


def make_app() -> typer.Typer:
    """Make the program; of its commands it knows but names and summaries."""
    app = typer.Typer(
        cls=LazyCommands,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        help="Solve ARC puzzles with trained Hierarchical Reasoning Models.",
    )
    for name, place in COMMANDS.items():
        app.command(name, help=place.summary)(_listed)
    return app


def main() -> None:
    """Run the program: exit 0 when good, 1 when a check failed, 2 on bad input."""
    # Before anything loads torch: its threads would else wait for each other in busy loops, which
    # on a machine with other work take the cores from those that are waited for.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        make_app()()
    except errors_on_purpose() as error:
        notices.print(f"Error: {error}", style="red", markup=False, soft_wrap=True)
        sys.exit(2)


def errors_on_purpose() -> tuple[type[Exception], ...]:
    """Return the roots of what the rooms raise on purpose.

    Only of those imported by now: a room that was not imported has raised nothing.
    """
    rooms = [
        getattr(sys.modules[module], root) for module, root in _ERROR_ROOTS if module in sys.modules
    ]
    return ServiceError, OSError, *rooms


def _listed() -> None:
    """Stand in for a command in the list of them; never called."""
