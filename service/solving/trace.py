"""Traces: the answers of single variants behind a vote."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from augment import Grid, Variant, decode_variants

# Of one test input. Traces are for people to inspect; tens of thousands of large grids would make
# an answer of many megabytes.
MAX_TRACED: Final = 1000


@dataclass(frozen=True, slots=True)
class VariantTrace:
    """The answer of one variant: its grid with the variant undone, None where it abstained."""

    variant: Variant
    checkpoint: str
    output: Grid | None
    q_halt: float
    num_segments: int

    def document(self) -> dict[str, Any]:
        """Return the trace as JSON values."""
        return {
            "dihedral": self.variant.dihedral,
            "palette": list(self.variant.palette),
            "checkpoint": self.checkpoint,
            "output": None if self.output is None else self.output.to_rows(),
            "q_halt": round(self.q_halt, 6),
            "segments": self.num_segments,
        }


def read_traces(
    tokens: NDArray[np.integer[Any]],
    q_halt_logits: Sequence[float],
    num_segments: Sequence[int],
    variants: Sequence[Variant],
    checkpoint: str,
) -> tuple[VariantTrace, ...]:
    """Decode the outcomes of one test input's variants.

    Shapes: tokens [N, S], and N of all the others.
    """
    return tuple(
        VariantTrace(
            variant, checkpoint, None if cells is None else Grid(cells), _sigmoid(logit), segments
        )
        for cells, logit, segments, variant in zip(
            decode_variants(tokens, variants), q_halt_logits, num_segments, variants, strict=True
        )
    )


def _sigmoid(logit: float) -> float:
    # exp of a negative number only: no overflow at either end.
    small = math.exp(-abs(logit))
    return (1.0 if logit >= 0 else small) / (1.0 + small)
