"""When an answer counts as settled, and which part of it counts."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from hrm_core.carry import run_segment
from hrm_core.settling import SETTLED_SEGMENTS, answer_part

ARC: Any = SimpleNamespace(vocab_size=12, canvas=3, no_ACT_continue=False)
SUDOKU: Any = SimpleNamespace(vocab_size=11, canvas=3, no_ACT_continue=False)


@pytest.mark.parametrize(
    ("tokens", "kept"),
    [
        ([[5, 6, 1], [7, 8, 1], [1, 1, 0]], [[5, 6, 0], [7, 8, 0], [0, 0, 0]]),
        ([[5, 0, 9], [7, 8, 9], [2, 3, 4]], [[5, 0, 0], [7, 0, 0], [2, 0, 0]]),
        ([[5, 6, 7], [1, 8, 9], [2, 3, 4]], [[5, 6, 7], [0, 0, 0], [0, 0, 0]]),
        ([[1, 6, 7], [5, 8, 9], [2, 3, 4]], [[0, 0, 0], [0, 0, 0], [0, 0, 0]]),
    ],
)
def test_what_counts_runs_from_the_corner_in_colours_alone(
    tokens: list[list[int]], kept: list[list[int]]
) -> None:
    predictions = torch.tensor([tokens], dtype=torch.uint8).flatten(1)
    assert answer_part(predictions, ARC).view(3, 3).tolist() == kept


def test_other_vocabularies_count_as_a_whole() -> None:
    predictions = torch.tensor([[0, 1, 2, 0, 1, 2, 0, 1, 2]], dtype=torch.uint8)
    assert torch.equal(answer_part(predictions, SUDOKU), predictions)


class Script:
    """A network of one sample that says what it is told, segment by segment."""

    config = ARC
    H_init = L_init = torch.zeros(1)

    def __init__(self, colours: list[int], excesses: list[float]) -> None:
        self.colours, self.excesses = iter(colours), iter(excesses)

    def embed(self, tokens: Tensor, rows: Tensor) -> None:
        """Give nothing."""

    def segment(self, z_H: Tensor, z_L: Tensor, e: None) -> tuple[Tensor, Tensor]:
        """Leave the state."""
        return z_H, z_L

    def read_q(self, z_H: Tensor) -> tuple[Tensor, Tensor]:
        """Say the next excess of q_halt."""
        return torch.tensor([next(self.excesses)]), torch.zeros(1)

    def read_logits(self, z_H: Tensor) -> Tensor:
        """Fill the canvas with the next colour."""
        return torch.nn.functional.one_hot(torch.full((1, 9), next(self.colours)), 12).float()


@pytest.mark.parametrize(
    ("colours", "excesses", "stops_at"),
    [
        ([3, 3, 3, 3, 3, 3], [1, 1, 1, 1, 1, 1], 4),
        ([3, 4, 4, 4, 4, 4], [1, 1, 1, 1, 1, 1], 5),
        ([3, 3, 3, 4, 3, 3], [1, 1, 1, 1, 1, 1], 6),
        ([3, 3, 3, 3, 3, 3], [-1, 1, -1, -1, -1, -1], 4),
        ([3, 3, 3, 3, 3, 3], [-1, -1, -1, -1, 1, -1], 5),
        ([3, 3, 3, 3, 3, 3], [-1, -1, -1, -1, -1, -1], 6),
    ],
)
def test_act_halts_once_q_has_said_so_and_the_answer_has_settled(
    colours: list[int], excesses: list[float], stops_at: int
) -> None:
    assert SETTLED_SEGMENTS == 3
    network: Any = Script(colours, excesses)
    state = torch.zeros(1, 1, 1)
    answer = torch.zeros(1, 9, dtype=torch.uint8)
    unchanged, said = torch.zeros(1, dtype=torch.int32), torch.ones(1, dtype=torch.bool)
    for step in range(6):  # a fresh slot: what its last sample left behind must not count
        _, _, answer, unchanged, said, report, _ = run_segment(
            network,
            *(state, state, answer, state),
            *(torch.tensor([step]), torch.tensor([6])),
            *(torch.tensor([step == 0]), torch.tensor([True])),
            *(answer, unchanged, said),
        )
        if report[0, 0]:
            break
    assert report[0, 1] == stops_at
