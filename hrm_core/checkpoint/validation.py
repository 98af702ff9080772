"""Validation of a checkpoint folder's files against each other, before a network is built.

Each function raises CheckpointError, with the file at fault and a hint.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import isqrt
from pathlib import Path

import torch
import yaml
from torch import Tensor

from hrm_core.checkpoint.layout import ROTARY_TABLE, USE_OTHERS, Layout, merge_lora
from hrm_core.checkpoint.weights import RowTable
from hrm_core.checkpoint.writer import CONFIG_NAME, DATASET_NAME, TABLE_KEY
from hrm_core.errors import CheckpointError, ConfigError, UnsupportedError
from hrm_core.files import read_bounded, read_json
from hrm_core.model.config import (
    CANVAS_BY_VOCAB_SIZE,
    ArchSettings,
    ModelConfig,
    brief,
    parse_arch,
)
from hrm_core.model.network import build_network

PRESET_KEY = "preset"
_LAYER_NAME = re.compile(r"([HL]_level)\.layers\.(\d{1,6})\.")
_MAX_VOCAB_SIZE = 256  # predictions are returned as bytes
_MAX_POSITIONS = 1 << 16
# Published ones have 2 kB and no alias. Nested aliases stand for exponentially many values.
_MAX_CONFIG_BYTES = 1 << 18
_MAX_ALIASES = 10


@dataclass(frozen=True, slots=True)
class Fitted:
    """Weights, and the configuration that their folder and their shapes give."""

    config: ModelConfig
    layout: Layout
    notes: tuple[str, ...]


def fit_config(
    folder: Path,
    weights_path: Path,
    document: object,
    layout: Layout,
    rows: RowTable,
    canvas: int | None,
) -> Fitted:
    """Complete the settings in an `all_config.yaml` with the shapes of the weights.

    Raises: CheckpointError where they contradict each other.
    """
    try:
        settings = parse_arch(document)
        layout = merge_lora(weights_path, layout, settings.arch)
        tensors = layout.tensors
        vocab_size = find_vocab_size(tensors, weights_path)
        check_depth(weights_path, settings, tensors)
        seq_len = find_seq_len(folder, tensors, vocab_size, settings, rows, canvas)
        config = settings.configure(
            vocab_size=vocab_size,
            seq_len=seq_len,
            num_rows=rows.num_rows if settings.values["puzzle_emb_ndim"] else 0,
        )
    except ConfigError as error:
        hint = "Use the all_config.yaml that was published beside the weights."
        if isinstance(error, UnsupportedError):
            hint = USE_OTHERS
        raise CheckpointError(folder / CONFIG_NAME, str(error), hint) from error
    check_shapes(weights_path, config, layout, rows)
    return Fitted(config, layout, (*layout.notes, *_notes_on(settings, config, document)))


def _notes_on(settings: ArchSettings, config: ModelConfig, document: object) -> Iterator[str]:
    """Yield what in the settings was assumed or is not known."""
    if isinstance(document, Mapping) and isinstance(name := document.get(PRESET_KEY), str):
        yield f"the settings are those of the preset {name}"
    # Learned positions and `mlp_t` have a length that gives the prefix away.
    if not config.mlp_t and config.pos_encodings != "learned":
        for key in settings.assumed:
            value = settings.values[key]
            yield f"{CONFIG_NAME} has no arch.{key}, so TRM's default of {value} was taken"
    if settings.unknown:
        listed = ", ".join(f"arch.{brief(key)[1:-1]}" for key in settings.unknown[:5])
        yield f"{CONFIG_NAME} has settings that are not known here: {listed}"


class _ConfigLoader(yaml.SafeLoader):
    """Loads plain values, with few aliases."""

    num_aliases = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            self.num_aliases += 1
            if self.num_aliases > _MAX_ALIASES:
                raise yaml.YAMLError(f"more than {_MAX_ALIASES} aliases")
        return super().compose_node(parent, index)


def read_config(folder: Path) -> object:
    """Read a folder's `all_config.yaml`; None where it has none."""
    path = folder / CONFIG_NAME
    try:
        text = read_bounded(path, _MAX_CONFIG_BYTES).decode("utf-8")
        return yaml.load(text, _ConfigLoader) or {}  # noqa: S506 - it is a SafeLoader
    except FileNotFoundError:
        return None
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
    for source, seq_len in found.items():
        if not 0 < seq_len <= _MAX_POSITIONS:
            raise CheckpointError(
                folder, f"no canvas has so many cells: {listed}", "Correct or delete it."
            )
        if source in tensors and isqrt(seq_len) ** 2 != seq_len:
            prefix = settings.values["puzzle_emb_len"]
            raise CheckpointError(
                folder,
                f"{source} has {seq_len + prefix} positions, which less the {prefix} of the prefix "
                f"leave {seq_len}, not a square",
                "Is arch.puzzle_emb_len (or puzzle_emb_ndim) that of these weights?",
            )
        return seq_len
    if vocab_size in CANVAS_BY_VOCAB_SIZE:
        return CANVAS_BY_VOCAB_SIZE[vocab_size] ** 2
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


def check_shapes(path: Path, config: ModelConfig, layout: Layout, rows: RowTable) -> None:
    """Compare names and shapes of all tensors with what the configuration describes."""
    tensors = layout.tensors
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
    angles = (config.num_positions, config.head_dim)
    if layout.rotary_shape not in (None, angles):
        raise CheckpointError(
            path,
            f"{ROTARY_TABLE} is {layout.rotary_shape}, expected {angles}: the prefix, the canvas "
            f"or arch.num_heads differ from those in {CONFIG_NAME}",
            hint,
        )
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


def check_values(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Check that all tensors hold finite floating numbers."""
    for name, tensor in tensors.items():
        if not _is_readable(tensor):
            raise CheckpointError(
                path,
                f"{name} holds no finite floating numbers",
                "Download or copy it again.",
            )


def _is_readable(tensor: Tensor) -> bool:
    is_dense = tensor.layout is torch.strided and tensor.device.type == "cpu"
    return is_dense and tensor.is_floating_point() and bool(tensor.float().isfinite().all())
