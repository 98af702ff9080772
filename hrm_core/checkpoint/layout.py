"""The layouts that weights are published in, made into one: names without prefixes.

A file may wrap the weights beside an optimiser and an average of them, name them with the prefixes
of the programs that held them, and contain buffers and LoRA factors.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from hrm_core.errors import CheckpointError
from hrm_core.model.unsupported import Unsupported, find_by_tensors

Tensors = dict[str, Tensor]
_PREFIXES = re.compile(r"^(?:\.|module\.|_orig_mod\.|_orig\._mod\.|model\.|inner\.)+")
_WRAPPERS = ("model", "state_dict", "model_state_dict")
_AVERAGE = re.compile(r"(\w+_)?(ema|averaged?)(_\w+)?")
_AVERAGE_PARTS = ("shadow", *_WRAPPERS)
# An average has what is trained by gradients; these are not.
_UNTRAINED = ("H_init", "L_init", "puzzle_emb.weights")
_WITHOUT_EFFECT = re.compile(r"puzzle_emb\.local_(weights|ids)|rotary_emb\.\w+")
ROTARY_TABLE = "rotary_emb.cos_cached"
_LORA = re.compile(r"(?P<layer>.+)\._lora_(?P<factor>[AB])")
USE_OTHERS = "Use weights of HRM or TRM."
_EXPORT = "Export only model.state_dict()."


@dataclass(frozen=True, slots=True)
class Layout:
    """Weights by name, without prefixes, and what was done to get them.

    `rotary_shape` is that of a stored table of rotary angles, which has no other use.
    """

    tensors: Tensors
    notes: tuple[str, ...] = ()
    rotary_shape: tuple[int, ...] | None = None


def unify(path: Path, loaded: object) -> Layout:
    """Make the weights in a loaded file those of the published layout.

    Raises: CheckpointError where they are of another kind.
    """
    found, average_key = _unwrap(path, loaded)
    tensors = _without_prefixes(path, found)
    notes: list[str] = []
    if average_key is not None and isinstance(loaded, Mapping):
        averaged = _without_prefixes(path, _parts_of(loaded[average_key]) or {})
        tensors = _overlay(path, tensors, averaged)
        notes.append(f"the average of the weights was taken ({average_key!r}), not their last step")
    if unsupported := find_by_tensors(tensors):
        raise unsupported_weights(path, unsupported)
    rotary = tensors.get(ROTARY_TABLE)
    kept = {name: one for name, one in tensors.items() if not _WITHOUT_EFFECT.fullmatch(name)}
    return Layout(kept, tuple(notes), None if rotary is None else tuple(rotary.shape))


def unsupported_weights(path: Path, unsupported: Unsupported) -> CheckpointError:
    """Return the error of weights of another architecture."""
    return CheckpointError(
        path, f"the weights are those of {unsupported.what}. It is not run here", USE_OTHERS
    )


def _unwrap(path: Path, loaded: object) -> tuple[Mapping[str, Tensor], str | None]:
    """Return the mapping of names to tensors in a file, and the key of an average beside it."""
    problem = "not a plain mapping of names to tensors"
    if not isinstance(loaded, Mapping) or not all(isinstance(key, str) for key in loaded):
        raise CheckpointError(path, problem, _EXPORT)
    if _is_plain(loaded):
        return loaded, None
    wrapped = [key for key in _WRAPPERS if _is_plain(loaded.get(key)) and loaded[key]]
    if len(wrapped) > 1:
        raise CheckpointError(path, f"several sets of weights: {', '.join(wrapped)}", _EXPORT)
    if not wrapped:
        raise CheckpointError(path, problem, _EXPORT)
    averages = [key for key in loaded if _AVERAGE.fullmatch(key) and _parts_of(loaded[key])]
    if len(averages) > 1:
        raise CheckpointError(path, f"several averages: {', '.join(averages)}", _EXPORT)
    return loaded[wrapped[0]], averages[0] if averages else None


def _is_plain(value: object) -> bool:
    return isinstance(value, Mapping) and all(
        isinstance(key, str) and isinstance(one, Tensor) for key, one in value.items()
    )


def _parts_of(average: object) -> Mapping[str, Tensor] | None:
    """Return the tensors of an average: itself, or one of the mappings in it."""
    if not isinstance(average, Mapping):
        return None
    found = [average, *(average.get(key) for key in _AVERAGE_PARTS)]
    return next((one for one in found if one and _is_plain(one)), None)


def _without_prefixes(path: Path, tensors: Mapping[str, Tensor]) -> Tensors:
    renamed = {_PREFIXES.sub("", name, count=1): one.detach() for name, one in tensors.items()}
    if len(renamed) != len(tensors):
        raise CheckpointError(path, "two tensors of one name", "Keep one set of weights in it.")
    return renamed


def _overlay(path: Path, tensors: Tensors, averaged: Tensors) -> Tensors:
    """Return weights with their averages in place of them.

    Raises: CheckpointError where only some of them have an average.
    """
    expected = {
        name for name in tensors if name not in _UNTRAINED and not _WITHOUT_EFFECT.fullmatch(name)
    }
    wrong = sorted(expected - averaged.keys()) or sorted(averaged.keys() - tensors.keys())
    if wrong:
        raise CheckpointError(
            path, f"the average of the weights is not of all of them: {wrong[0]}", _EXPORT
        )
    return tensors | averaged


def merge_lora(path: Path, layout: Layout, arch: Mapping[str, Any]) -> Layout:
    """Add the LoRA factors in the weights to the matrices that they change.

    Raises: CheckpointError where factors or their scale are missing or of another form.
    """
    names = [name for name in layout.tensors if "lora_" in name.lower()]
    if not names:
        return layout
    tensors, scale = dict(layout.tensors), arch.get("lora_alpha", "missing")
    layers = {match["layer"] for match in map(_LORA.fullmatch, names) if match}
    factors = {f"{layer}._lora_{factor}" for layer in layers for factor in "AB"}
    hint = "Merge the LoRA into the weights before saving them."
    if factors != set(names) or not isinstance(scale, int | float):
        what = "of an unknown form" if factors != set(names) else "without arch.lora_alpha"
        raise CheckpointError(path, f"unmerged LoRA {what} ({names[0]})", hint)
    for layer in sorted(layers):
        down, up = (tensors.pop(f"{layer}._lora_{factor}").float() for factor in "AB")
        weight = tensors.get(f"{layer}.weight")
        is_right = down.ndim == up.ndim == 2 and up.shape[1] == down.shape[0] > 0
        if weight is None or not is_right or weight.shape != (up.shape[0], down.shape[1]):
            raise CheckpointError(path, f"the LoRA of {layer} does not fit its weight", hint)
        if arch.get("lora_rank", len(down)) != len(down):
            rank = arch["lora_rank"]
            raise CheckpointError(
                path, f"LoRA of rank {len(down)}, but arch.lora_rank is {rank!r}", hint
            )
        tensors[f"{layer}.weight"] = weight.float() + scale / len(down) * (up @ down)
    note = f"the LoRA of {len(layers)} layers was merged into the weights"
    return Layout(tensors, (*layout.notes, note), layout.rotary_shape)
