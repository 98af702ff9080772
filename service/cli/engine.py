"""The engine that the command line's options make."""

from hrm_core import Checkpoint, Engine
from service import engines
from service.cli.output import notices


def make_engine(
    checkpoint: Checkpoint,
    *,
    device: str = "auto",
    slots: int | None = None,
    precision: str | None = None,
    attention: str = "auto",
    compiled: bool | None = None,
    num_samples: int | None = None,
) -> Engine:
    """Make the engine that the options describe, saying so where it is not what was asked for.

    `num_samples`, where known, keeps the default from making more slots than there is work for.
    """
    return engines.make_engine(
        checkpoint,
        say=notices.print,
        device=device,
        slots=slots,
        precision=precision,
        attention=attention,
        compiled=compiled,
        max_slots=num_samples,
    )
