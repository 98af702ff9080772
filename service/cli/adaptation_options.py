"""The options of adaptation by a service."""

from typing import Annotated, Any

import typer

from service.cli.vote_options import solve_option
from service.wire.options import Adapt

AdaptOption = Annotated[
    Adapt,
    solve_option(
        "adapt",
        help="With --url: train on the demonstrations first; auto: where a checkpoint has no rows "
        "for the puzzle.",
    ),
]
AdaptMinutesOption = Annotated[
    float | None,
    typer.Option("--adapt-minutes", help="At the most; default: the service's own choice."),
]
AdaptStepsOption = Annotated[int | None, solve_option("adapt_steps")]
AdaptVariantsOption = Annotated[int | None, solve_option("adapt_variants")]


def adaptation_options(
    adapt: Adapt,
    minutes: float | None,
    steps: int | None,
    variants: int | None,
    *,
    by_service: bool,
) -> dict[str, Any]:
    """Return the solve options of an adaptation that were given.

    Raises: typer.BadParameter for a budget without adaptation, or anything without a service.
    """
    names = _given(minutes, steps, variants)
    if not by_service and (names or adapt != "never"):
        raise typer.BadParameter(
            f"{', '.join(names or ['--adapt'])}: a service does that, give its --url. Here, "
            "`hrm-arc adapt` makes an adapted checkpoint, which --checkpoint then takes"
        )
    check_budget_is_used(adapt, minutes, steps, variants)
    given = {
        "adapt": None if adapt == "never" else adapt,
        "adapt_s": None if minutes is None else 60 * minutes,
        "adapt_steps": steps,
        "adapt_variants": variants,
    }
    return {name: value for name, value in given.items() if value is not None}


def check_budget_is_used(
    adapt: Adapt, minutes: float | None, steps: int | None, variants: int | None
) -> None:
    """Check that a budget comes with an adaptation to be used for.

    Raises: typer.BadParameter.
    """
    names = _given(minutes, steps, variants)
    if names and adapt == "never":
        raise typer.BadParameter(f"{', '.join(names)}: give --adapt auto or --adapt always too")


def _given(minutes: float | None, steps: int | None, variants: int | None) -> list[str]:
    given = {"--adapt-minutes": minutes, "--adapt-steps": steps, "--adapt-variants": variants}
    return [name for name, value in given.items() if value is not None]
