"""What a pooled engine and the processes of its engines send each other."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from hrm_core import Engine, EngineConfig, HaltRule, Outcome, Sample
from hrm_core.device.arithmetic import Arithmetic
from service.runtime.devices import EngineOptions

# As `service.solving.engines.make_engine`, with what is the same for all processes bound.
MakeEngine = Callable[..., Engine]


@dataclass(frozen=True, slots=True)
class Opening:
    """The checkpoint to open, and what makes its engine; the first message to a process."""

    folder: Path
    canvas: int
    sha256: str
    make_engine: MakeEngine


@dataclass(frozen=True, slots=True)
class Start:
    """How to make the engine; `arithmetic` None leaves it to the engine."""

    options: EngineOptions
    arithmetic: Arithmetic | None = None


@dataclass(frozen=True, slots=True)
class Ready:
    """The engine is made: the options that it runs with, and sentences on what it could not have.

    `num_slots` and `slots_by_size` as of the engine.
    """

    config: EngineConfig
    options: EngineOptions
    arithmetic: Arithmetic
    attention: str
    num_threads: int | None
    num_slots: int
    slots_by_size: Mapping[int, int]
    said: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Batch:
    """Samples to add, with tokens of the pool as their ids."""

    rule: HaltRule
    samples: tuple[Sample, ...]


@dataclass(frozen=True, slots=True)
class Drop:
    """Samples to cancel, by their ids."""

    sample_ids: frozenset[int]


@dataclass(frozen=True, slots=True)
class Stepped:
    """The outcomes of a step, and the slots that the engine has now."""

    outcomes: tuple[Outcome, ...]
    num_slots: int
    slots_by_size: Mapping[int, int]


@dataclass(frozen=True, slots=True)
class Failed:
    """Why the process ends."""

    reason: str
