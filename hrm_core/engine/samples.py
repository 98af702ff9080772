"""Samples that go into the engine, outcomes that come out, and when a sample halts."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np
import numpy.typing as npt


class Halting(Enum):
    """The rule by which a sample halts.

    `ACT`: once q calls its answer right (q_halt > 0) and the answer has settled. `FIXED`: after all
    segments, as the reference evaluates. Training's rule, q_halt > q_continue, does not serve for
    stopping early: q_continue learns the best q still to come, which for a settled answer is its
    own, so the two alternate by chance, and answers that would still change stop. Each is one vote
    of many, but where votes are divided a single one moves an attempt.
    """

    ACT = "act"
    FIXED = "fixed"


@dataclass(frozen=True, slots=True)
class HaltRule:
    """A sample's halting, and the number of segments it may take."""

    halting: Halting
    max_segments: int


# Whether a sample, by its id, is meant.
SampleFilter = Callable[[Any], bool]


def any_sample(sample_id: object) -> bool:
    """Match every sample."""
    return True


@dataclass(frozen=True, slots=True)
class Sample:
    """One canvas with its puzzle row; `sample_id` is unique within its job.

    Of a traced sample the outcome has the predictions of every segment, which are copied to the
    host as they come.

    Shapes: tokens int32 [S]; puzzle_row float32 [puzzle_emb_ndim].
    """

    sample_id: Any
    tokens: npt.NDArray[np.int32]
    puzzle_row: npt.NDArray[np.float32]
    is_traced: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """A halted sample's answer, with the job and the id that it was added with.

    `predictions` are the tokens after each segment, of a traced sample; the last are `tokens`.

    Shapes: tokens uint8 [S]; predictions uint8 [steps, S].

    Units: `steps` in segments.
    """

    job: Any
    sample_id: Any
    tokens: npt.NDArray[np.uint8]
    q_halt_logit: float
    q_continue_logit: float
    steps: int
    predictions: npt.NDArray[np.uint8] | None = None
