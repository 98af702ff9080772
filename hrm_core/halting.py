"""When a sample stops."""

from dataclasses import dataclass
from enum import Enum


class Halting(Enum):
    """`ACT`: as soon as q says so. `FIXED`: after all segments, as the reference evaluates."""

    ACT = "act"
    FIXED = "fixed"


class HaltReason(Enum):
    """Why a sample stopped."""

    Q_HALT = "q_halt"
    MAX_SEGMENTS = "max_segments"


@dataclass(frozen=True, slots=True)
class HaltRule:
    """The halting of a sample and the most segments it may take."""

    halting: Halting
    max_segments: int
