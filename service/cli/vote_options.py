"""The options of the commands that have puzzles voted on, here or by a service.

Those of a solve take their bounds and their help from `SolveOptions`.
"""

from typing import Annotated, Any, Final

import typer

from service.wire.options import Ranking, SolveOptions

DEFAULTS: Final = SolveOptions()


def solve_option(name: str, *flags: str, help: str | None = None) -> Any:
    """Return the command-line option of a solve option, with its bounds and description."""
    schema = SolveOptions.model_json_schema()["properties"][name]
    kinds = [kind for kind in schema.get("anyOf", [schema]) if kind.get("type") != "null"]
    description = help or str(schema.get("description", "")).replace("`", "")
    return typer.Option(
        *flags or (f"--{name.replace('_', '-')}",),
        min=kinds[0].get("minimum"),
        max=kinds[0].get("maximum"),
        help=description,
    )


VariantsOption = Annotated[int | None, solve_option("variants")]
AttemptsOption = Annotated[int, solve_option("attempts")]
MaxSegmentsOption = Annotated[int | None, solve_option("max_segments")]
RankingOption = Annotated[Ranking, solve_option("ranking")]
StopEarlyOption = Annotated[bool, solve_option("stop_early", "--stop-early/--whole-vote")]
SeedOption = Annotated[int, solve_option("seed")]
URLOption = Annotated[
    str | None, typer.Option("--url", help="Have a service solve, such as http://HOST:8400.")
]
APIKeyOption = Annotated[
    str | None,
    typer.Option(
        "--api-key",
        help="For --url. Others on this machine may see it here: better in HRM_ARC_API_KEY.",
    ),
]
