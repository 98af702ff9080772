"""Writing of checkpoint folders in the published layout."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor

from hrm_core.files import replacing, write_text
from hrm_core.model.config import ModelConfig

WEIGHT_PREFIX = "_orig_mod.model.inner."
TABLE_KEY = "puzzle_emb.weights"
CONFIG_NAME = "all_config.yaml"
DATASET_NAME = "dataset.json"
IDENTIFIERS_NAME = "identifiers.json"


def write_checkpoint(
    folder: Path,
    config: ModelConfig,
    trunk: Mapping[str, Tensor],
    table: Tensor | None,
    step: int,
    training: Mapping[str, Any],
    documents: Mapping[str, object],
) -> None:
    """Write weights, configuration and further JSON documents, each file in one move.

    Weights of an earlier step are removed once the new ones are written. The documents come last,
    so that none describes weights that a kill kept from being written.

    Shapes: table float32 [num_rows, puzzle_emb_ndim], or None for a model without one.
    """
    folder.mkdir(parents=True, exist_ok=True)
    weights = {
        WEIGHT_PREFIX + name: value.detach().cpu().contiguous() for name, value in trunk.items()
    }
    if table is not None and config.puzzle_emb_ndim:
        weights[WEIGHT_PREFIX + TABLE_KEY] = table.detach().cpu().contiguous()
    write_text(
        folder / CONFIG_NAME,
        yaml.safe_dump({"arch": config.arch_document(), "training": dict(training)}),
    )
    dataset = {
        "pad_id": 0,
        "ignore_label_id": 0,
        "blank_identifier_id": 0,
        "seq_len": config.seq_len,
        "vocab_size": config.vocab_size,
        "num_puzzle_identifiers": config.num_rows,
    }
    write_text(folder / DATASET_NAME, json.dumps(dataset))
    target = folder / f"step_{step}"
    with replacing(target) as partial:
        torch.save(weights, partial)
    for other in folder.glob("step_*"):
        if other != target and other.name.removeprefix("step_").isdigit():
            other.unlink()
    for name, document in documents.items():
        write_text(folder / name, json.dumps(document))
