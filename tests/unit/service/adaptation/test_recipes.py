"""Recipes by name: what they resolve to, what is given instead, and what the folder records."""

import json
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from augment import Puzzle
from hrm_core import open_checkpoint
from service.adaptation.prepare import AdaptOptions, prepare_adaptation
from service.adaptation.recipes import RECIPES, find_recipe
from service.wire.errors import InputError

MakePuzzle = Callable[..., Puzzle]


@pytest.fixture
def puzzles(puzzle_of: MakePuzzle) -> list[Puzzle]:
    """Return three puzzles with eight demonstrations."""
    return [puzzle_of("a", 1, 2, 3), puzzle_of("b", 4, 5, 6), puzzle_of("c", 7, 8)]


@pytest.mark.parametrize("name", RECIPES)
def test_each_recipe_has_a_source_and_resolves_to_settings(
    name: str, puzzles: list[Puzzle]
) -> None:
    recipe = find_recipe(name)
    options = AdaptOptions(**recipe.options(puzzles, {}))
    settings = options.train_settings()

    assert recipe.source
    assert recipe.result
    assert options.recipe == name
    assert (settings.batch_size, settings.lr) == (options.batch_size, options.lr)
    assert settings.warmup_steps == options.warmup_steps
    # A batch of a published recipe is whole at every size.
    assert name == "quick" or settings.batch_tokens >= 916 * settings.batch_size


def test_the_published_numbers() -> None:
    found = {
        name: AdaptOptions(**RECIPES[name].settings) for name in ("nvarc-2h", "nvarc-4h", "trelis")
    }
    short, long, trelis = found.values()

    assert (RECIPES["nvarc-2h"].epochs, RECIPES["nvarc-4h"].epochs) == (2000, 4000)
    assert (short.seconds, long.seconds) == (7200.0, 14400.0)
    for one in (short, long):
        assert (one.batch_size, one.num_variants, one.lr, one.warmup_steps) == (128, 128, 1e-4, 200)
        assert (one.h_cycles, one.l_cycles, one.halt_max_steps) == (4, 4, 10)
        assert (one.rows_only_share, one.ema_decay) == (0.0, 0.999)
    assert (trelis.batch_size, trelis.num_variants, trelis.warmup_steps) == (384, 256, 2000)
    assert (trelis.steps, trelis.rows_only_share) == (12500, 3125 / 12500)
    assert (trelis.lr, trelis.row_lr, trelis.ema_decay) == (1e-4, 1e-2, 0.999)
    assert AdaptOptions(**find_recipe(None).options([], {"recipe": None})) == AdaptOptions()


def test_epochs_become_steps_by_the_number_of_demonstrations(puzzles: list[Puzzle]) -> None:
    recipe = RECIPES["nvarc-2h"]

    assert recipe.options(puzzles, {})["steps"] == 2000 * 8 // 128
    assert recipe.options(puzzles, {"batch_size": 100})["steps"] == 160
    assert recipe.options(puzzles, {"steps": 7})["steps"] == 7


@pytest.mark.parametrize("name", RECIPES)
def test_what_is_given_counts_before_a_recipe_s_values(name: str, puzzles: list[Puzzle]) -> None:
    given: dict[str, Any] = {
        "seconds": 5.0,
        "steps": 3,
        "num_variants": 2,
        "batch_size": 4,
        "lr": 0.5,
        "row_lr": 0.25,
        "warmup_steps": 9,
        "warmup_share": None,
        "ema_decay": 0.0,
        "rows_only_share": 0.75,
        "holds_out": True,
        "tapers": True,
        "h_cycles": 1,
        "l_cycles": 2,
        "halt_max_steps": 3,
        "seed": 8,
    }
    resolved = find_recipe(name).options(puzzles, given)

    assert {key: resolved[key] for key in given} == given
    assert resolved.keys() <= {field.name for field in fields(AdaptOptions)}
    assert resolved.get("batch_tokens", 0) in (0, 4 * 916)


def test_an_unknown_recipe_is_refused_with_those_there_are() -> None:
    with pytest.raises(InputError, match="no recipe 'nvarc': give one of quick, nvarc-2h"):
        find_recipe("nvarc")


@pytest.mark.usefixtures("one_thread")
def test_the_folder_records_recipe_seed_and_names_and_has_the_recipe_s_cycles(
    tiny_folder: Path, puzzles: list[Puzzle], tmp_path: Path
) -> None:
    base = open_checkpoint(tiny_folder)
    given = {"steps": 2, "num_variants": 2, "batch_size": 4, "seed": 5}
    options = AdaptOptions(**RECIPES["nvarc-2h"].options(puzzles, given))
    adaptation = prepare_adaptation(
        base, base.config, puzzles, tmp_path / "out", options, device="cpu"
    )
    assert adaptation.adapt(lambda _: None)

    record = json.loads((tmp_path / "out" / "adaptation.json").read_bytes())
    assert (record["options"]["recipe"], record["options"]["seed"]) == ("nvarc-2h", 5)
    assert (record["held_out"], record["checks"], record["complete"]) == ({}, [], True)
    adapted = open_checkpoint(tmp_path / "out")
    assert adapted.names is not None
    assert (len(adapted.names), adapted.names[1]) == (7, "a")
    config = adapted.config
    assert (config.H_cycles, config.L_cycles, config.halt_max_steps) == (4, 4, 10)
