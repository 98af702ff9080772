"""Ballots: outcomes are decoded, their variants undone, and equal grids counted."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from augment import Grid, Variant, decode_variants
from voting.tally import Q_ONE, GridVotes, Tally, VotingError


class BallotError(VotingError):
    """Outcomes cannot be counted: arrays do not belong together, or hold no numbers."""


def count_ballots(
    tokens: NDArray[np.integer[Any]],
    q_halt_logits: NDArray[np.floating[Any]],
    variants: Sequence[Variant],
) -> Tally:
    """Count the outcomes of one test input's variants as ballots.

    An outcome that does not decode to a grid abstains.

    Shapes: tokens [N, S], q_halt_logits [N], and N variants.

    Raises: BallotError where the three do not belong together or a logit is not a number.
    """
    num_ballots = len(variants)
    if tokens.ndim != 2 or len(tokens) != num_ballots or q_halt_logits.shape != (num_ballots,):
        raise BallotError(
            f"{num_ballots} variants need tokens [{num_ballots}, S] and q_halt_logits "
            f"[{num_ballots}], not {list(tokens.shape)} and {list(q_halt_logits.shape)}"
        )
    counts: dict[tuple[tuple[int, ...], bytes], list[int]] = {}
    abstained = 0
    for cells, q in zip(
        decode_variants(tokens, variants), _scaled_q(q_halt_logits).tolist(), strict=True
    ):
        if cells is None:
            abstained += 1
            continue
        key = (cells.shape, cells.tobytes())
        entry = counts.get(key)
        if entry is None:
            counts[key] = [1, q]
        else:
            entry[0] += 1
            entry[1] += q
    # The keys sort as Grid does; a Grid is made once for each distinct grid.
    return Tally(
        tuple(
            GridVotes(_grid(shape, cells), count, q_sum)
            for (shape, cells), (count, q_sum) in sorted(counts.items())
        ),
        abstained,
    )


def _grid(shape: tuple[int, ...], cells: bytes) -> Grid:
    return Grid(np.frombuffer(cells, dtype=np.uint8).reshape(shape))


def _scaled_q(logits: NDArray[np.floating[Any]]) -> NDArray[np.int64]:
    """Return sigmoid(logits) as integers in 1 / Q_ONE, computed in float64."""
    if np.isnan(logits).any():
        raise BallotError(f"q_halt_logits[{int(np.isnan(logits).argmax())}] is not a number")
    # exp(-log(1 + exp(-x))): no overflow at either end.
    q = np.exp(-np.logaddexp(0.0, -logits.astype(np.float64)))
    scaled: NDArray[np.int64] = np.rint(q * Q_ONE).astype(np.int64)
    return scaled
