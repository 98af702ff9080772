"""The answer to a test input, from the votes on it, and what single variants answered."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import numpy as np

from augment import ARC, AnyVariant, Grid, Kind
from hrm_core import Outcome
from service.wire.answer import MemberShare, RankedCandidate, TestAnswer, VariantTrace
from voting import Candidate, Ranking, Tally, rank

CANDIDATES_SHOWN = 10
# Of one test input. Traces are for people to inspect; tens of thousands of large grids would make
# an answer of many megabytes.
MAX_TRACED: Final = 1000
# Of one answer; what its predictions after each segment may take.
MAX_PREDICTION_BYTES: Final = 64_000_000
# Of a small grid, more than its JSON: the object that holds it here.
_GRID_OBJECT_BYTES = 300


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
    solves: Callable[[Grid], bool] | None = None,
    expected: Grid | None = None,
) -> TestAnswer:
    """Rank the votes on a test input: `tally`, which are the `tallies` of its checkpoints together.

    `num_variants` is the size of the whole vote. The first few candidates are named. `solves`
    checks a grid by the rules, where there are any.
    """
    candidates = rank(tally, ranking, solves)
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
        verified=None if solves is None else bool(attempts) and solves(attempts[0]),
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
    named = []
    for one in candidates:
        by_checkpoint = {
            name: count[one.grid] for name, count in counts.items() if one.grid in count
        }
        named.append(
            RankedCandidate(
                grid=one.grid,
                count=one.count,
                share=one.share,
                mean_q_halt=one.mean_q_halt,
                by_checkpoint=by_checkpoint if len(counts) > 1 else None,
            )
        )
    return tuple(named)


def read_traces(
    outcomes: Sequence[Outcome], variants: Sequence[AnyVariant], checkpoint: str, kind: Kind = ARC
) -> tuple[VariantTrace, ...]:
    """Decode outcomes of one test input, each of the variant at its place."""
    tokens = np.stack([outcome.tokens for outcome in outcomes])
    return tuple(
        VariantTrace(
            dihedral=variant.dihedral,
            palette=tuple(variant.palette),
            rows=getattr(variant, "rows", ()),
            columns=getattr(variant, "columns", ()),
            checkpoint=checkpoint,
            output=None if cells is None else Grid(cells),
            q_halt=round(_sigmoid(outcome.q_halt_logit), 6),
            segments=outcome.steps,
            predictions=_read_predictions(outcome, variant, kind),
        )
        for cells, outcome, variant in zip(
            kind.decode(tokens, variants), outcomes, variants, strict=True
        )
    )


def _read_predictions(outcome: Outcome, variant: AnyVariant, kind: Kind) -> tuple[Grid | None, ...]:
    if outcome.predictions is None:
        return ()
    decoded = kind.decode(outcome.predictions, [variant] * outcome.steps)
    return tuple(None if cells is None else Grid(cells) for cells in decoded)


def count_predictions(num_bytes: int, side: int) -> int:
    """Return how many grids of up to `side` cells a side `num_bytes` hold, here and as JSON."""
    return num_bytes // (2 * side * (side + 1) + _GRID_OBJECT_BYTES)


def _sigmoid(logit: float) -> float:
    # exp of a negative number only: no overflow at either end.
    small = math.exp(-abs(logit))
    return (1.0 if logit >= 0 else small) / (1.0 + small)
