"""Warnings on an answer, from what is known of it without the truth."""

from collections.abc import Sequence

from augment import KINDS, Grid, Puzzle
from service.wire.answer import AdaptationSummary, MemberAnswer, TestAnswer

# Up to 16 variants of a held-out demonstration are checked: one in 16 that is right may be chance,
# and cannot outvote the others, since a vote takes two that agree.
MIN_HELD_OUT = 2 / 16
UNVERIFIED = "No variant's answer obeys the rules, so no attempt is right."


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


def rule_warnings(puzzle: Puzzle, tests: Sequence[TestAnswer]) -> tuple[str, ...]:
    """Return what the answers to a Sudoku or a maze should be read with."""
    rules = KINDS[puzzle.kind].rules
    if rules is None:
        return ()
    unverified = (UNVERIFIED for test in tests if not test.verified)
    return (*unverified, *(note for grid in puzzle.test for note in rules.notes(grid)))


def _took(adaptation: AdaptationSummary) -> bool:
    """Return whether an adaptation took; where nothing was held out, that is not known."""
    if adaptation.held_out_share is None:
        return True
    return adaptation.held_out_share >= MIN_HELD_OUT


def _adaptation_warning(adaptation: AdaptationSummary) -> str:
    share = adaptation.held_out_share or 0.0
    return f"Adaptation did not take: {_percent(share)} of held-out answers right."


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"
