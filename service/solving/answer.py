"""The answer to a test input, from the votes on it."""

from collections.abc import Mapping, Sequence
from typing import Any

from augment import Grid
from service.wire.answer import MemberShare, RankedCandidate, TestAnswer, VariantTrace
from voting import Candidate, Ranking, Tally, rank

CANDIDATES_SHOWN = 10


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
    # What has no value is not among the members of the answer.
    more: dict[str, Any] = {}
    if confidence:
        more["confidence"] = confidence
    if traces is not None:
        more["variants"] = tuple(traces)
    if expected is not None:
        more |= {"expected": expected, "right": expected in attempts}
    return TestAnswer(
        attempts=attempts,
        candidates=_named(candidates[:CANDIDATES_SHOWN], tallies),
        distinct_candidates=len(candidates),
        votes=sum(share.votes for share in shares),
        abstained=sum(share.abstained for share in shares),
        variants_used=sum(share.variants_used for share in shares),
        variants_asked=sum(share.variants_asked for share in shares),
        segments=sum(share.segments for share in shares),
        decided_early=tally.num_ballots < num_variants,
        shares=tuple(shares),
        **more,
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
        more: dict[str, Any] = {}
        if len(counts) > 1:
            more["by_checkpoint"] = {
                name: count[one.grid] for name, count in counts.items() if one.grid in count
            }
        named.append(
            RankedCandidate(
                grid=one.grid,
                count=one.count,
                share=one.share,
                mean_q_halt=one.mean_q_halt,
                **more,
            )
        )
    return tuple(named)
