"""Warnings on answers: adaptations that did not take, and copies of the input."""

from typing import Any

import pytest

from augment import Grid
from service.solving.answer import answer_warnings
from service.wire.answer import AdaptationSummary, MemberAnswer

INPUT, OTHER = Grid.from_rows([[1, 0]]), Grid.from_rows([[2, 0]])


def member(share: float | None = None, **more: Any) -> MemberAnswer:
    adaptation = AdaptationSummary(
        base="b",
        base_sha256="",
        steps=10,
        seconds=1.0,
        variants=8,
        held_out_share=share,
        stopped_early=False,
        reused=False,
    )
    return MemberAnswer(
        checkpoint="c",
        checkpoint_sha256="",
        enrolled_as="p",
        enrolment="adapted",
        adaptation=more.get("adaptation", adaptation),
        max_segments=1,
        precision="float32",
        attention="dense",
        slots=1,
    )


TRAINED = member(adaptation=None)


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (member(1 / 16), ("Adaptation did not take: 6 % of held-out answers right.",)),
        (member(0.0), ("Adaptation did not take: 0 % of held-out answers right.",)),
        (member(2 / 16), ()),
        (member(None), ()),
        (TRAINED, ()),
    ],
)
def test_an_adaptation_that_did_not_take(one: MemberAnswer, expected: tuple[str, ...]) -> None:
    assert answer_warnings([one], [INPUT], [(OTHER,)]) == expected


def test_a_first_attempt_that_is_its_input() -> None:
    inputs = [INPUT, INPUT, INPUT, INPUT]
    attempts = [(OTHER, INPUT), (INPUT, OTHER), (), (INPUT,)]
    assert answer_warnings([TRAINED], inputs, attempts) == (
        "The first attempt at test input 2 equals its input.",
        "The first attempt at test input 4 equals its input.",
    )


def test_the_adaptation_comes_first_and_once() -> None:
    found = answer_warnings([member(0.0), TRAINED, member(0.0)], [INPUT], [(INPUT,)])
    assert found == (
        "Adaptation did not take: 0 % of held-out answers right.",
        "The first attempt at test input 1 equals its input.",
    )
