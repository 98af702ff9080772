"""The answer to a test input, from the votes on it, what single variants answered, and warnings."""

import math
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from augment import ARC, KINDS, AnyVariant, Grid, Kind, Puzzle
from hrm_core import Outcome
from service.wire.answer import MemberAnswer, RankedCandidate, TestAnswer, VariantTrace
from voting import Candidate, Tally

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
UNVERIFIED = "No variant's answer obeys the rules, so no attempt is right."


def named_candidates(
    candidates: Sequence[Candidate], tallies: Mapping[str, Tally]
) -> tuple[RankedCandidate, ...]:
    """Return the first few candidates with their votes, also by checkpoint where several voted."""
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
        for one in candidates[:CANDIDATES_SHOWN]
    )


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
            q_halt=round(0.5 + 0.5 * math.tanh(outcome.q_halt_logit / 2), 6),
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


def rule_warnings(puzzle: Puzzle, tests: Sequence[TestAnswer]) -> tuple[str, ...]:
    """Return what the answers to a Sudoku or a maze should be read with."""
    rules = KINDS[puzzle.kind].rules
    if rules is None:
        return ()
    unverified = (UNVERIFIED for test in tests if not test.verified)
    return (*unverified, *(note for grid in puzzle.test for note in rules.notes(grid)))
