"""`hrm-arc recipes`: the recipes of test-time training that `adapt` and `submit` take by name."""

from dataclasses import asdict
from typing import Any

from service.adaptation.prepare import AdaptOptions
from service.adaptation.recipes import RECIPES, Recipe
from service.cli.output import JSONOption, console, print_json


def recipes_command(as_json: JSONOption = False) -> None:
    """List the recipes of adaptations, with what they set, their source and what it reports.

    The numbers are for all devices together. Every one is overridden by the option of its name.
    """
    documents = [_describe(recipe) for recipe in RECIPES.values()]
    if as_json:
        print_json(documents)
        return
    for document in documents:
        console.print(f"{document['name']}: {_in_words(document)}", soft_wrap=True)
        console.print(f"    {document['source']}. {document['result']}", soft_wrap=True)


def _describe(recipe: Recipe) -> dict[str, Any]:
    options = asdict(AdaptOptions(**recipe.settings))
    del options["recipe"], options["seed"], options["snapshot_s"], options["slice_size"]
    return {
        "name": recipe.name,
        "epochs": recipe.epochs,
        **options,
        "source": recipe.source,
        "result": recipe.result,
    }


def _in_words(one: dict[str, Any]) -> str:
    budget = {
        "epochs": one["epochs"],
        "steps": one["steps"],
        "min at most": one["seconds"] and one["seconds"] / 60,
    }
    parts = [f"{value:g} {unit}" for unit, value in budget.items() if value] or ["as long as asked"]
    parts += [
        f"batch {one['batch_size']}",
        f"{one['num_variants']} variants",
        f"rates {one['lr']:g} and {one['row_lr']:g} of rows",
        f"warm-up {one['warmup_steps']}",
        f"average {one['ema_decay']:g}",
        f"trunk frozen for {one['rows_only_share']:.0%}",
    ]
    if one["h_cycles"] is not None:
        parts += [f"H{one['h_cycles']}/L{one['l_cycles']}", f"{one['halt_max_steps']} segments"]
    parts.append("rates fall at the end" if one["tapers"] else "constant rates, nothing held out")
    return ", ".join(parts)
