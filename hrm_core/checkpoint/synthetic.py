"""An untrained checkpoint in memory: for measuring, where only shapes count."""

import hashlib
from pathlib import Path

import torch

from hrm_core.checkpoint.folder import Checkpoint
from hrm_core.checkpoint.row_table import TensorRows
from hrm_core.model.architectures import build_network
from hrm_core.model.attention.dense import sdpa
from hrm_core.model.config import ModelConfig
from hrm_core.model.initialisation import initialise


def synthetic_checkpoint(config: ModelConfig, seed: int) -> Checkpoint:
    """Make a checkpoint of random weights that lies in no folder; its answers mean nothing.

    All rows of its table are one random row, so that a table of any length takes no memory.
    """
    generator = torch.Generator().manual_seed(seed)
    network = build_network(config, sdpa, torch.float32)
    initialise(network, generator)
    row = torch.randn(1, config.puzzle_emb_ndim, generator=generator)
    name = f"synthetic checkpoint, seed {seed}"
    return Checkpoint(
        folder=Path(name),
        weights_path=Path(name),
        config=config,
        trunk=network.state_dict(),
        rows=TensorRows(row.expand(config.num_rows, -1)),
        names=None,
        sha256=hashlib.sha256(f"{name} {config!r}".encode()).hexdigest(),
    )
