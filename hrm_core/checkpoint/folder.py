"""Open a checkpoint folder as published: strict, running no code, not reading the table."""

import hashlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
import yaml
from torch import Tensor

from hrm_core.checkpoint.row_table import RowTable
from hrm_core.checkpoint.weights import find_weights, read_weights
from hrm_core.checkpoint.writer import CONFIG_NAME, DATASET_NAME, IDENTIFIERS_NAME, TABLE_KEY
from hrm_core.device.device import lacks_half_precision
from hrm_core.errors import CheckpointError, ConfigError
from hrm_core.model.build import build_network, use_onednn, widen_products
from hrm_core.model.config import (
    ARC_CANVAS,
    ARC_VOCAB_SIZE,
    ArchSettings,
    ModelConfig,
    brief,
    parse_arch,
)
from hrm_core.model.layers import Attend
from hrm_core.model.network import Network

_SURROGATE = re.compile("[\ud800-\udfff]")
_LAYER_NAME = re.compile(r"([HL]_level)\.layers\.(\d{1,6})\.")
_NUM_HASHED_ROWS = 256
_MAX_VOCAB_SIZE = 256  # predictions are handed out as bytes
_MAX_POSITIONS = 1 << 16


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """An opened checkpoint folder; its table of rows stays on disk.

    `names` is the list row -> variant name of `identifiers.json`, or None where the folder has
    none. `sha256` identifies trunk, configuration and names, and the table by shape and samples.
    `trunk` maps parameter names, without prefix, to tensors that are read when touched.
    """

    folder: Path
    weights_path: Path
    config: ModelConfig
    trunk: Mapping[str, Tensor]
    rows: RowTable
    names: tuple[str, ...] | None
    sha256: str

    @property
    def num_parameters(self) -> int:
        """Learned numbers of the trunk: neither the table nor the initial states are counted."""
        learned = (name for name in self.trunk if name not in ("H_init", "L_init"))
        return sum(self.trunk[name].numel() for name in learned)

    def load_network(
        self,
        attend: Attend,
        device: torch.device,
        dtype: torch.dtype,
        *,
        is_wide: bool | None = None,
        is_onednn: bool = False,
    ) -> Network:
        """Put the trunk on a device, cast once to the computation's dtype.

        `is_wide` and `is_onednn` are the arithmetic's; `is_wide` None: where the device lacks
        products in half precision.
        """
        network = build_network(self.config, attend, dtype, meta=True)
        trunk = {name: tensor.to(device, dtype) for name, tensor in self.trunk.items()}
        network.load_state_dict(trunk, strict=True, assign=True)
        if is_wide is None:
            is_wide = dtype != torch.float32 and lacks_half_precision(device)
        if is_wide:
            widen_products(network)
        # Rotary tables were computed on the CPU and stay float32.
        network = network.to(device).eval().requires_grad_(False)
        if is_onednn:
            use_onednn(network, packs=True)
        return network


def open_checkpoint(folder: Path, canvas: int | None = None) -> Checkpoint:
    """Open a folder: weights, `all_config.yaml`, and where present `dataset.json` and names.

    `canvas` is the side of the canvas, for a folder that does not tell it.

    Raises: CheckpointError, naming the file at fault and the mend.
    """
    if not folder.is_dir():
        raise CheckpointError(
            folder,
            "no such folder",
            "Give the path of a checkpoint folder: the repository of hrm-arc has some in its "
            "folder checkpoints, and `hrm-arc pull` fetches published ones.",
        )
    settings_path = folder / CONFIG_NAME
    document = _read_yaml(settings_path)
    weights_path = find_weights(folder)
    tensors, rows = read_weights(weights_path)
    try:
        settings = parse_arch(document)
        vocab_size = _vocab_size(tensors, weights_path)
        _check_depth(weights_path, settings, tensors)
        seq_len = _seq_len(folder, tensors, vocab_size, settings.puzzle_emb_len, rows, canvas)
        config = settings.configure(
            vocab_size=vocab_size,
            seq_len=seq_len,
            num_rows=rows.num_rows if settings.values["puzzle_emb_ndim"] else 0,
        )
    except ConfigError as error:
        raise CheckpointError(
            settings_path,
            str(error),
            "Use the all_config.yaml that was published beside the weights.",
        ) from error
    _check_tensors(weights_path, config, tensors, rows)
    names = _read_names(folder, config)
    sha256 = _identify(config, tensors, rows, names)
    return Checkpoint(folder, weights_path, config, tensors, rows, names, sha256)


def _read_yaml(path: Path) -> object:
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CheckpointError(
            path,
            "missing",
            "It holds cycles, heads and halting, which the weights do not tell: copy the one that "
            "was published with them.",
        ) from None
    except (yaml.YAMLError, ValueError, RecursionError, OSError) as error:
        problem = " ".join(str(error).split())
        raise CheckpointError(path, f"not readable as YAML ({problem})", "Copy it anew.") from error


def _vocab_size(tensors: Mapping[str, Tensor], path: Path) -> int:
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


def _check_depth(path: Path, settings: ArchSettings, tensors: Mapping[str, Tensor]) -> None:
    """Compare the number of layers before a network of so many is built."""
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


