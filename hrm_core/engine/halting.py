"""When a sample stops."""

from dataclasses import dataclass
from enum import Enum


class Halting(Enum):
    """`ACT`: once q calls the answer right (q_halt > 0) and it has settled. `FIXED`: at the end.

    `FIXED`, all segments, is how the reference evaluates. Training's rule, q_halt > q_continue, is
    no use for stopping early: q_continue learns the best q still to come, which for a settled
    answer is its own, so the two take turns by chance, and answers that would still change stop.
    Each is one vote of many, but where votes are divided a single one moves an attempt.
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
