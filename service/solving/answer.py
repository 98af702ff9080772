"""The answer to a test input, from the votes on it, what single variants answered, and warnings."""

import math
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from augment import Grid, Variant, decode_variants
from hrm_core import Outcome
from service.wire.answer import MemberAnswer, MemberShare, RankedCandidate, TestAnswer, VariantTrace
from voting import Candidate, Ranking, Tally, rank

CANDIDATES_SHOWN = 10
# Of one test input. Traces are for people to inspect; tens of thousands of large grids would make
# an answer of many megabytes.
MAX_TRACED: Final = 1000
# Of one answer; what its predictions after each segment may take.
MAX_PREDICTION_BYTES: Final = 64_000_000
# Of a small grid, more than its JSON: the object that holds it here.
_GRID_OBJECT_BYTES = 300
# Up to 16 variants of a held-out demonstration are checked: one in 16 that is right may be chance,
# and cannot outvote the others, since a vote takes two that agree.
MIN_HELD_OUT = 2 / 16


def answer_test(
    tallies: Mapping[str, Tally],
    tally: Tally,
    ranking: Ranking,
    *,
    num_attempts: int,
    num_variants: int,
    shares: Sequence[MemberShare],
    confidence: tuple[float, ...] = (),
    traces: Sequence[VariantTrace] | None = None,
    expected: Grid | None = None,
) -> TestAnswer:
    """Rank the votes on a test input: `tally`, which are the `tallies` of its checkpoints together.

    `num_variants` is the size of the whole vote. The first few candidates are named.
    """
    candidates = rank(tally, ranking)
    attempts = tuple(candidate.grid for candidate in candidates[:num_attempts])
    return TestAnswer(
        attempts=attempts,
        confidence=confidence,
        candidates=_named(candidates[:CANDIDATES_SHOWN], tallies),
        distinct_candidates=len(candidates),
        votes=sum(share.votes for share in shares),
        abstained=sum(share.abstained for share in shares),
        variants_used=sum(share.variants_used for share in shares),
        variants_asked=sum(share.variants_asked for share in shares),
        segments=sum(share.segments for share in shares),
        decided_early=tally.num_ballots < num_variants,
        shares=tuple(shares),
        variants=None if traces is None else tuple(traces),
        expected=expected,
        right=None if expected is None else expected in attempts,
    )


def _named(
    candidates: Sequence[Candidate], tallies: Mapping[str, Tally]
) -> tuple[RankedCandidate, ...]:
    counts = {
        name: {entry.grid: entry.count for entry in tally.entries}
        for name, tally in tallies.items()
    }

    def by_checkpoint(grid: Grid) -> dict[str, int] | None:
        if len(counts) == 1:
            return None
        return {name: count[grid] for name, count in counts.items() if grid in count}

    return tuple(
        RankedCandidate(
            grid=one.grid,
            count=one.count,
            share=one.share,
            mean_q_halt=one.mean_q_halt,
            by_checkpoint=by_checkpoint(one.grid),
        )
        for one in candidates
    )


def read_traces(
    outcomes: Sequence[Outcome], variants: Sequence[Variant], checkpoint: str
) -> tuple[VariantTrace, ...]:
    """Decode outcomes of one test input, each of the variant at its place."""
    tokens = np.stack([outcome.tokens for outcome in outcomes])
    return tuple(
        VariantTrace(
            dihedral=variant.dihedral,
            palette=tuple(variant.palette),
            checkpoint=checkpoint,
            output=None if cells is None else Grid(cells),
            q_halt=round(0.5 + 0.5 * math.tanh(outcome.q_halt_logit / 2), 6),
            segments=outcome.steps,
            predictions=_read_predictions(outcome, variant),
        )
        for cells, outcome, variant in zip(
            decode_variants(tokens, variants), outcomes, variants, strict=True
        )
    )


def _read_predictions(outcome: Outcome, variant: Variant) -> tuple[Grid | None, ...]:
    if outcome.predictions is None:
        return ()
    decoded = decode_variants(outcome.predictions, [variant] * outcome.steps)
    return tuple(None if cells is None else Grid(cells) for cells in decoded)


def count_predictions(num_bytes: int, side: int) -> int:
    """Return how many grids of up to `side` cells a side `num_bytes` hold, here and as JSON."""
    return num_bytes // (2 * side * (side + 1) + _GRID_OBJECT_BYTES)


def answer_warnings(
    members: Sequence[MemberAnswer], inputs: Sequence[Grid], attempts: Sequence[Sequence[Grid]]
) -> tuple[str, ...]:
    """Return what an answer should be read with, the most important first.

    `attempts` are those at each of the test inputs, the best first.
    """
    of_adaptations = [
        f"Adaptation did not take: {100 * share:.0f} % of held-out answers right."
        for member in members
        if member.adaptation is not None
        and (share := member.adaptation.held_out_share) is not None  # else nothing was held out
        and share < MIN_HELD_OUT
    ]
    of_copies = [
        f"The first attempt at test input {number} equals its input."
        for number, (grid, tried) in enumerate(zip(inputs, attempts, strict=True), start=1)
        if tried[:1] == (grid,)
    ]
    return (*dict.fromkeys(of_adaptations), *of_copies)
