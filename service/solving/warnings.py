"""Warnings on an answer, from what is known of it without the truth."""

from collections.abc import Sequence

from augment import Grid
from service.wire.answer import AdaptationSummary, MemberAnswer

# An adaptation to one puzzle is checked with 16 variants of a held-out demonstration: one that is
# right may be chance, and cannot outvote the others, since a vote takes two that agree.
MIN_HELD_OUT_ALONE = 2 / 16
# The share of an adaptation to several puzzles is their mean, so less of it says as much. In the
# records in bench/results (2026-11-22 to 2026-11-25, 27 test inputs of 21 puzzles), runs with 0 to
# 2.6 % solved 0 to 3 at the first attempt, and those with 6.1 to 10.5 % solved 9 to 11.
MIN_HELD_OUT_TOGETHER = 0.05


def answer_warnings(
    members: Sequence[MemberAnswer], inputs: Sequence[Grid], attempts: Sequence[Sequence[Grid]]
) -> tuple[str, ...]:
    """Return what an answer should be read with, the most important first.

    `attempts` are those at each of the test inputs, the best first.
    """
    of_adaptations = [
        _adaptation_warning(member.adaptation)
        for member in members
        if member.adaptation is not None and not _took(member.adaptation)
    ]
    of_copies = [
        f"The first attempt at test input {number} equals its input."
        for number, (grid, tried) in enumerate(zip(inputs, attempts, strict=True), start=1)
        if tried[:1] == (grid,)
    ]
    return (*dict.fromkeys(of_adaptations), *of_copies)


def _took(adaptation: AdaptationSummary) -> bool:
    """Return whether an adaptation took; where nothing was held out, that is not known."""
    if adaptation.held_out_share is None:
        return True
    is_alone = adaptation.puzzles == 1
    return adaptation.held_out_share >= (MIN_HELD_OUT_ALONE if is_alone else MIN_HELD_OUT_TOGETHER)


def _adaptation_warning(adaptation: AdaptationSummary) -> str:
    num_puzzles = adaptation.puzzles
    of_whom = "" if num_puzzles == 1 else f" for most of its {num_puzzles} puzzles"
    share = adaptation.held_out_share or 0.0
    return f"Adaptation did not take{of_whom}: {_percent(share)} of held-out answers right."


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"
