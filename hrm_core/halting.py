"""When a sample stops."""

from dataclasses import dataclass
from enum import Enum


class Halting(Enum):
    """`ACT`: once q has said stop and the answer has settled. `FIXED`: after all segments.

    `FIXED` is how the reference evaluates. q alone, the rule of training, stops answers that would
    still change: each is one vote of many, but where votes are few a single one moves an attempt.
    """

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
