"""Checks of an adaptation: how much is right so far, when to look, and whether it is enough."""

from collections import Counter
from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import cycle
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from hrm_core.model.network import Network
from hrm_core.training.arrays import TrainingArrays
from hrm_core.training.ranks import ONE_RANK, Ranks

# The first check, and the time from one to the next, as shares of the budget: a quarter of what is
# used, within bounds. What is soon learned is noticed soon, and few checks are made in all.
FIRST_CHECK = 1 / 32
MIN_SPACING, MAX_SPACING, SPACING = 1 / 64, 1 / 16, 1 / 4
# Checks may take an eighth of the time of training. A step with its gradients costs as much as
# three without.
CHECK_COST = 8
STEP_COST = 3
# Enough is learned once so much was right at so many checks in a row. Right demonstrations say less
# than held-out ones.
ENOUGH_SHARE = 0.95
NUM_ENOUGH, NUM_ENOUGH_LEARNED = 2, 3
# The held-out share has stopped rising when it got no better during so much of the budget.
PATIENCE = 6 / 16
# Samples of a check at once, in number like a slice of training.
CHUNK_SIZE = 64


class Ending(StrEnum):
    """Why the last phase of an adaptation began."""

    BUDGET = "budget"
    """The budget made it due."""
    LEARNED = "learned"
    """What is checked was right, and stayed so."""
    STALLED = "stalled"
    """The held-out share stopped rising."""


@dataclass(frozen=True, slots=True)
class CheckedExamples:
    """Examples of one size that are checked, and the puzzle that each belongs to.

    Shapes: indices int64 [N]; puzzles [N], or none where nobody asks.
    """

    arrays: TrainingArrays
    indices: npt.NDArray[np.int64]
    puzzles: Sequence[str] = ()


class Check(NamedTuple):
    """The shares right at a step, None where nothing of the kind is checked."""

    step: int
    used_share: float
    held_out_share: float | None
    learned_share: float | None

    @property
    def is_enough(self) -> bool:
        """Whether enough was right."""
        shares = [one for one in (self.held_out_share, self.learned_share) if one is not None]
        return bool(shares) and min(shares) >= ENOUGH_SHARE


def spacing_after(check: Check) -> float:
    """Return the share of the budget from a check to the next, which is near once it may do."""
    if check.is_enough:
        return MIN_SPACING
    return min(MAX_SPACING, max(MIN_SPACING, SPACING * check.used_share))


def has_learned(checks: Sequence[Check]) -> bool:
    """Return whether enough was right at the last few checks."""
    if not checks:
        return False
    num = NUM_ENOUGH_LEARNED if checks[-1].held_out_share is None else NUM_ENOUGH
    return len(checks) >= num and all(check.is_enough for check in checks[-num:])


def has_stalled(checks: Sequence[Check], since: float) -> bool:
    """Return whether the held-out share stopped rising; checks before `since` do not count.

    A share of 0 may not have begun to rise.

    Units: `since` as a share of the budget.
    """
    shares = [
        (check.used_share, check.held_out_share)
        for check in checks
        if check.held_out_share is not None and check.used_share >= since
    ]
    if not shares:
        return False
    latest = shares[-1][0]
    before = [share for used, share in shares if used <= latest - PATIENCE + 1e-6]
    after = [share for used, share in shares if used > latest - PATIENCE + 1e-6]
    return bool(before) and max(before) > 0.0 and max(after) <= max(before)


def right_in_segments(
    network: Network, table: Tensor, examples: Iterable[CheckedExamples], ranks: Ranks = ONE_RANK
) -> Generator[None, None, list[bool]]:
    """Return of each example whether every cell is right after all segments; yield after each.

    The ranks take turns, each with a number of examples at once.

    Shapes: table float32 [num_rows, puzzle_emb_ndim].
    """
    right: list[bool] = []
    turns = cycle(range(ranks.size))
    for checked in examples:
        arrays = checked.arrays
        row_of_example = np.repeat(arrays.rows, np.diff(arrays.variant_starts))
        for start in range(0, len(checked.indices), CHUNK_SIZE):
            part = checked.indices[start : start + CHUNK_SIZE]
            if next(turns) != ranks.rank:
                right += [False] * len(part)
                continue
            inputs, labels, rows = (
                torch.from_numpy(array[part].astype(np.int64)).to(table.device)
                for array in (arrays.inputs, arrays.labels, row_of_example)
            )
            z_H, z_L = network.fresh_state(len(part), inputs.shape[1])
            for _ in range(network.config.halt_max_steps):
                with torch.inference_mode():
                    z_H, z_L = network.segment(z_H, z_L, network.embed(inputs, table[rows]))
                yield
            with torch.inference_mode():
                is_wrong = (network.read_logits(z_H).argmax(-1) != labels) & (labels != 0)
                right += (~is_wrong.any(-1)).tolist()
    return ranks.merge(right)


def share_of(right: Sequence[bool]) -> float | None:
    """Return the share that is right, None of nothing."""
    return round(sum(right) / len(right), 5) if right else None


def shares_by_puzzle(
    examples: Iterable[CheckedExamples], right: Sequence[bool]
) -> dict[str, float]:
    """Return the share of each puzzle's examples that is right."""
    names = [name for checked in examples for name in checked.puzzles]
    nums = Counter(names)
    nums_right = Counter(name for name, is_right in zip(names, right, strict=False) if is_right)
    return {name: round(nums_right[name] / num, 5) for name, num in nums.items()}
