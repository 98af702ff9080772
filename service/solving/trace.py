"""Traces: the answers of single variants behind a vote."""

import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from augment import Grid, Variant, decode_variants
from service.wire.answer import VariantTrace

# Of one test input. Traces are for people to inspect; tens of thousands of large grids would make
# an answer of many megabytes.
MAX_TRACED: Final = 1000


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
            dihedral=variant.dihedral,
            palette=tuple(variant.palette),
            checkpoint=checkpoint,
            output=None if cells is None else Grid(cells),
            q_halt=round(_sigmoid(logit), 6),
            segments=segments,
        )
        for cells, logit, segments, variant in zip(
            decode_variants(tokens, variants), q_halt_logits, num_segments, variants, strict=True
        )
    )


def _sigmoid(logit: float) -> float:
    # exp of a negative number only: no overflow at either end.
    small = math.exp(-abs(logit))
    return (1.0 if logit >= 0 else small) / (1.0 + small)
