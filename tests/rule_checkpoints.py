"""Checkpoints of random weights for puzzles with rules, tiny enough to be written by a test."""

from pathlib import Path

import torch

from augment import Kind
from bench.model import synthetic_checkpoint
from hrm_core import parse_arch, write_checkpoint

_ARCH = {
    "name": "recursive_reasoning.trm@TinyRecursiveReasoningModel_ACTV1",
    "hidden_size": 8,
    "num_heads": 1,
    "L_layers": 1,
    "H_cycles": 1,
    "L_cycles": 1,
    "expansion": 1,
    "halt_max_steps": 2,
    "puzzle_emb_ndim": 8,
    "puzzle_emb_len": 1,
    "pos_encodings": "none",
    "mlp_t": True,
    "forward_dtype": "float32",
}


def write_rule_checkpoint(folder: Path, kind: Kind, side: int) -> None:
    """Write a checkpoint for puzzles of a kind, of up to so many cells a side."""
    config = parse_arch({"arch": _ARCH}).configure(
        vocab_size=kind.vocabulary, seq_len=side * side, num_rows=1
    )
    trunk = synthetic_checkpoint(config, seed=0).trunk
    write_checkpoint(folder, config, trunk, torch.zeros(1, 8), 1, {}, {})
