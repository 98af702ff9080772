"""The options of an engine, as commands and settings give them; loads no torch."""

from dataclasses import dataclass, fields, replace
from typing import Self


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """Where and how an engine runs; None, or "auto", leaves the choice to the engine.

    `slots` None: as many as were measured to be worth it and fit. `precision` None: the
    checkpoint's, or bfloat16 for float32 where the processor is clearly faster in it. `compiled`
    None: on CUDA only. `num_threads` None: by the network's size and the free cores.
    """

    device: str = "auto"
    slots: int | None = None
    precision: str | None = None
    attention: str = "auto"
    compiled: bool | None = None
    num_threads: int | None = None

    @property
    def given(self) -> tuple[str, ...]:
        """The names of the options that differ from their defaults."""
        return tuple(
            field.name for field in fields(self) if getattr(self, field.name) != field.default
        )

    def fill(self, other: Self) -> Self:
        """Return these options, with those that were left open taken from others."""
        return replace(other, **{name: getattr(self, name) for name in self.given})
