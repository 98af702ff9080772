"""The options that several commands have in common; loads no torch.

Those of a solve take their bounds and their help from `SolveOptions`.
"""

from pathlib import Path
from typing import Annotated, Any, Final

import typer

from service.cli.task_sources import TASKS_HELP
from service.runtime.devices import EngineOptions
from service.wire.options import Adapt, Halting, Ranking, SolveOptions

DEFAULTS: Final = SolveOptions()
ARC_CANVAS = 30
# The engine's list loads torch; a test checks that both are equal.
BACKEND_NAMES = ("sdpa", "matmul", "blocked", "flash3", "flash3_fwd", "flash2")
_SOLVE_SCHEMA = SolveOptions.model_json_schema()["properties"]


def solve_option(name: str, *flags: str, help: str | None = None) -> Any:
    """Return the command-line option of a solve option, with its bounds and description."""
    schema = _SOLVE_SCHEMA[name]
    kinds = [kind for kind in schema.get("anyOf", [schema]) if kind.get("type") != "null"]
    return typer.Option(
        *flags or (f"--{name.replace('_', '-')}",),
        min=kinds[0].get("minimum"),
        max=kinds[0].get("maximum"),
        help=help or str(schema.get("description", "")).replace("`", ""),
    )


# A vote.
VariantsOption = Annotated[int | None, solve_option("variants")]
AttemptsOption = Annotated[int, solve_option("attempts")]
MaxSegmentsOption = Annotated[int | None, solve_option("max_segments")]
RankingOption = Annotated[Ranking, solve_option("ranking")]
StopEarlyOption = Annotated[bool, solve_option("stop_early", "--stop-early/--whole-vote")]
SeedOption = Annotated[int, solve_option("seed")]
HaltOption = Annotated[
    Halting,
    solve_option(
        "halting",
        "--halt",
        help="act: stop once q calls the answer right and it has settled. fixed: all segments.",
    ),
]

# An engine.
FolderArgument = Annotated[Path, typer.Argument(help="A checkpoint folder, as published.")]
CanvasOption = Annotated[
    int | None,
    typer.Option(min=1, max=ARC_CANVAS, help="Side of the canvas, where the folder does not say."),
]
DeviceOption = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")]
DevicesOption = Annotated[
    str,
    typer.Option(
        "--device",
        help="auto, cpu, cuda or cuda:N; all, or a list such as cuda:0,cuda:1, for a process on "
        "each.",
    ),
]
SlotsOption = Annotated[
    int | None, typer.Option(min=1, help="Samples on the device at once; default: by free memory.")
]
PrecisionOption = Annotated[
    str | None,
    typer.Option(
        help="float32, bfloat16 or float16; default: the checkpoint's, or bfloat16 for float32 "
        "where the processor is clearly faster in it."
    ),
]
AttentionOption = Annotated[str, typer.Option(help=f"auto, {', '.join(BACKEND_NAMES)}.")]
CompileOption = Annotated[
    bool | None,
    typer.Option(
        "--compile/--no-compile", help="torch.compile the step; default: on CUDA, not on the CPU."
    ),
]
ThreadsOption = Annotated[
    int | None,
    typer.Option(
        min=1, help="Threads on the CPU; default: OMP_NUM_THREADS, else by size and free cores."
    ),
]

# Training on this machine.
RecipeOption = Annotated[
    str | None,
    typer.Option(
        help="Of the adaptation, one that `hrm-arc recipes` lists; default: quick. Options that "
        "are given count before its values."
    ),
]
TasksOption = Annotated[list[str], typer.Option(help=TASKS_HELP)]
OptionalTasksOption = Annotated[list[str] | None, typer.Option(help=TASKS_HELP)]
SudokuOption = Annotated[
    Path | None, typer.Option(help="Sudokus: CSV with columns q, a and rating, or one a line.")
]
MazeOption = Annotated[
    Path | None, typer.Option(help="Mazes: CSV with columns q and a, or one a line.")
]
FittingOption = Annotated[
    bool, typer.Option("--fitting", help="Leave out the puzzles that do not fit the canvas.")
]
BatchTokensOption = Annotated[
    int, typer.Option(min=1, help="With crop: positions in a batch; larger puzzles come in fewer.")
]
SliceSizeOption = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Samples of a batch that go through the network at a time; default: as many as fit "
        "into memory, and half as many when it runs out.",
    ),
]
TranslateOption = Annotated[
    bool, typer.Option("--translate/--no-translate", help="Move grids about on the canvas.")
]
RanksOption = Annotated[
    str | None,
    typer.Option(
        help="Train on several devices at once: all, or a number of GPUs; with --device cpu, a "
        "number of processes."
    ),
]
SnapshotOption = Annotated[float, typer.Option(help="Seconds between snapshots.")]

# A service, and adaptation by it.
URLOption = Annotated[
    str | None, typer.Option(help="Have a service solve, such as http://HOST:8400.")
]
APIKeyOption = Annotated[
    str | None,
    typer.Option(
        help="For --url. Others on this machine may see it here: better in HRM_ARC_API_KEY."
    ),
]
StateFolderOption = Annotated[Path | None, typer.Option(help="Where jobs outlive the service.")]
AdaptOption = Annotated[
    Adapt | None,
    solve_option(
        "adapt",
        help="Train on the demonstrations first; auto: where no checkpoint has rows for the "
        "puzzle. Default: HRM_ARC_ADAPT_DEFAULT, else auto; with --url, as the service has it.",
    ),
]
AdaptMinutesOption = Annotated[
    float | None,
    typer.Option(
        help="At the most; default: HRM_ARC_ADAPT_DEFAULT_S (two minutes); with --url, the "
        "service's own."
    ),
]
AdaptStepsOption = Annotated[int | None, solve_option("adapt_steps")]
AdaptVariantsOption = Annotated[int | None, solve_option("adapt_variants")]


def check_api_key(url: str | None, api_key: str | None) -> None:
    """Raise typer.BadParameter for --api-key without --url."""
    if url is None and api_key is not None:
        raise typer.BadParameter("--api-key is for a service: give its --url too")


def check_service_options(
    url: str | None, api_key: str | None, engine: EngineOptions, canvas: int | None
) -> None:
    """Raise typer.BadParameter for options of an engine with --url, or --api-key without it."""
    check_api_key(url, api_key)
    names = {"compiled": "--compile", "num_threads": "--threads"}
    given = [names.get(name, f"--{name}") for name in engine.given]
    if canvas is not None:
        given.append("--canvas")
    if url is not None and given:
        raise typer.BadParameter(
            f"{', '.join(given)}: with --url, the service's worker decides that"
        )


def check_adaptation(
    adapt: Adapt | None, minutes: float | None, steps: int | None, variants: int | None
) -> None:
    """Raise typer.BadParameter for a budget without an adaptation."""
    budget = {"--adapt-minutes": minutes, "--adapt-steps": steps, "--adapt-variants": variants}
    names = [name for name, value in budget.items() if value is not None]
    if names and adapt == "never":
        raise typer.BadParameter(f"{', '.join(names)}: give --adapt auto or --adapt always too")