def _seq_len(
    folder: Path,
    tensors: Mapping[str, Tensor],
    vocab_size: int,
    prefix_len: int,
    rows: RowTable,
    canvas: int | None,
) -> int:
    """Take S from dataset.json, else from a tensor that spans positions, else from convention."""
    told: dict[str, int] = {}
    path = folder / DATASET_NAME
    if path.exists():
        told[DATASET_NAME] = _read_dataset(path, vocab_size, rows)
    for name in ("embed_pos.embedding_weight", "L_level.layers.0.mlp_t.down_proj.weight"):
        if name in tensors and tensors[name].ndim:
            told[name] = int(tensors[name].shape[0]) - prefix_len
    if canvas is not None:
        told["--canvas"] = canvas**2
    listed = ", ".join(f"{source} says {cells}" for source, cells in told.items())
    if len(set(told.values())) > 1:
        raise CheckpointError(
            folder, f"the canvas's size is contradictory: {listed}", "Mend the odd one out."
        )
    for seq_len in told.values():
        if not 0 < seq_len <= _MAX_POSITIONS:
            raise CheckpointError(
                folder, f"no canvas has so many cells: {listed}", "Mend or delete what says so."
            )
        return seq_len
    if vocab_size == ARC_VOCAB_SIZE:
        return ARC_CANVAS**2
    raise CheckpointError(
        folder,
        f"nothing tells the canvas's size (vocabulary {vocab_size}, no dataset.json)",
        "Give it with --canvas SIDE.",
    )


def _read_dataset(path: Path, vocab_size: int, rows: RowTable) -> int:
    """Read S, and hold what else the file tells against the weights."""
    mend = "Copy it anew, or delete it."
    try:
        dataset = json.loads(path.read_bytes())
    except (ValueError, RecursionError, OSError) as error:
        raise CheckpointError(path, f"not readable as JSON ({error})", mend) from error
    if not isinstance(dataset, dict) or type(dataset.get("seq_len")) is not int:
        raise CheckpointError(path, "no whole number seq_len", mend)
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


def _check_tensors(
    path: Path, config: ModelConfig, tensors: Mapping[str, Tensor], rows: RowTable
) -> None:
    network = build_network(config, lambda q, k, v: v, torch.float32, meta=True)
    expected = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    missing = sorted(expected.keys() - tensors.keys())
    surplus = sorted(tensors.keys() - expected.keys())
    mend = f"Do weights and {CONFIG_NAME} belong together?"
    if missing or surplus:
        parts = [
            f"{word} {', '.join(names[:3])}" + (f" and {len(names) - 3} more" * (len(names) > 3))
            for word, names in (("lacks", missing), ("has unexpected", surplus))
            if names
        ]
        raise CheckpointError(path, "; ".join(parts), mend)
    for name, shape in expected.items():
        found = tuple(tensors[name].shape)
        if found != shape:
            raise CheckpointError(path, f"{name} is {found}, expected {shape}", mend)
        if not _is_readable(tensors[name]):
            raise CheckpointError(path, f"{name} holds no finite floating numbers", mend)
    if rows.num_rows and not config.puzzle_emb_ndim:
        raise CheckpointError(path, f"has {TABLE_KEY}, but arch.puzzle_emb_ndim is 0", mend)
    if config.puzzle_emb_ndim and rows.ndim != config.puzzle_emb_ndim:
        raise CheckpointError(
            path,
            f"{TABLE_KEY} has rows of {rows.ndim}, expected {config.puzzle_emb_ndim}"
            if rows.num_rows
            else f"lacks {TABLE_KEY}",
            mend,
        )


def _is_readable(tensor: Tensor) -> bool:
    is_dense = tensor.layout is torch.strided and tensor.device.type == "cpu"
    return is_dense and tensor.is_floating_point() and bool(tensor.float().isfinite().all())


def _read_names(folder: Path, config: ModelConfig) -> tuple[str, ...] | None:
    path = folder / IDENTIFIERS_NAME
    if not path.exists() or not config.puzzle_emb_ndim:  # without rows, names mean nothing
        return None
    mend = "A checkpoint needs the very list it was trained with: copy that one."
    try:
        names = json.loads(path.read_bytes())
    except (ValueError, RecursionError, OSError) as error:
        raise CheckpointError(path, f"not readable as JSON ({error})", mend) from error
    if not isinstance(names, list) or not _are_names(names):
        raise CheckpointError(path, "no JSON list of names", mend)
    if len(names) != config.num_rows:
        raise CheckpointError(
            path, f"{len(names)} names, but the table has {config.num_rows} rows", mend
        )
    return tuple(names)


def _are_names(names: list[object]) -> bool:
    """Whether all are strings that can be printed and hashed. Whole at once: there are a million.

    Half a surrogate pair, which JSON can spell, could be neither.
    """
    try:
        joined = "".join(names)  # type: ignore[arg-type]
    except TypeError:
        return False
    return joined.isascii() or not any(_SURROGATE.search(str(name)) for name in names)


def _identify(
    config: ModelConfig,
    tensors: Mapping[str, Tensor],
    rows: RowTable,
    names: tuple[str, ...] | None,
) -> str:
    # A whole canvas is left unsaid, so that a checkpoint keeps the hash it has always had.
    digest = hashlib.sha256(repr(config).replace(", crop=False", "").encode())
    for name in sorted(tensors):
        tensor = tensors[name].contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        content: npt.NDArray[np.uint8] = tensor.view(torch.uint8).numpy()
        digest.update(content.data)
    digest.update(f"table {rows.num_rows} x {rows.ndim}".encode())
    if rows.num_rows:
        stride = math.ceil(rows.num_rows / _NUM_HASHED_ROWS)
        digest.update(rows.gather(range(0, rows.num_rows, stride)).tobytes())
    digest.update("\n".join(names or ()).encode())
    return digest.hexdigest()
