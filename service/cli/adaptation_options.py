"""The options of adaptation by a service."""

from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:  # who solves here need not wait for the client to load
    from service.client import Options

AdaptOption = Annotated[
    Literal["never", "auto", "always"],
    typer.Option(
        "--adapt",
        help="With --url: train on the demonstrations first; auto: where a checkpoint has no rows "
        "for the puzzle.",
    ),
]
AdaptMinutesOption = Annotated[
    float | None,
    typer.Option("--adapt-minutes", help="At the most; default: the service's own choice."),
]
AdaptStepsOption = Annotated[
    int | None, typer.Option("--adapt-steps", min=1, help="At the most, of training.")
]
AdaptVariantsOption = Annotated[
    int | None, typer.Option("--adapt-variants", min=1, help="Variants to adapt to; default: 64.")
]


def adaptation_options(
    adapt: Literal["never", "auto", "always"],
    minutes: float | None,
    steps: int | None,
    variants: int | None,
    *,
    by_service: bool,
) -> "Options":
    """Gather what a service is asked for; of what was not given it is told nothing.

    Raises: typer.BadParameter for a budget without adaptation, or anything without a service.
    """
    names = _given(minutes, steps, variants)
    if not by_service and (names or adapt != "never"):
        raise typer.BadParameter(
            f"{', '.join(names or ['--adapt'])}: a service does that, give its --url. Here, "
            "`hrm-arc adapt` makes an adapted checkpoint, which --checkpoint then takes"
        )
    check_budget_is_used(adapt, minutes, steps, variants)
    asked: Options = {}
    if adapt != "never":
        asked["adapt"] = adapt
    if minutes is not None:
        asked["adapt_s"] = 60 * minutes
    if steps is not None:
        asked["adapt_steps"] = steps
    if variants is not None:
        asked["adapt_variants"] = variants
    return asked


def check_budget_is_used(
    adapt: Literal["never", "auto", "always"],
    minutes: float | None,
    steps: int | None,
    variants: int | None,
) -> None:
    """See that a budget comes with an adaptation to be used for.

    Raises: typer.BadParameter.
    """
    names = _given(minutes, steps, variants)
    if names and adapt == "never":
        raise typer.BadParameter(f"{', '.join(names)}: give --adapt auto or --adapt always too")


def _given(minutes: float | None, steps: int | None, variants: int | None) -> list[str]:
    given = {"--adapt-minutes": minutes, "--adapt-steps": steps, "--adapt-variants": variants}
    return [name for name, value in given.items() if value is not None]
