"""The program `hrm-arc`: its commands, and its exit codes.

The module of a command is imported when the command runs: the processes of the service must not
load torch for commands that they do not run, and scoring a submission does not need it.
"""

import os
import sys
from collections.abc import Mapping
from importlib import import_module
from importlib.metadata import version
from types import MappingProxyType
from typing import Annotated, Any, NamedTuple

import typer
from typer.core import TyperGroup

from service.cli.output import notices
from service.wire.errors import ServiceError


class Entry(NamedTuple):
    """The module of a command, which holds `NAME_command` or an `app`, and its line in the list."""

    module: str
    summary: str


COMMANDS: Mapping[str, Entry] = MappingProxyType(
    {
        "solve": Entry("solve", "Solve puzzles with a trained checkpoint, or by a service."),
        "submit": Entry("submit", "Answer a whole challenges file, with a report on it."),
        "serve": Entry("serve", "Run the whole service on this machine."),
        "api": Entry("serve", "Run the HTTP part of the service."),
        "worker": Entry("serve", "Run a worker: one process for one device."),
        "jobs": Entry("jobs", "List, show, cancel and requeue the jobs of a service."),
        "load": Entry("load", "Send jobs to a service, and show its throughput and latency."),
        "evaluate": Entry("evaluate", "Count the known puzzles that a checkpoint solves."),
        "verify": Entry("checkpoints", "Check a checkpoint's rows, or its outputs."),
        "inspect": Entry("checkpoints", "Show what is in a checkpoint folder."),
        "index": Entry("checkpoints", "Write which puzzles a checkpoint's rows are."),
        "pull": Entry("pull", "Fetch a published checkpoint into a folder."),
        "presets": Entry("presets", "List settings for weights without an all_config.yaml."),
        "kaggle": Entry("kaggle", "Submit in a Kaggle notebook, filling the time it has."),
        "score": Entry("submit", "Score a submission by all three rules in use."),
        "merge": Entry("merge", "Merge candidates of several runs into one submission."),
        "adapt": Entry("adapt", "Adapt a checkpoint to puzzles without rows."),
        "recipes": Entry("recipes", "List the recipes of adaptations, with their sources."),
        "checkpoints": Entry("served", "List and reload the checkpoints of a service."),
        "adapted": Entry("adapted", "List and remove the adapted checkpoints of a service."),
        "calibrate": Entry("calibrate", "Fit how likely a checkpoint's answers are right."),
        "wheelhouse": Entry("wheelhouse", "Collect the wheels for an installation offline."),
        "train": Entry("train", "Train a model on the demonstrations of tasks."),
        "doctor": Entry("doctor", "Show what a bug report needs: this machine and installation."),
    }
)
# The root of the errors of each package.
_ERROR_ROOTS = (
    ("augment.errors", "AugmentError"),
    ("voting.tally", "VotingError"),
    ("hrm_core.errors", "HRMCoreError"),
)
# The code of a service's refusal of a request without a valid key.
UNAUTHORIZED = "unauthorized"
# The code of the error of a rank that has lost another one, and its own exit code: the ranks that
# end for a reason of theirs have others.
RANK_LOST = "rank_lost"
RANK_LOST_EXIT = 3


class LazyCommands(TyperGroup):
    """The list of commands; each is imported when it is called."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Import the command that the arguments name."""
        name, listed, rest = super().resolve_command(ctx, args)
        return name, None if listed is None or name is None else load_command(name), rest


def load_command(name: str) -> Any:
    """Import a command as Typer runs it."""
    module = import_module(f"service.cli.{COMMANDS[name].module}")
    app = getattr(module, "app", None)
    if app is None:
        app = typer.Typer(add_completion=False)
        app.command(name)(getattr(module, f"{name}_command"))
    return typer.main.get_command(app)


def make_app() -> typer.Typer:
    """Make the program with the names and summaries of its commands."""
    app = typer.Typer(
        cls=LazyCommands,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        help="Solve ARC puzzles with trained Hierarchical Reasoning Models.",
    )

    @app.callback()
    def root(
        version: Annotated[
            bool,
            typer.Option(
                "--version", is_eager=True, callback=_show_version, help="Show the version."
            ),
        ] = False,
    ) -> None:
        pass  # the option is all that comes before a command

    for name, entry in COMMANDS.items():
        app.command(name, help=entry.summary)(_listed)
    return app


def main() -> None:
    """Run the program.

    Exit 0 on success, 1 when a check failed, 2 on bad input, 3 when a training lost a rank.
    """
    # Before torch is loaded: its threads would otherwise wait for each other in busy loops, which
    # take the cores from the threads with work on a machine that is busy.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        make_app()()
    except expected_errors() as error:
        sentence = f"Error: {error}"
        code = getattr(error, "code", None)
        if code == UNAUTHORIZED:
            sentence += ". Give the service's API key in HRM_ARC_API_KEY (or with --api-key)"
        # Other ranks of a training show no messages of theirs, but why they ended.
        notices.quiet = False
        notices.print(sentence, style="red", soft_wrap=True)
        sys.exit(RANK_LOST_EXIT if code == RANK_LOST else 2)


def expected_errors() -> tuple[type[Exception], ...]:
    """Return the roots of the errors that end the program with a sentence.

    Only those of packages that are imported: no other package can have raised one.
    """
    roots = [
        getattr(sys.modules[module], root) for module, root in _ERROR_ROOTS if module in sys.modules
    ]
    return ServiceError, OSError, *roots


def _show_version(is_wanted: bool) -> None:
    if is_wanted:
        typer.echo(f"hrm-arc {version('hrm-arc')}")
        raise typer.Exit


def _listed() -> None:
    """Take the place of a command in the list; never called."""
