"""Validation of a checkpoint folder's files against each other, before a network is built.

Each function raises CheckpointError, with the file at fault and a hint.
"""

import re
from collections.abc import Mapping
from pathlib import Path

import torch
import yaml
from torch import Tensor

from hrm_core.checkpoint.weights import RowTable
from hrm_core.checkpoint.writer import CONFIG_NAME, DATASET_NAME, IDENTIFIERS_NAME, TABLE_KEY
from hrm_core.errors import CheckpointError
from hrm_core.files import read_json
from hrm_core.model.config import ARC_CANVAS, ARC_VOCAB_SIZE, ArchSettings, ModelConfig, brief
from hrm_core.model.network import build_network

_SURROGATE = re.compile("[\ud800-\udfff]")
_LAYER_NAME = re.compile(r"([HL]_level)\.layers\.(\d{1,6})\.")
_MAX_VOCAB_SIZE = 256  # predictions are returned as bytes
_MAX_POSITIONS = 1 << 16


def read_config(path: Path) -> object:
    """Read a folder's `all_config.yaml`."""
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CheckpointError(
            path,
            "missing",
            "It contains cycles, heads and halting, which the weights do not: copy the one that "
            "was published with them.",
        ) from None
    except (yaml.YAMLError, ValueError, RecursionError, OSError) as error:
        problem = " ".join(str(error).split())
        raise CheckpointError(
            path, f"not readable as YAML ({problem})", "Copy it again."
        ) from error


def find_vocab_size(tensors: Mapping[str, Tensor], path: Path) -> int:
    """Return the size of the vocabulary, from the embedding."""
    embedding = tensors.get("embed_tokens.embedding_weight")
    if embedding is None or embedding.ndim != 2:
        raise CheckpointError(
            path, "no embed_tokens.embedding_weight [vocab, D]", "Is this an HRM or TRM checkpoint?"
        )
    vocab_size = int(embedding.shape[0])
    if not 0 < vocab_size <= _MAX_VOCAB_SIZE:
        raise CheckpointError(
            path, f"a vocabulary of {vocab_size}", f"1..{_MAX_VOCAB_SIZE} tokens can be served."
        )
    return vocab_size


def check_depth(path: Path, settings: ArchSettings, tensors: Mapping[str, Tensor]) -> None:
    """Compare the number of layers in the weights with the settings."""
    layers: dict[str, set[int]] = {"H_level": set(), "L_level": set()}
    for match in filter(None, map(_LAYER_NAME.match, tensors)):
        layers[match[1]].add(int(match[2]))
    for level, found in layers.items():
        setting = f"{level[0]}_layers"
        num_layers = settings.values[setting]
        if num_layers and len(found) != num_layers:
            raise CheckpointError(
                path,
                f"{level} has {len(found)} layers, but arch.{setting} is {num_layers}",
                f"Do weights and {CONFIG_NAME} belong together?",
            )


def find_seq_len(
    folder: Path,
    tensors: Mapping[str, Tensor],
    vocab_size: int,
    settings: ArchSettings,
    rows: RowTable,
    canvas: int | None,
) -> int:
    """Return S: from dataset.json, a tensor over positions, or else ARC's by its vocabulary."""
    found: dict[str, int] = {}
    path = folder / DATASET_NAME
    if path.exists():
        found[DATASET_NAME] = _read_dataset(path, vocab_size, rows)
    for name in ("embed_pos.embedding_weight", "L_level.layers.0.mlp_t.down_proj.weight"):
        if name in tensors and tensors[name].ndim:
            found[name] = int(tensors[name].shape[0]) - settings.values["puzzle_emb_len"]
    if canvas is not None:
        found["--canvas"] = canvas**2
    listed = ", ".join(f"{source} says {cells}" for source, cells in found.items())
    if len(set(found.values())) > 1:
        raise CheckpointError(
            folder, f"the canvas's size is contradictory: {listed}", "Correct the wrong one."
        )
    for seq_len in found.values():
        if not 0 < seq_len <= _MAX_POSITIONS:
            raise CheckpointError(
                folder, f"no canvas has so many cells: {listed}", "Correct or delete it."
            )
        return seq_len
    if vocab_size == ARC_VOCAB_SIZE:
        return ARC_CANVAS**2
    raise CheckpointError(
        folder,
        f"the canvas's size is unknown (vocabulary {vocab_size}, no dataset.json)",
        "Give it with --canvas SIDE.",
    )


