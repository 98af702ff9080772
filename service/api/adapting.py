"""How long a job may adapt, and on how many variants: what was asked for, within the caps."""

from collections.abc import Mapping
from typing import Final

from service.api.problems import invalid_request
from service.runtime.settings import PREFIX, Settings
from service.wire.options import SolveOptions
from service.wire.problem import Fault

VARIANTS: Final = 64
_BUDGET: Final = ("adapt_s", "adapt_steps", "adapt_variants")


def fill_budget(options: SolveOptions, settings: Settings) -> SolveOptions:
    """Fill in what was left out of an adaptation's budget; without adaptation there is none.

    Raises: Refused for a budget without adaptation, one above the operator's caps, and where the
    service does not adapt at all.
    """
    faults = _faults(options, settings)
    if faults:
        raise invalid_request(
            [Fault(sentence, f"/options/{name}") for name, sentence in faults.items()]
        )
    if options.adapt == "never":
        return options
    cap_s = settings.adapt_max_s
    default_s = min(settings.adapt_default_s, cap_s) if options.adapt_steps is None else cap_s
    return options.model_copy(
        update={
            "adapt_s": default_s if options.adapt_s is None else options.adapt_s,
            "adapt_variants": options.adapt_variants or min(VARIANTS, settings.adapt_max_variants),
        }
    )


def _faults(options: SolveOptions, settings: Settings) -> Mapping[str, str]:
    """Say what is wrong with which option."""
    if options.adapt == "never":
        return {
            name: "is only of use with adapt: auto or always"
            for name in _BUDGET
            if getattr(options, name) is not None
        }
    if settings.adapt_max_s == 0:
        return {
            "adapt": f"this service does not adapt checkpoints ({PREFIX}ADAPT_MAX_S is 0): leave "
            "it out"
        }
    caps = {"adapt_s": settings.adapt_max_s, "adapt_variants": settings.adapt_max_variants}
    return {
        name: f"{asked:g} is more than this service allows: {cap:g} at the most"
        for name, cap in caps.items()
        if (asked := getattr(options, name)) is not None and asked > cap
    }
