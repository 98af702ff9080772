"""What goes into the engine and what comes out."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hrm_core.engine.halting import HaltReason


@dataclass(frozen=True, slots=True)
class Sample:
    """One canvas with its puzzle row. The id is whatever its owner knows it by, and hashable.

    Shapes: tokens int32 [S]; puzzle_row float32 [puzzle_emb_ndim].
    """

    sample_id: Any
    tokens: npt.NDArray[np.int32]
    puzzle_row: npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Outcome:
    """A halted sample's answer.

    Shapes: tokens uint8 [S]. `steps` are segments.
    """

    sample_id: Any
    tokens: npt.NDArray[np.uint8]
    q_halt_logit: float
    q_continue_logit: float
    steps: int
    halt_reason: HaltReason