def _read_dataset(path: Path, vocab_size: int, rows: RowTable) -> int:
    """Read S, and compare the rest of the file with the weights."""
    hint = "Copy it again, or delete it."
    dataset = read_json(path, hint)
    if not isinstance(dataset, dict) or type(dataset.get("seq_len")) is not int:
        raise CheckpointError(path, "no whole number seq_len", hint)
    found = {"vocab_size": vocab_size, "num_puzzle_identifiers": rows.num_rows}
    if not rows.num_rows:  # without a table the number of names is free
        del found["num_puzzle_identifiers"]
    for key, value in found.items():
        if dataset.get(key, value) != value:
            raise CheckpointError(
                path,
                f"{key} {brief(dataset[key])}, but the weights have {value}",
                "The file belongs to another checkpoint: copy the right one, or delete it.",
            )
    seq_len: int = dataset["seq_len"]
    return seq_len


def check_tensors(
    path: Path, config: ModelConfig, tensors: Mapping[str, Tensor], rows: RowTable
) -> None:
    """Compare names, shapes and values of all tensors with what the configuration describes."""
    network = build_network(config, lambda q, k, v: v, torch.float32, meta=True)
    expected = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    missing = sorted(expected.keys() - tensors.keys())
    surplus = sorted(tensors.keys() - expected.keys())
    hint = f"Do weights and {CONFIG_NAME} belong together?"
    if missing or surplus:
        parts = [
            f"{word} {', '.join(names[:3])}"
            + (f" and {len(names) - 3} more" if len(names) > 3 else "")
            for word, names in (("lacks", missing), ("has unexpected", surplus))
            if names
        ]
        raise CheckpointError(path, "; ".join(parts), hint)
    for name, shape in expected.items():
        found = tuple(tensors[name].shape)
        if found != shape:
            raise CheckpointError(path, f"{name} is {found}, expected {shape}", hint)
        if not _is_readable(tensors[name]):
            raise CheckpointError(path, f"{name} holds no finite floating numbers", hint)
    if rows.num_rows and not config.puzzle_emb_ndim:
        raise CheckpointError(path, f"has {TABLE_KEY}, but arch.puzzle_emb_ndim is 0", hint)
    if config.puzzle_emb_ndim and rows.ndim != config.puzzle_emb_ndim:
        raise CheckpointError(
            path,
            f"{TABLE_KEY} has rows of {rows.ndim}, expected {config.puzzle_emb_ndim}"
            if rows.num_rows
            else f"lacks {TABLE_KEY}",
            hint,
        )


def _is_readable(tensor: Tensor) -> bool:
    is_dense = tensor.layout is torch.strided and tensor.device.type == "cpu"
    return is_dense and tensor.is_floating_point() and bool(tensor.float().isfinite().all())


def read_names(folder: Path, config: ModelConfig) -> tuple[str, ...] | None:
    """Read the list row -> variant name, or None where the folder has none."""
    path = folder / IDENTIFIERS_NAME
    if not path.exists() or not config.puzzle_emb_ndim:  # without rows, names mean nothing
        return None
    hint = "A checkpoint needs the list that it was trained with: copy that one."
    names = read_json(path, hint)
    if not isinstance(names, list) or not _are_names(names):
        raise CheckpointError(path, "not a JSON list of names", hint)
    if len(names) != config.num_rows:
        raise CheckpointError(
            path, f"{len(names)} names, but the table has {config.num_rows} rows", hint
        )
    return tuple(names)


def _are_names(names: list[object]) -> bool:
    """Return whether all are strings that can be encoded: JSON can hold half a surrogate pair.

    Joined for speed: there are a million names.
    """
    try:
        joined = "".join(names)  # type: ignore[arg-type]
    except TypeError:
        return False
    return joined.isascii() or not any(_SURROGATE.search(str(name)) for name in names)
