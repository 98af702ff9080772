"""When an answer counts as settled, and which part of it counts."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from hrm_core.engine.carry import (
    SETTLED_SEGMENTS,
    SPARING_ODDS,
    SlotTensors,
    answer_part,
    count_wanted,
    run_segment,
)

ARC: Any = SimpleNamespace(vocab_size=12, canvas=3)
SUDOKU: Any = SimpleNamespace(vocab_size=11, canvas=3)


@pytest.mark.parametrize(
    ("tokens", "kept"),
    [
        ([[5, 6, 1], [7, 8, 1], [1, 1, 0]], [[5, 6, 0], [7, 8, 0], [0, 0, 0]]),
        ([[5, 0, 9], [7, 8, 9], [2, 3, 4]], [[5, 0, 0], [7, 0, 0], [2, 0, 0]]),
        ([[5, 6, 7], [1, 8, 9], [2, 3, 4]], [[5, 6, 7], [0, 0, 0], [0, 0, 0]]),
        ([[1, 6, 7], [5, 8, 9], [2, 3, 4]], [[0, 0, 0], [0, 0, 0], [0, 0, 0]]),
    ],
)
def test_what_counts_runs_from_the_corner_in_colours_only(
    tokens: list[list[int]], kept: list[list[int]]
) -> None:
    predictions = torch.tensor([tokens], dtype=torch.uint8).flatten(1)
    assert answer_part(predictions, ARC).view(3, 3).tolist() == kept


def test_what_counts_follows_the_side_of_what_is_given() -> None:
    predictions = torch.tensor([[5, 1, 6, 7]], dtype=torch.uint8)
    assert answer_part(predictions, ARC).view(2, 2).tolist() == [[5, 0], [6, 0]]


def test_other_vocabularies_count_as_a_whole() -> None:
    predictions = torch.tensor([[0, 1, 2, 0, 1, 2, 0, 1, 2]], dtype=torch.uint8)
    assert torch.equal(answer_part(predictions, SUDOKU), predictions)


class Script:
    """A network of one sample with given outputs, segment by segment."""

    config = ARC
    H_init = L_init = torch.zeros(1)

    def __init__(self, colours: list[int], q_halts: list[float], odds: float = 2.0) -> None:
        self.colours, self.q_halts, self.odds = iter(colours), iter(q_halts), odds

    def embed(self, tokens: Tensor, rows: Tensor) -> None:
        """Give nothing."""

    def segment(self, z_H: Tensor, z_L: Tensor, e: None) -> tuple[Tensor, Tensor]:
        """Leave the state."""
        return z_H, z_L

    def read_q(self, z_H: Tensor) -> tuple[Tensor, Tensor]:
        """Say the next q_halt; q_continue always more."""
        return torch.tensor([next(self.q_halts)]), torch.full((1,), 9.0)

    def read_logits(self, z_H: Tensor) -> Tensor:
        """Fill the canvas with the next colour, at the odds against any other token."""
        chosen = torch.nn.functional.one_hot(torch.full((1, 9), next(self.colours)), 12).float()
        return chosen * (self.odds - 1)  # stablemax weighs x as x + 1


@pytest.mark.parametrize(
    ("colours", "q_halts", "stops_at"),
    [
        ([3, 3, 3, 3, 3, 3, 3], [1, 1, 1, 1, 1, 1, 1], 5),
        ([3, 4, 4, 4, 4, 4, 4], [1, 1, 1, 1, 1, 1, 1], 6),
        ([3, 3, 3, 3, 4, 3, 3], [1, 1, 1, 1, 1, 1, 1], 7),
        ([3, 3, 3, 3, 3, 3, 3], [-1, -1, -1, -1, -1, 1, 1], 6),
        ([3, 3, 3, 3, 3, 3, 3], [1, 1, 1, 1, -1, -1, -1], 7),
    ],
)
def test_act_halts_once_q_calls_the_answer_right_and_it_has_settled(
    colours: list[int], q_halts: list[float], stops_at: int
) -> None:
    assert SETTLED_SEGMENTS == 4
    assert steps_until_halt(Script(colours, q_halts)) == stops_at


@pytest.mark.parametrize(
    ("odds", "stops_at"), [(9.9, 5), (10.1, 4), (49.0, 4), (51.0, 3), (99.0, 3), (101.0, 2)]
)
def test_a_clear_answer_settles_sooner(odds: float, stops_at: int) -> None:
    assert SPARING_ODDS == (10.0, 50.0, 100.0)
    assert steps_until_halt(Script([3] * 7, [1.0] * 7, odds)) == stops_at


def test_the_least_clear_cell_of_the_answer_decides_and_no_other() -> None:
    logits = torch.zeros(3, 9, 12)
    logits[:, :, 5] = 99.0
    logits[:, 3, 5] = 2.0
    predictions = logits.argmax(-1).to(torch.uint8)
    answer = predictions.clone()
    answer[1, 3:] = 0
    answer[2] = 0
    assert count_wanted(logits, predictions, answer, ARC).tolist() == [4, 1, 4]
    assert count_wanted(logits, predictions, answer, SUDOKU).tolist() == [4, 4, 4]


def steps_until_halt(network: Any) -> int:
    """Run an act sample of seven segments at most; return how many it took."""
    state = torch.zeros(1, 1, 1)
    answer = torch.zeros(1, 9, dtype=torch.uint8)
    unchanged = torch.full((1,), 9, dtype=torch.int32)
    for step in range(7):  # a fresh slot: what its last sample left behind must not count
        slots = SlotTensors(
            z_H=state,
            z_L=state,
            tokens=answer,
            puzzle_rows=state,
            steps=torch.tensor([step]),
            max_steps=torch.tensor([7]),
            is_fresh=torch.tensor([step == 0]),
            is_act=torch.tensor([True]),
            answer=answer,
            num_unchanged=unchanged,
        )
        output = run_segment(network, slots)
        answer, unchanged, report = output.answer, output.num_unchanged, output.report
        if report[0, 0]:
            break
    return int(report[0, 1])
