"""Recipes of test-time training by name: what published runs used, as options of an adaptation.

The numbers are for all devices together. What a machine does not hold or the time does not allow is
left to training: batches go through the network in slices, and phases are shares of the budget.
Loads no torch.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any, Final

from augment import MAX_SIDE, Puzzle
from service.wire.errors import InputError

# With crop, a batch is as large for the largest puzzles as for small ones; 16 for the prefix.
_MAX_POSITIONS = MAX_SIDE**2 + 16
QUICK = "quick"
_NVARC = "NVARC's submission to ARC Prize 2025 (github.com/1ytic/NVARC)"


@dataclass(frozen=True, slots=True)
class Recipe:
    """A recipe: the fields of `AdaptOptions` in which it differs from their defaults.

    `epochs` are how often each puzzle is trained, in one variant with all its demonstrations; None
    where only the options limit the training. `result` is what its source reports.
    """

    name: str
    settings: Mapping[str, Any]
    source: str
    result: str
    epochs: int | None = None

    def options(self, puzzles: Sequence[Puzzle], given: Mapping[str, Any]) -> dict[str, Any]:
        """Return the fields of `AdaptOptions` for puzzles; those `given` count before its own.

        Steps that are given replace the epochs.
        """
        fields = {"recipe": self.name, **self.settings, **given}
        if self.epochs is not None and fields.get("steps") is None:
            num_pairs = sum(len(puzzle.train) for puzzle in puzzles)
            fields["steps"] = max(1, ceil(self.epochs * num_pairs / fields["batch_size"]))
        if "batch_tokens" in self.settings and "batch_tokens" not in given:
            fields["batch_tokens"] = fields["batch_size"] * _MAX_POSITIONS
        return fields


def _published(batch_size: int, **settings: Any) -> dict[str, Any]:
    """Return settings that published recipes have in common: nothing held out, constant rates."""
    return {
        "batch_size": batch_size,
        "batch_tokens": batch_size * _MAX_POSITIONS,
        "lr": 1e-4,
        "row_lr": 1e-2,
        "ema_decay": 0.999,
        "holds_out": False,
        "tapers": False,
        **settings,
    }


def _nvarc(hours: int) -> dict[str, Any]:
    return _published(
        128,
        seconds=3600.0 * hours,
        num_variants=128,
        warmup_steps=200,
        warmup_share=0.02,  # 200 of the 12,000 steps that 240 tasks take in 2,000 epochs
        rows_only_share=0.0,
        h_cycles=4,
        l_cycles=4,
        halt_max_steps=10,
    )


RECIPES: Final[Mapping[str, Recipe]] = {
    recipe.name: recipe
    for recipe in (
        Recipe(
            QUICK,
            {},
            "docs/adapt.md: bases of small puzzles, minutes on a processor",
            "14 of 27 test inputs of up to 8 x 8 cells after ten minutes of one thread",
        ),
        Recipe(
            "nvarc-2h",
            _nvarc(2),
            f"{_NVARC}, the short run: about 2 h on 4 x L4",
            "ARC-AGI-2: 9.44 % local, 7.5 on the leaderboard",
            epochs=2000,
        ),
        Recipe(
            "nvarc-4h",
            _nvarc(4),
            f"{_NVARC}, the long run: under 4 h on 4 x L4",
            "ARC-AGI-2: 10.1 % local, 10.0 on the leaderboard",
            epochs=4000,
        ),
        Recipe(
            "trelis",
            _published(
                384,
                steps=12500,
                num_variants=256,
                warmup_steps=2000,
                warmup_share=2000 / 12500,
                rows_only_share=3125 / 12500,
            ),
            "arXiv 2511.02886: within the 12 h on 4 x L4 that Kaggle gives",
            "ARC-AGI-2: 6.67 % semi-private",
        ),
    )
}


def find_recipe(name: str | None) -> Recipe:
    """Return the recipe of a name; that of quick adaptations for None.

    Raises: InputError for an unknown one.
    """
    if name is not None and name not in RECIPES:
        raise InputError(f"there is no recipe {name!r}: give one of {', '.join(RECIPES)}")
    return RECIPES[name or QUICK]
