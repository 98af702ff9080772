"""`hrm-arc presets`: settings for weights that come without an `all_config.yaml`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from hrm_core import open_checkpoint
from hrm_core.checkpoint.finding import find_weights
from hrm_core.checkpoint.presets import PRESETS, Preset, find_fitting, write_preset
from hrm_core.checkpoint.weights import read_weights
from hrm_core.errors import CheckpointError
from service.cli import options
from service.cli.output import JSONOption, console, print_json, warn
from service.wire.errors import InputError

# What leaves no trace in weights, and so distinguishes presets of one shape.
_SHOWN = ("H_cycles", "L_cycles", "num_heads", "pos_encodings", "puzzle_emb_len", "halt_max_steps")


def presets_command(
    folder: Annotated[
        Path | None, typer.Argument(help="List only those that fit the weights in this folder.")
    ] = None,
    preset: Annotated[
        str | None, typer.Option(help="Write this one as the folder's all_config.yaml.")
    ] = None,
    canvas: options.CanvasOption = None,
    as_json: JSONOption = False,
) -> None:
    """List settings of published weights, or write one beside weights without an all_config.yaml.

    Weights of one shape may fit several: cycles, heads, prefix and halting leave no trace in them.
    The self-test (`hrm-arc index`, `hrm-arc verify`) shows whether the right one was chosen.
    """
    if preset is not None:
        if folder is None:
            raise InputError("--preset needs the folder of the weights")
        choose_preset(folder, preset, canvas)
        return
    names = list(PRESETS)
    if folder is not None:
        weights_path = find_weights(folder)
        layout, rows = read_weights(weights_path)
        names = find_fitting(folder, weights_path, layout, rows, canvas)
    documents = [_describe(PRESETS[name]) for name in names]
    if as_json:
        print_json(documents)
        return
    for document in documents:
        settings = ", ".join(f"{key} {document[key]}" for key in _SHOWN if key in document)
        line = f"{document['name']}: {settings} ({document['source']})"
        console.print(line, markup=False, soft_wrap=True)
    if not names:
        warn(f"No preset fits the weights in {folder}")


def choose_preset(folder: Path, name: str, canvas: int | None = None) -> None:
    """Write a preset as a folder's `all_config.yaml`, unless its weights contradict it.

    Raises: CheckpointError.
    """
    path = write_preset(folder, name)
    try:
        open_checkpoint(folder, canvas)
    except CheckpointError as error:
        path.unlink()
        raise CheckpointError(
            folder,
            f"the preset {name} does not fit the weights ({error.problem})",
            f"`hrm-arc presets {folder}` lists those that do.",
        ) from error
    console.print(
        f"{path}: the preset {name} ({PRESETS[name].source})", markup=False, soft_wrap=True
    )


def _describe(preset: Preset) -> dict[str, Any]:
    return {
        "name": preset.name,
        "vocab_size": preset.vocab_size,
        "source": preset.source,
        **{key: value for key, value in preset.arch.items() if key != "name"},
    }
